"""The readable backend: plain torch operators, on any device.

Shapes: B batch, S slots, D width of a row, M addressed values, U distinct rows among them.
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kernels.lookup.interface import Lookup, TableLayout, TableOptimizer


class ReferenceLookup(Lookup):
    """Lookup by ``torch.nn.functional.embedding_bag``."""

    def __init__(self, layout: TableLayout, optimizer: TableOptimizer | None) -> None:
        super().__init__(layout, optimizer)
        rows, dim = layout.rows, layout.dim
        table = torch.zeros(rows, dim)
        self._state: dict[str, Tensor] = {}
        if optimizer is None:
            self._table: Tensor = nn.Parameter(table)
            return
        self.register_buffer("_table", table, persistent=False)
        # Autograd calls a function's backward only if an input wants a gradient; the table itself gets none.
        self._anchor = torch.zeros((), requires_grad=True)
        if optimizer.kind != "sgd":
            shape = (rows,) if optimizer.kind == "rowwise_adagrad" else (rows, dim)
            self._state["sum"] = torch.zeros(shape)

    @property
    def table(self) -> Tensor:
        """The table ``[rows, D]``."""
        return self._table

    @property
    def state(self) -> Mapping[str, Tensor]:
        """The fused optimiser's state."""
        return self._state

    def _pool(self, rows: Tensor, offsets: Tensor | None) -> Tensor:
        if self.optimizer is None or not torch.is_grad_enabled():
            pooled = gather(self._table, rows, offsets)
        else:
            pooled = _FusedGather.apply(self._anchor, rows, offsets, self)  # type: ignore[no-untyped-call]
        return pooled.view(len(self.layout.slots), -1, self.layout.dim).transpose(0, 1)

    @torch.no_grad()
    def update(self, rows: Tensor, gradient: Tensor) -> None:
        """Apply the optimiser to the touched rows.

        Args:
            rows: int64 ``[M]``, duplicates allowed.
            gradient: float32 ``[M, D]``, one an occurrence.
        """
        assert self.optimizer is not None
        rows_U, inverse_M = rows.unique(return_inverse=True)
        grad_UD = gradient.new_zeros(rows_U.numel(), self.layout.dim).index_add_(0, inverse_M, gradient)
        if self.optimizer.kind != "sgd":
            square = grad_UD.square()
            if self.optimizer.kind == "rowwise_adagrad":
                square = square.mean(1)
            total = self._state["sum"].index_add_(0, rows_U, square)[rows_U]
            grad_UD = grad_UD / (total.view(rows_U.numel(), -1).sqrt() + self.optimizer.eps)
        self._table.index_add_(0, rows_U, grad_UD, alpha=-self.learning_rate)


class _FusedGather(torch.autograd.Function):
    """Gather whose backward updates the table instead of returning a gradient for it."""

    @staticmethod
    def forward(ctx: Any, anchor: Tensor, rows: Tensor, offsets: Tensor | None, lookup: ReferenceLookup) -> Tensor:
        ctx.save_for_backward(rows, offsets)
        ctx.lookup = lookup
        return gather(lookup.table, rows, offsets)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, None, None, None]:
        rows, offsets = ctx.saved_tensors
        (grad,) = grads
        if offsets is not None:
            grad = grad.repeat_interleave(offsets.diff(), dim=0)
        ctx.lookup.update(rows, grad)
        return None, None, None, None


def gather(table: Tensor, rows: Tensor, offsets: Tensor | None) -> Tensor:
    """Sum the bags of rows.

    Args:
        table: float32 ``[rows, D]``.
        rows: int64 ``[M]``.
        offsets: int64 ``[bags + 1]``, or None where every bag holds one row.

    Returns:
        float32 ``[bags, D]``.
    """
    if offsets is None:
        return F.embedding(rows, table)
    return F.embedding_bag(rows, table, offsets, mode="sum", include_last_offset=True)
