"""The backward pass in Triton: each distinct row's gradient is summed once, in a fixed order, and applied there.

The values' rows are sorted, so that the values that read one row lie side by side as a *segment*. Programs own equal
*chunks* of the sorted values, not segments, so that a row that many values read costs no more time than others: a
segment within a chunk is summed and applied at once; the parts of a segment that several chunks share are written down,
and a second kernel puts them together. No addition is atomic: results do not change from run to run.

Shapes: B batch, S slots, D width of a row, R rows, M addressed values.
"""

from collections.abc import Sequence
from typing import Any

import triton
import triton.language as tl
from torch import Tensor

from kernels.lookup.bags import Bags
from kernels.lookup.layout import TableOptimizer
from kernels.lookup.triton.addressing import TILE, address

_CHUNKS = 4096
"""Chunks at most: enough to keep a large GPU busy, few enough to put the parts of one segment together quickly."""


def gradient(grad: Tensor, rows: int, bags: Bags, slots: Tensor, *, pooled: bool) -> Tensor:
    """The gradient of the whole table, ``[R, D]``."""
    table = grad.new_zeros(rows, grad.shape[-1])
    _reduce_and_apply(table, (), grad, bags, slots, "gradient", (0.0,) * 5, pooled=pooled)
    return table


def update(
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
    """Apply the optimiser in place; see :meth:`kernels.lookup.kernels.Kernels.update`."""
    beta1, beta2, learning_rate = optimizer.beta1, optimizer.beta2, optimizer.learning_rate
    if optimizer.kind == "adam":
        learning_rate /= 1 - beta1**step
    numbers = (learning_rate, optimizer.eps, 1 - beta1, 1 - beta2, 1 / (1 - beta2**step))
    _reduce_and_apply(table, states, grad, bags, slots, optimizer.kind, numbers, pooled=pooled)


def _reduce_and_apply(
    table: Tensor,
    states: Sequence[Tensor],
    grad: Tensor,
    bags: Bags,
    slots: Tensor,
    kind: str,
    numbers: tuple[float, ...],
    *,
    pooled: bool,
) -> None:
    """Sum the gradients by row and apply the rule, or write the sums into a table of zeros (kind "gradient").

    Of the rule, numbers are the learning rate, eps, 1 - beta1, 1 - beta2 and 1 / (1 - beta2^t).
    """
    rows, dim = table.shape
    addresses = address(bags, slots, rows, pooled=pooled)
    count = addresses.rows.shape[0]
    if count == 0:
        return
    sorted_rows, order = addresses.rows.sort(stable=True)
    block_d = triton.next_power_of_2(dim)
    block_n = max(TILE // block_d, 2)
    tiles = triton.cdiv(count, block_n * _CHUNKS)
    chunks = triton.cdiv(count, block_n * tiles)
    parts = grad.new_empty(chunks, 2, dim)
    target = (table, *states, None, None)[:3]
    blocks: dict[str, Any] = {"KIND": kind, "DIM": dim, "BLOCK_N": block_n, "BLOCK_D": block_d}
    _reduce[(chunks,)](
        sorted_rows,
        order,
        addresses.owners,
        addresses.factors,
        grad,
        parts,
        target,
        numbers,
        count,
        tiles,
        rows,
        bags.batch,
        slots.shape[0],
        POOLED=pooled,
        **blocks,
    )
    if chunks > 1:
        _join[(chunks - 1,)](sorted_rows, parts, target, numbers, count, tiles * block_n, rows, **blocks)


@triton.jit
def _add_within_row(row_1: tl.tensor, sum_1: tl.tensor, row_2: tl.tensor, sum_2: tl.tensor) -> Any:
    """Joins two neighbouring runs of sorted rows: the sum is that of the last row."""
    return row_2, tl.where(row_1 == row_2, sum_1 + sum_2, sum_2)


@triton.jit(do_not_specialize=["count", "tiles", "rows", "batch"])
def _reduce(
    sorted_ptr: tl.tensor,
    order_ptr: tl.tensor,
    owners_ptr: tl.tensor,
    factors_ptr: tl.tensor,
    grad_ptr: tl.tensor,
    parts_ptr: tl.tensor,
    target: tl.tuple,
    numbers: tl.tuple,
    count: tl.tensor,
    tiles: tl.tensor,
    rows: tl.tensor,
    batch: tl.tensor,
    slots: tl.tensor,
    POOLED: tl.constexpr,
    KIND: tl.constexpr,
    DIM: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_D: tl.constexpr,
) -> None:
    """A program sums and applies the segments of a chunk of ``tiles * BLOCK_N`` sorted values.

    It writes parts[chunk, 0], the end of a segment that began before the chunk, and parts[chunk, 1], what the chunk has
    of the segment of its last value.
    """
    chunk = tl.program_id(0)
    n = tl.arange(0, BLOCK_N)
    d = tl.arange(0, BLOCK_D)
    wide = (d < DIM)[None, :]
    begin = chunk.to(tl.int64) * tiles * BLOCK_N
    row_before = tl.load(sorted_ptr + begin - 1, mask=begin > 0, other=-1)
    carry = tl.zeros((BLOCK_D,), dtype=tl.float32)
    carry_row = tl.full((), -1, tl.int32)
    for tile in range(0, tiles):
        i = begin + tile * BLOCK_N + n
        row = tl.load(sorted_ptr + i, mask=i < count, other=rows)
        row_after = tl.load(sorted_ptr + i + 1, mask=i + 1 < count, other=rows)
        value = tl.load(order_ptr + i, mask=i < count, other=0)
        valid = row < rows
        ends = valid & (row != row_after)
        whole = ends & (row != row_before)
        mask = whole[:, None] & wide
        at = row.to(tl.int64)[:, None] * DIM + d[None, :]
        old = _read(target, row, at, whole, mask, KIND)

        if owners_ptr is not None:
            source = tl.load(owners_ptr + value, mask=valid, other=0).to(tl.int64)
        elif POOLED:
            source = (value.to(tl.int32) % batch).to(tl.int64) * slots + value.to(tl.int32) // batch
        else:
            source = value
        grad = tl.load(grad_ptr + source[:, None] * DIM + d[None, :], mask=valid[:, None] & wide, other=0.0)
        if factors_ptr is not None:
            grad = grad * tl.load(factors_ptr + value, mask=valid, other=0.0)[:, None]

        _, total = tl.associative_scan((tl.broadcast_to(row[:, None], (BLOCK_N, BLOCK_D)), grad), 0, _add_within_row)
        total += tl.where((row == carry_row)[:, None], carry[None, :], 0.0)
        _write(target, numbers, row, at, whole, mask, old, total, KIND, DIM)
        part = (chunk.to(tl.int64) * 2) * DIM + d[None, :] + tl.zeros((BLOCK_N, 1), dtype=tl.int64)
        tl.store(parts_ptr + part, total, mask=(ends & (row == row_before))[:, None] & wide)
        last = n == BLOCK_N - 1
        carry = tl.sum(tl.where(last[:, None], total, 0.0), 0)
        carry_row = tl.sum(tl.where(last, row, 0), 0)
    tl.store(parts_ptr + (chunk.to(tl.int64) * 2 + 1) * DIM + d, carry, mask=d < DIM)


@triton.jit(do_not_specialize=["count", "length", "rows"])
def _join(
    sorted_ptr: tl.tensor,
    parts_ptr: tl.tensor,
    target: tl.tuple,
    numbers: tl.tuple,
    count: tl.tensor,
    length: tl.tensor,
    rows: tl.tensor,
    KIND: tl.constexpr,
    DIM: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_D: tl.constexpr,
) -> None:
    """A program adds up and applies the segment, if any, that begins in its chunk and goes on in the next.

    Chunks are ``length`` values long.
    """
    chunk = tl.program_id(0)
    n = tl.arange(0, BLOCK_N)
    d = tl.arange(0, BLOCK_D)
    begin = chunk.to(tl.int64) * length
    row_before = tl.load(sorted_ptr + begin - 1, mask=begin > 0, other=-1)
    row = tl.load(sorted_ptr + begin + length - 1)
    row_after = tl.load(sorted_ptr + begin + length)
    if (row == row_after) & (row != row_before) & (row < rows):
        sums = tl.zeros((BLOCK_N, BLOCK_D), dtype=tl.float32)
        next_chunk = chunk + 1
        more = row == row_after
        while more:
            at = (next_chunk + n).to(tl.int64) * length
            shares = tl.load(sorted_ptr + at, mask=at < count, other=-1) == row
            goes_on = tl.load(sorted_ptr + at + length, mask=at + length < count, other=-1) == row
            part = ((next_chunk + n).to(tl.int64) * 2 + goes_on.to(tl.int64))[:, None] * DIM + d[None, :]
            sums += tl.load(parts_ptr + part, mask=shares[:, None] & (d < DIM)[None, :], other=0.0)
            next_chunk += BLOCK_N
            more = tl.min(goes_on.to(tl.int32), 0) == 1
        begun = tl.load(parts_ptr + (chunk.to(tl.int64) * 2 + 1) * DIM + d, mask=d < DIM, other=0.0)
        total = (begun + tl.sum(sums, 0))[None, :]
        one = tl.zeros((1,), dtype=tl.int32)
        rows_1, whole = one + row, one == 0
        mask = whole[:, None] & (d < DIM)[None, :]
        at_row = rows_1.to(tl.int64)[:, None] * DIM + d[None, :]
        old = _read(target, rows_1, at_row, whole, mask, KIND)
        _write(target, numbers, rows_1, at_row, whole, mask, old, total, KIND, DIM)


@triton.jit
def _read(
    target: tl.tuple, row: tl.tensor, at: tl.tensor, whole: tl.tensor, mask: tl.tensor, KIND: tl.constexpr
) -> Any:
    """Rows and their two states, read while the gradients are on their way too; zero what the rule does not have."""
    table_ptr, first_ptr, second_ptr = target
    old = tl.zeros((1, 1), dtype=tl.float32)
    first = old
    second = old
    if KIND != "gradient":
        old = tl.load(table_ptr + at, mask=mask, other=0.0)
    if KIND == "rowwise_adagrad":
        first = tl.load(first_ptr + row, mask=whole, other=0.0)[:, None]
    if KIND == "adagrad" or KIND == "adam":
        first = tl.load(first_ptr + at, mask=mask, other=0.0)
    if KIND == "adam":
        second = tl.load(second_ptr + at, mask=mask, other=0.0)
    return old, first, second


@triton.jit
def _write(
    target: tl.tuple,
    numbers: tl.tuple,
    row: tl.tensor,
    at: tl.tensor,
    whole: tl.tensor,
    mask: tl.tensor,
    read: tl.tuple,
    total: tl.tensor,
    KIND: tl.constexpr,
    DIM: tl.constexpr,
) -> None:
    """The rules of :class:`kernels.lookup.layout.TableOptimizer`; total ``[N, D]`` is the rows' gradient."""
    table_ptr, first_ptr, second_ptr = target
    rate, eps, rest1, rest2, unbias2 = numbers
    old, first, second = read
    new = total
    if KIND == "sgd":
        new = old - rate * total
    if KIND == "rowwise_adagrad":
        first += (tl.sum(total * total, 1) / DIM)[:, None]
        tl.store(first_ptr + row[:, None], first, mask=whole[:, None])
        new = old - rate * total / (tl.sqrt(first) + eps)
    if KIND == "adagrad":
        first += total * total
        tl.store(first_ptr + at, first, mask=mask)
        new = old - rate * total / (tl.sqrt(first) + eps)
    if KIND == "adam":
        first += rest1 * (total - first)
        second += rest2 * (total * total - second)
        tl.store(first_ptr + at, first, mask=mask)
        tl.store(second_ptr + at, second, mask=mask)
        new = old - rate * first / (tl.sqrt(second * unbias2) + eps)
    tl.store(table_ptr + at, new, mask=mask)
