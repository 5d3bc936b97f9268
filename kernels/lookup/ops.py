"""The lookup as torch operators, so that autograd, ``torch.compile`` and ``torch.export`` pass through every backend.

    plexrank::lookup            read the table; its gradient is dense
    plexrank::lookup_gradient   that gradient
    plexrank::lookup_fused      read the table; its backward pass runs
    plexrank::lookup_update     the optimiser, in place

Shapes: B batch, S slots, D width of a row, R rows, N values, M addressed values, K keys.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from kernels.lookup.bags import Bags
from kernels.lookup.kernels import kernels
from kernels.lookup.layout import TableOptimizer


@torch.library.custom_op("plexrank::lookup", mutates_args=())
def lookup(
    table: Tensor,
    values: Tensor,
    offsets: Tensor | None,
    weights: Tensor | None,
    slots: Tensor,
    keys: int,
    pooled: bool,
    backend: str,
) -> Tensor:
    """Look up; arguments and result as in :meth:`kernels.lookup.kernels.Kernels.forward`."""
    return kernels(backend).forward(table, Bags(values, offsets, weights, keys), slots, pooled=pooled)


@torch.library.custom_op("plexrank::lookup_gradient", mutates_args=())
def lookup_gradient(
    grad: Tensor,
    rows: int,
    values: Tensor,
    offsets: Tensor | None,
    weights: Tensor | None,
    slots: Tensor,
    keys: int,
    pooled: bool,
    backend: str,
) -> Tensor:
    """The dense gradient of the table, ``[R, D]``."""
    bags = Bags(values, offsets, weights, keys)
    return kernels(backend).gradient(grad, rows, bags, slots, pooled=pooled)


@torch.library.custom_op("plexrank::lookup_fused", mutates_args=())
def lookup_fused(
    anchor: Tensor,
    table: Tensor,
    states: Sequence[Tensor],
    learning_rate: Tensor,
    step: Tensor,
    values: Tensor,
    offsets: Tensor | None,
    weights: Tensor | None,
    slots: Tensor,
    keys: int,
    pooled: bool,
    backend: str,
    kind: str,
    eps: float,
    beta1: float,
    beta2: float,
) -> Tensor:
    """Look up; the backward pass applies the optimiser.

    Args:
        anchor: A scalar that wants a gradient: autograd runs a backward pass only for such an input, and the table,
            which is updated in place, is none.
        table: float32 ``[R, D]``.
        states: The optimiser's state.
        learning_rate: float64 scalar on the CPU.
        step: int64 scalar on the CPU: how often the update has been applied.
        values: int64 ``[N]``; this and the following as in ``lookup``.
        offsets: ``[K * B + 1]`` or None.
        weights: float32 ``[N]`` or None.
        slots: int64 ``[S, 6]``.
        keys: K.
        pooled: Whether bags are pooled.
        backend: Name of the kernels.
        kind: The rule; this and the following as in :class:`kernels.lookup.layout.TableOptimizer`.
        eps: Its eps.
        beta1: Its beta1.
        beta2: Its beta2.
    """
    return kernels(backend).forward(table, Bags(values, offsets, weights, keys), slots, pooled=pooled)


@torch.library.custom_op("plexrank::lookup_update", mutates_args=("table", "states", "step"))
def lookup_update(
    table: Tensor,
    states: Sequence[Tensor],
    learning_rate: Tensor,
    step: Tensor,
    grad: Tensor,
    values: Tensor,
    offsets: Tensor | None,
    weights: Tensor | None,
    slots: Tensor,
    keys: int,
    pooled: bool,
    backend: str,
    kind: str,
    eps: float,
    beta1: float,
    beta2: float,
) -> None:
    """Apply the optimiser in place; see :meth:`kernels.lookup.kernels.Kernels.update`."""
    step += 1
    rule = TableOptimizer(kind=kind, learning_rate=float(learning_rate), eps=eps, beta1=beta1, beta2=beta2)  # type: ignore[arg-type]
    bags = Bags(values, offsets, weights, keys)
    kernels(backend).update(table, states, grad, bags, slots, rule, int(step), pooled=pooled)


def _looked_up(table: Tensor, bags: Bags, slots: Tensor, *, pooled: bool) -> Tensor:
    """What a lookup gives, its numbers left out."""
    if pooled:
        return table.new_empty(bags.batch, slots.shape[0], table.shape[1])
    if bags.offsets is None:
        return table.new_empty(slots.shape[0] * bags.batch, table.shape[1])
    return table.new_empty(torch.library.get_ctx().new_dynamic_size(), table.shape[1])


@lookup.register_fake
def _(
    table: Tensor,
    values: Tensor,
    offsets: Tensor | None,
    weights: Tensor | None,
    slots: Tensor,
    keys: int,
    pooled: bool,
    backend: str,
) -> Tensor:
    return _looked_up(table, Bags(values, offsets, weights, keys), slots, pooled=pooled)


@lookup_gradient.register_fake
def _(grad: Tensor, rows: int, *rest: Any) -> Tensor:
    return grad.new_empty(rows, grad.shape[-1])


@lookup_fused.register_fake
def _(
    anchor: Tensor,
    table: Tensor,
    states: Sequence[Tensor],
    learning_rate: Tensor,
    step: Tensor,
    values: Tensor,
    offsets: Tensor | None,
    weights: Tensor | None,
    slots: Tensor,
    keys: int,
    pooled: bool,
    *rest: Any,
) -> Tensor:
    return _looked_up(table, Bags(values, offsets, weights, keys), slots, pooled=pooled)


@lookup_update.register_fake
def _(*arguments: Any) -> None:
    return None


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    table, values, offsets, weights, slots, *ctx.constants = inputs
    ctx.save_for_backward(values, offsets, weights, slots)
    ctx.rows = table.shape[0]


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    values, offsets, weights, slots = ctx.saved_tensors
    table_grad = torch.ops.plexrank.lookup_gradient(
        grad.contiguous(), ctx.rows, values, offsets, weights, slots, *ctx.constants
    )
    return table_grad, *[None] * 7


def _keep_fused(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    _, table, states, learning_rate, step, values, offsets, weights, slots, *ctx.constants = inputs
    # Kept as they are and not by save_for_backward, which would refuse a table that another lookup of the same step has
    # updated by now: the update is what the table is for.
    ctx.table, ctx.states, ctx.learning_rate, ctx.step = table, states, learning_rate, step
    ctx.save_for_backward(values, offsets, weights, slots)


def _backward_fused(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    values, offsets, weights, slots = ctx.saved_tensors
    torch.ops.plexrank.lookup_update(
        ctx.table,
        ctx.states,
        ctx.learning_rate,
        ctx.step,
        grad.contiguous(),
        values,
        offsets,
        weights,
        slots,
        *ctx.constants,
    )
    return grad.new_zeros(()), None, [None] * len(ctx.states), *[None] * 13


torch.library.register_autograd("plexrank::lookup", _backward, setup_context=_keep)
torch.library.register_autograd("plexrank::lookup_fused", _backward_fused, setup_context=_keep_fused)
