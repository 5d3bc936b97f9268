"""The forward pass in Triton: mix, address, gather and pool in one kernel.

Shapes: B batch, S slots, D width of a row, R rows, N values, M addressed values, L places of a bag.
"""

import triton
import triton.language as tl
from torch import Tensor

from kernels.addressing import KEY
from kernels.lookup.bags import Bags
from kernels.lookup.triton.addressing import TILE, block_of_places, load_slot, rows_of, slot_facts, values_before


def pool(table: Tensor, bags: Bags, slots: Tensor) -> Tensor:
    """Sum or average each bag: contiguous ``[B, S, D]``."""
    count, dim = slots.shape[0], table.shape[1]
    output = table.new_empty(bags.batch, count, dim)
    block_d = triton.next_power_of_2(dim)
    lines = max(TILE // block_d, 1)
    block_l = 1 if bags.offsets is None else min(block_of_places(bags), lines)
    block_b = lines // block_l
    if output.numel():
        _pool[(count * triton.cdiv(bags.batch, block_b),)](
            table,
            bags.values,
            bags.offsets,
            bags.weights,
            slots,
            output,
            bags.batch,
            count,
            DIM=dim,
            BLOCK_B=block_b,
            BLOCK_L=block_l,
            BLOCK_D=block_d,
        )
    return output


def gather(table: Tensor, bags: Bags, slots: Tensor) -> Tensor:
    """Read a row a value: contiguous ``[M, D]``, slot-major, then batch.

    Where keys differ in their number of slots, M is known on the device only, and the host waits for it.
    """
    count, dim = slots.shape[0], table.shape[1]
    output = table.new_empty(_addressed(bags, slots), dim)
    block_d = triton.next_power_of_2(dim)
    block_n = max(TILE // block_d, 1)
    if output.numel():
        _gather[(count * triton.cdiv(bags.batch, block_n),)](
            table,
            bags.values,
            bags.offsets,
            slots,
            output,
            bags.batch,
            count,
            DIM=dim,
            BLOCK_S=triton.next_power_of_2(count),
            BLOCK_N=block_n,
            BLOCK_D=block_d,
        )
    return output


def _addressed(bags: Bags, slots: Tensor) -> int:
    """Number M of addressed values."""
    if bags.offsets is None:
        return slots.shape[0] * bags.batch
    facts = slot_facts(slots, bags.keys)
    if facts.most == facts.least:
        return bags.values.shape[0] * facts.most
    values_K = bags.offsets[:: bags.batch].diff()
    return int(values_K[slots[:, KEY]].sum())


# Programs of one part of the batch run side by side for all slots (the slot varies fastest), so that the lines of the
# output [B, S, D], shared by slots where rows are narrow, are put together in the cache.


@triton.jit(do_not_specialize=["batch"])
def _pool(
    table_ptr: tl.tensor,
    values_ptr: tl.tensor,
    offsets_ptr: tl.tensor,
    weights_ptr: tl.tensor,
    slots_ptr: tl.tensor,
    output_ptr: tl.tensor,
    batch: tl.tensor,
    slots: tl.tensor,
    DIM: tl.constexpr,
    BLOCK_B: tl.constexpr,
    BLOCK_L: tl.constexpr,
    BLOCK_D: tl.constexpr,
) -> None:
    """A program pools BLOCK_B bags of a slot, BLOCK_L places of each at a time."""
    slot = tl.program_id(0) % slots
    d = tl.arange(0, BLOCK_D)
    key, seed, base, rows, mixed, mean = load_slot(slots_ptr, slot)
    # BLOCK_L neighbouring lines of a tile [BLOCK_B * BLOCK_L, D] belong to one bag.
    line = tl.arange(0, BLOCK_B * BLOCK_L)
    b = (tl.program_id(0) // slots) * BLOCK_B + line // BLOCK_L
    bag = key * batch + b
    in_batch = b < batch
    if offsets_ptr is None:
        token = tl.load(values_ptr + bag, mask=in_batch, other=0)
        row = rows_of(token, seed, base, rows, mixed)
        mask = in_batch[:, None] & (d < DIM)[None, :]
        pooled = tl.load(table_ptr + row[:, None] * DIM + d[None, :], mask=mask, other=0.0)
        if weights_ptr is not None:
            pooled = pooled * tl.load(weights_ptr + bag, mask=in_batch, other=0.0)[:, None]
    else:
        begin = tl.load(offsets_ptr + bag, mask=in_batch, other=0).to(tl.int64)
        end = tl.load(offsets_ptr + bag + 1, mask=in_batch, other=0).to(tl.int64)
        pooled = tl.zeros((BLOCK_B * BLOCK_L, BLOCK_D), dtype=tl.float32)
        for first in range(0, tl.max(end - begin, 0).to(tl.int32), BLOCK_L):
            place = begin + first + line % BLOCK_L
            valid = place < end
            token = tl.load(values_ptr + place, mask=valid, other=0)
            # The mask follows from the row and not from `valid`, which Triton 3.6 and 3.7 fail to lay out twice.
            row = tl.where(valid, rows_of(token, seed, base, rows, mixed), -1)
            mask = (row >= 0)[:, None] & (d < DIM)[None, :]
            read = tl.load(table_ptr + row[:, None] * DIM + d[None, :], mask=mask, other=0.0)
            if weights_ptr is not None:
                read = read * tl.load(weights_ptr + place, mask=valid, other=0.0)[:, None]
            pooled += read
        pooled = pooled * tl.where(mean, 1.0 / tl.maximum(end - begin, 1).to(tl.float32), 1.0)[:, None]
        if BLOCK_L > 1:
            pooled = tl.sum(tl.reshape(pooled, (BLOCK_B, BLOCK_L, BLOCK_D)), 1)
    b = (tl.program_id(0) // slots) * BLOCK_B + tl.arange(0, BLOCK_B)
    to = (b.to(tl.int64) * slots + slot)[:, None] * DIM + d[None, :]
    tl.store(output_ptr + to, pooled, mask=(b < batch)[:, None] & (d < DIM)[None, :])


@triton.jit(do_not_specialize=["batch"])
def _gather(
    table_ptr: tl.tensor,
    values_ptr: tl.tensor,
    offsets_ptr: tl.tensor,
    slots_ptr: tl.tensor,
    output_ptr: tl.tensor,
    batch: tl.tensor,
    slots: tl.tensor,
    DIM: tl.constexpr,
    BLOCK_S: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_D: tl.constexpr,
) -> None:
    """A program reads the values of BLOCK_N bags of a slot, BLOCK_N values at a time."""
    slot = tl.program_id(0) % slots
    b = (tl.program_id(0) // slots) * BLOCK_N
    d = tl.arange(0, BLOCK_D)
    key, seed, base, rows, mixed, _ = load_slot(slots_ptr, slot)
    begin = key * batch + b
    end = key * batch + tl.minimum(b + BLOCK_N, batch)
    shift = (slot - key) * batch
    if offsets_ptr is not None:
        begin = tl.load(offsets_ptr + begin).to(tl.int64)
        end = tl.load(offsets_ptr + end).to(tl.int64)
        shift = values_before(slot, slots_ptr, offsets_ptr, batch, BLOCK_S) - tl.load(offsets_ptr + key * batch)
    for first in range(begin, end, BLOCK_N):
        place = first + tl.arange(0, BLOCK_N)
        valid = place < end
        row = rows_of(tl.load(values_ptr + place, mask=valid, other=0), seed, base, rows, mixed)
        mask = valid[:, None] & (d < DIM)[None, :]
        read = tl.load(table_ptr + row[:, None] * DIM + d[None, :], mask=mask, other=0.0)
        tl.store(output_ptr + (place + shift)[:, None] * DIM + d[None, :], read, mask=mask)
