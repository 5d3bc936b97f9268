"""Compiles every kernel of the Triton backend for an H100, on a machine with or without a GPU, and prints their names.

Launches are turned into compilations; nothing runs.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, get_args

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.runtime.jit import JITFunction

from kernels.addressing import slot_tensor
from kernels.lookup.bags import Bags
from kernels.lookup.layout import OptimizerKind, TableOptimizer
from kernels.lookup.triton.backend import TritonKernels
from tests.kernels.definition import BATCH, KEYS, ROWS, SLOTS, Case, layout, one_hot, ragged, ragged_weighted


class H100:
    """What the compiler asks a driver."""

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return 0

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", 90, 32)


def main() -> None:
    compiled = set()

    def instead_of_a_launch(kernel: JITFunction, grid: tuple[int]) -> Callable[..., Any]:
        compiled.add(kernel.__name__)
        return partial(kernel.run, grid=grid, warmup=True)

    triton.runtime.driver.set_active(H100())
    JITFunction.__getitem__ = instead_of_a_launch
    sequences = Case(torch.zeros(40 * KEYS * BATCH, dtype=torch.int64), 40 * torch.arange(KEYS * BATCH + 1))
    for dim in (10, 16, 64):
        for case in (one_hot(1), ragged(1), ragged_weighted(1), sequences):
            forward_and_gradient(dim, case)
    for dim, case in ((10, ragged_weighted(1)), (64, one_hot(1))):
        for kind in get_args(OptimizerKind):
            one_step(dim, case, kind)
    print(*sorted(compiled))


def forward_and_gradient(dim: int, case: Case) -> None:
    table, bags, slots = torch.zeros(ROWS, dim), Bags(case.values, case.offsets, case.weights, KEYS), slot_tensor(SLOTS)
    for pooled in (True, False):
        output = TritonKernels().forward(table, bags, slots, pooled=pooled)
        TritonKernels().gradient(output, ROWS, bags, slots, pooled=pooled)


def one_step(dim: int, case: Case, kind: OptimizerKind) -> None:
    rule = TableOptimizer(kind=kind)
    states = [torch.zeros(shape) for shape in rule.state_shapes(layout(dim)).values()]
    bags = Bags(case.values, case.offsets, case.weights, KEYS)
    grad = torch.zeros(BATCH, len(SLOTS), dim)
    TritonKernels().update(torch.zeros(ROWS, dim), states, grad, bags, slot_tensor(SLOTS), rule, 1, pooled=True)


if __name__ == "__main__":
    main()
