"""The Triton backend: on CUDA devices, or anywhere under Triton's interpreter (TRITON_INTERPRET=1)."""

from collections.abc import Sequence

import torch
import triton
from torch import Tensor

from kernels.lookup.bags import Bags
from kernels.lookup.layout import TableOptimizer
from kernels.lookup.triton import forward, update


def runs_on(device: torch.device) -> bool:
    """Whether the kernels run on a device."""
    return device.type == "cuda" or triton.knobs.runtime.interpret


class TritonKernels:
    """Lookup and update in Triton. The order of every addition is fixed by the input alone."""

    def forward(self, table: Tensor, bags: Bags, slots: Tensor, *, pooled: bool) -> Tensor:
        """Gather and pool; see :class:`kernels.lookup.kernels.Kernels`."""
        look_up = forward.pool if pooled else forward.gather
        with torch.cuda.device_of(table):
            return look_up(table, _contiguous(bags), slots)

    def gradient(self, grad: Tensor, rows: int, bags: Bags, slots: Tensor, *, pooled: bool) -> Tensor:
        """Sum the values' gradients by row."""
        with torch.cuda.device_of(grad):
            return update.gradient(grad, rows, _contiguous(bags), slots, pooled=pooled)

    def update(
        self,
        table: Tensor,
        states: Sequence[Tensor],
        grad: Tensor,
        bags: Bags,
        slots: Tensor,
        optimizer: TableOptimizer,
        step: int,
        *,
        pooled: bool,
    ) -> None:
        """Sum the gradients of each distinct row and apply the rule, in one pass."""
        with torch.cuda.device_of(table):
            update.update(table, states, grad, _contiguous(bags), slots, optimizer, step, pooled=pooled)


def _contiguous(bags: Bags) -> Bags:
    """The same bags, their tensors contiguous: kernels read them by address."""
    offsets, weights = bags.offsets, bags.weights
    return Bags(
        bags.values.contiguous(),
        None if offsets is None else offsets.contiguous(),
        None if weights is None else weights.contiguous(),
        bags.keys,
    )
