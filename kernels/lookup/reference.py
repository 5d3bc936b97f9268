"""The readable backend: plain torch operators, on any device.

Shapes: B batch, S slots, D width of a row, R rows, M addressed values, U distinct rows among them.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from kernels.lookup.bags import Addressed, Bags
from kernels.lookup.layout import TableOptimizer


class ReferenceKernels:
    """Lookup by ``torch.nn.functional.embedding_bag``; the update by hand."""

    def forward(self, table: Tensor, bags: Bags, slots: Tensor, *, pooled: bool) -> Tensor:
        """Gather and pool; see :class:`kernels.lookup.kernels.Kernels`."""
        addressed = bags.address(slots)
        if not pooled:
            return F.embedding(addressed.rows, table)
        if addressed.offsets is None:
            rows_BS = addressed.rows.view(slots.shape[0], -1).T.contiguous()
            pooled_BSD = F.embedding(rows_BS, table)
            if addressed.weights is not None:
                pooled_BSD = pooled_BSD * addressed.weights.view(slots.shape[0], -1).T.unsqueeze(2)
            return pooled_BSD
        bags_SBD = F.embedding_bag(
            addressed.rows,
            table,
            addressed.offsets,
            mode="sum",
            include_last_offset=True,
            per_sample_weights=addressed.weights,
        ).view(slots.shape[0], -1, table.shape[1])
        return bags_SBD.transpose(0, 1).contiguous()

    def gradient(self, grad: Tensor, rows: int, bags: Bags, slots: Tensor, *, pooled: bool) -> Tensor:
        """Sum the values' gradients by row."""
        addressed = bags.address(slots)
        grad_MD = spread(grad, addressed, pooled=pooled)
        return grad.new_zeros(rows, grad.shape[-1]).index_add_(0, addressed.rows, grad_MD)

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
        """Sum the gradients of each distinct row, then apply the rule to those rows."""
        addressed = bags.address(slots)
        grad_MD = spread(grad, addressed, pooled=pooled)
        rows_U, inverse_M = addressed.rows.unique(return_inverse=True)
        grad_UD = grad_MD.new_zeros(rows_U.numel(), table.shape[1]).index_add_(0, inverse_M, grad_MD)
        if optimizer.kind == "adam":
            m, v = states
            m_UD = m[rows_U].lerp_(grad_UD, 1 - optimizer.beta1)
            v_UD = v[rows_U].lerp_(grad_UD.square(), 1 - optimizer.beta2)
            m[rows_U], v[rows_U] = m_UD, v_UD
            root_UD = (v_UD / (1 - optimizer.beta2**step)).sqrt()
            grad_UD = (m_UD / (1 - optimizer.beta1**step)) / (root_UD + optimizer.eps)
        elif optimizer.kind != "sgd":
            square = grad_UD.square()
            if optimizer.kind == "rowwise_adagrad":
                square = square.mean(1)
            total = states[0].index_add_(0, rows_U, square)[rows_U]
            root = total.sqrt() + optimizer.eps
            grad_UD = grad_UD / (root if root.dim() == 2 else root[:, None])
        table.index_add_(0, rows_U, grad_UD, alpha=-optimizer.learning_rate)


def spread(grad: Tensor, addressed: Addressed, *, pooled: bool) -> Tensor:
    """The output's gradient as one of each addressed value, ``[M, D]``."""
    if not pooled:
        return grad
    grad_MD = grad.transpose(0, 1).flatten(0, 1)  # [S * B, D]
    if addressed.offsets is not None:
        lengths = addressed.offsets.diff()
        grad_MD = grad_MD.repeat_interleave(lengths, dim=0, output_size=addressed.rows.numel())
    if addressed.weights is not None:
        grad_MD = grad_MD * addressed.weights[:, None]
    return grad_MD
