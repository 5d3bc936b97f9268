"""Attention by heads, with a backward pass of its own.

Source: Vaswani et al. 2017, "Attention Is All You Need", NIPS, arXiv 1706.03762: equation 1, unscaled.

A CPU spends much of attention over few positions on copies between layouts and on sums of gradients. Here queries,
keys and values go to their heads in one copy together; a head's output and its gradients are written where they belong.

Shapes: B batch, F positions, H heads, a width of a head.
"""

from typing import Any

import torch
from torch import Tensor

from models.blocks.dropout import keep_mask

_FEW = 32  # positions; over fewer, torch's softmax takes the numbers one at a time


def attend(projected_BF3Ha: Tensor, dropout: float) -> Tensor:
    """Attend with queries to keys, and sum values.

    Args:
        projected_BF3Ha: Queries, keys and values ``[B, F, 3, H, a]``, floating; the queries scaled already.
        dropout: Share of attention weights dropped.

    Returns:
        ``[B, F, H, a]``.
    """
    attended: Tensor = _Attention.apply(projected_BF3Ha, dropout)  # type: ignore[no-untyped-call]
    return attended


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, projected_BF3Ha: Tensor, dropout: float) -> Tensor:
        rows, fields, _, heads, width = ctx.shape = projected_BF3Ha.shape
        projected = projected_BF3Ha.permute(2, 3, 0, 1, 4).contiguous()  # [3, H, B, F, a]
        query, key, value = projected
        scores = torch.bmm(query.flatten(0, 1), key.flatten(0, 1).transpose(1, 2))  # [H B, F, F]
        weights = _softmax(scores)
        mask, ctx.scale = keep_mask(weights, dropout) if dropout else (None, 1.0)
        kept = weights if mask is None else weights * mask * ctx.scale
        ctx.save_for_backward(projected, weights, kept, mask)
        attended = projected_BF3Ha.new_empty(rows, fields, heads, width)
        _multiply(kept, value, attended)
        return attended

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        projected, weights, kept, mask = ctx.saved_tensors
        query, key, value = projected
        gradient = gradients[0].permute(2, 0, 1, 3).contiguous()  # [H, B, F, a]
        of_weights = torch.bmm(gradient.flatten(0, 1), value.flatten(0, 1).transpose(1, 2))  # [H B, F, F]
        if mask is not None:
            of_weights = of_weights * mask * ctx.scale
        of_scores = _softmax_gradient(of_weights, weights)
        result = gradient.new_empty(ctx.shape)
        of_query, of_key, of_value = result.unbind(2)  # [B, F, H, a] each
        _multiply(of_scores, key, of_query)
        _multiply(of_scores.transpose(1, 2), query, of_key)
        _multiply(kept.transpose(1, 2), gradient, of_value)
        return result, None


def _multiply(weights: Tensor, summed: Tensor, target: Tensor) -> None:
    """Sum vectors ``[H, B, F, a]`` by weights ``[H B, F, F]`` into the target ``[B, F, H, a]``."""
    heads, rows = summed.shape[:2]
    if target.dtype == torch.bfloat16:
        for head, of_head in enumerate(weights.unflatten(0, (heads, rows))):
            torch.bmm(of_head, summed[head], out=target[:, :, head])
    else:  # into a target with gaps, torch would multiply these one matrix at a time
        sums = torch.bmm(weights, summed.flatten(0, 1)).unflatten(0, (heads, rows))
        target.copy_(sums.permute(1, 2, 0, 3))


def _softmax(scores: Tensor) -> Tensor:
    """Softmax over the last axis, in float32 at least: that of bf16 is slower than this and both conversions."""
    wide = scores.to(_wide(scores))
    if scores.shape[-1] >= _FEW:
        return torch.softmax(wide, -1).to(scores.dtype)
    powers = (wide - wide.amax(-1, keepdim=True)).exp_()
    return powers.div_(powers.sum(-1, keepdim=True)).to(scores.dtype)


def _softmax_gradient(of_weights: Tensor, weights: Tensor) -> Tensor:
    """The gradient of a softmax's input from that of its output ``weights``."""
    if weights.shape[-1] >= _FEW:
        gradient: Tensor = torch.ops.aten._softmax_backward_data(of_weights, weights, weights.ndim - 1, weights.dtype)
        return gradient
    products = weights.to(_wide(weights)) * of_weights
    return products.sub_(weights * products.sum(-1, keepdim=True)).to(weights.dtype)


def _wide(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)
