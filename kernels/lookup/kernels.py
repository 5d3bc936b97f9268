"""What a backend computes: forward, dense gradient and fused update of one plain table.

Shapes: B batch, S slots, D width of a row, R rows, M addressed values.
"""

from collections.abc import Sequence
from functools import cache
from typing import Literal, Protocol

from torch import Tensor

from kernels.lookup.bags import Bags
from kernels.lookup.layout import TableOptimizer

KernelName = Literal["reference", "fbgemm", "triton"]


class Kernels(Protocol):
    """The computations of a backend; they neither keep state nor record gradients."""

    def forward(self, table: Tensor, bags: Bags, slots: Tensor, *, pooled: bool) -> Tensor:
        """Look up.

        Args:
            table: float32 ``[R, D]``.
            bags: The values.
            slots: int64 ``[S, 6]``.
            pooled: Sum or average each bag; else a row a value.

        Returns:
            Contiguous float32: ``[B, S, D]`` where an empty bag gives zeros, or not pooled ``[M, D]``, slot-major, then
            batch.
        """

    def gradient(self, grad: Tensor, rows: int, bags: Bags, slots: Tensor, *, pooled: bool) -> Tensor:
        """The gradient of the whole table, float32 ``[R, D]``, from that of the output."""

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
        """Apply the optimiser in place to the rows that the values read; duplicates count once, with their sum.

        Args:
            table: float32 ``[R, D]``.
            states: The optimiser's state, in the order of ``optimizer.state_shapes``.
            grad: Of the output, its shape.
            bags: The values.
            slots: int64 ``[S, 6]``.
            optimizer: The rule, with the learning rate of this step.
            step: How often the update has been applied, this time included.
            pooled: As in the forward pass.
        """


@cache
def kernels(name: KernelName) -> Kernels:
    """A backend's kernels; its library is imported only here."""
    if name == "reference":
        from kernels.lookup.reference import ReferenceKernels

        return ReferenceKernels()
    if name == "fbgemm":
        from kernels.lookup.fbgemm import FbgemmKernels

        return FbgemmKernels()
    from kernels.lookup.triton.backend import TritonKernels

    return TritonKernels()
