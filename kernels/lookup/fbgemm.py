"""The CPU backend: fbgemm's fused updates, which cost what the touched rows cost.

Called here are the operators below fbgemm's table-batched embedding module (``split_embedding_backward_codegen_*``):
unlike the module they take any width, leave the table a plain tensor, and separate the backward from the forward pass,
which torch's own gather does faster.

Shapes: B batch, S slots, D width of a row, R rows.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from common.quiet import quiet_import
from kernels.lookup.bags import Bags
from kernels.lookup.layout import TableOptimizer
from kernels.lookup.reference import ReferenceKernels

with quiet_import():
    import fbgemm_gpu  # noqa: F401  registers the operators

FUSED = ("rowwise_adagrad", "adagrad", "sgd")
"""The rules that fbgemm fuses on a CPU."""

_SUM, _FLOAT32 = 0, 0  # fbgemm's PoolingMode and SparseType


class FbgemmKernels(ReferenceKernels):
    """The reference, with fbgemm's update."""

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
        """Sum the gradients of each distinct row and apply the rule, in one operator."""
        addressed = bags.address(slots)
        rows, dim = table.shape
        offsets = addressed.offsets
        # Without pooling every value is a bag of its own, and all of them belong to one slot.
        count = slots.shape[0] if pooled else 1
        if offsets is None or not pooled:
            offsets = torch.arange(addressed.rows.numel() + 1)
        places = _places(count, rows, dim)
        backward = getattr(torch.ops.fbgemm, f"split_embedding_backward_codegen_{optimizer.kind}_cpu")
        state: list[Any] = [states[0].flatten(), places.placements, places.offsets] if states else []
        constants = [optimizer.eps] if states else []
        backward(
            grad.reshape(-1, count * dim),
            table.view(-1),
            places.placements,
            places.offsets,
            places.columns,
            dim,
            places.cumulated_rows,
            places.row_bits,
            addressed.rows,
            offsets,
            _SUM,
            addressed.weights if pooled else None,
            False,  # stochastic rounding
            *state,
            torch.tensor(optimizer.learning_rate, dtype=torch.float32),
            *constants,
        )


class _Places:
    """Where fbgemm finds the slots: all in one table, each with its columns of the output."""

    def __init__(self, slots: int, rows: int, dim: int) -> None:
        self.placements = torch.zeros(slots, dtype=torch.int32)
        self.offsets = torch.zeros(slots, dtype=torch.int64)
        self.columns = torch.arange(slots + 1, dtype=torch.int32) * dim
        self.cumulated_rows = torch.tensor([0] * slots + [rows])
        self.row_bits = rows.bit_length()


@lru_cache(maxsize=32)
def _places(slots: int, rows: int, dim: int) -> _Places:
    with torch.inference_mode(False):
        return _Places(slots, rows, dim)
