"""Attention by heads, with a backward pass of its own.

Source: Vaswani et al. 2017, "Attention Is All You Need", NIPS, arXiv 1706.03762: equation 1, unscaled.

A CPU spends much of attention over few positions on copies between layouts and on sums of gradients. Here queries,
keys and values go to their heads in one copy together, and their gradients come back in one.

Shapes: B batch, F positions, H heads, a width of a head.
"""

from typing import Any

import torch
from torch import Tensor

from models.blocks.dropout import keep_mask


def attend(projected_BF3Ha: Tensor, dropout: float) -> Tensor:
    """Attend with queries to keys, and sum values.

    Args:
        projected_BF3Ha: Queries, keys and values ``[B, F, 3, H, a]``, floating; the queries scaled already.
        dropout: Share of attention weights dropped.

    Returns:
        ``[B, F, H, a]``: a view of ``[B, H, F, a]``.
    """
    attended: Tensor = _Attention.apply(projected_BF3Ha, dropout)  # type: ignore[no-untyped-call]
    return attended


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, projected_BF3Ha: Tensor, dropout: float) -> Tensor:
        rows, fields, _, heads, width = ctx.shape = projected_BF3Ha.shape
        projected = projected_BF3Ha.permute(2, 0, 3, 1, 4).reshape(3, rows * heads, fields, width)
        query, key, value = projected
        scores = torch.bmm(query, key.transpose(1, 2))  # [B H, F, F]
        # The softmax of bf16 is slower than that of float32 and the two conversions.
        weights = torch.softmax(scores.to(torch.promote_types(scores.dtype, torch.float32)), 2).to(scores.dtype)
        mask, ctx.scale = keep_mask(weights, dropout) if dropout else (None, 1.0)
        kept = weights if mask is None else weights * mask * ctx.scale
        ctx.save_for_backward(projected, weights, kept, mask)
        return torch.bmm(kept, value).view(rows, heads, fields, width).transpose(1, 2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        projected, weights, kept, mask = ctx.saved_tensors
        rows, fields, _, heads, width = ctx.shape
        query, key, value = projected
        gradient = gradients[0].transpose(1, 2).reshape(rows * heads, fields, width)
        of_weights = torch.bmm(gradient, value.transpose(1, 2))  # [B H, F, F]
        if mask is not None:
            of_weights = of_weights * mask * ctx.scale
        of_scores = torch.ops.aten._softmax_backward_data(of_weights, weights, 2, weights.dtype)
        result = torch.empty_like(projected)
        torch.bmm(of_scores, key, out=result[0])
        torch.bmm(of_scores.transpose(1, 2), query, out=result[1])
        torch.bmm(kept.transpose(1, 2), gradient, out=result[2])
        return result.view(3, rows, heads, fields, width).permute(1, 3, 0, 2, 4), None
