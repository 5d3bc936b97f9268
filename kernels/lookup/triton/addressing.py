"""Addressing in Triton: the rows of :mod:`kernels.addressing` to the bit, within other kernels and for a whole batch.

Shapes: B batch, S slots, N values, M addressed values (each value once a slot of its key), L places of a bag.
"""

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from kernels import addressing
from kernels.lookup.bags import Bags

TILE = 2048
"""Floats a program holds of a tensor at a time: four accesses of 16 bytes in flight a thread of its four warps."""

_KEY = tl.constexpr(addressing.KEY)
_SEED = tl.constexpr(addressing.SEED)
_BASE = tl.constexpr(addressing.BASE)
_ROWS = tl.constexpr(addressing.ROWS)
_MIXED = tl.constexpr(addressing.MIXED)
_MEAN = tl.constexpr(addressing.MEAN)
_COLUMNS = tl.constexpr(6)
_UNSEEN_ID = tl.constexpr(addressing.UNSEEN_ID)


@triton.jit
def load_slot(slots_ptr: tl.tensor, slot: tl.tensor) -> Any:
    """Key, seed, base, rows, whether mixed and whether averaged of a slot: int64 scalars."""
    at = slots_ptr + slot * _COLUMNS
    return (
        tl.load(at + _KEY),
        tl.load(at + _SEED),
        tl.load(at + _BASE),
        tl.load(at + _ROWS),
        tl.load(at + _MIXED) != 0,
        tl.load(at + _MEAN) != 0,
    )


@triton.jit
def rows_of(token: tl.tensor, seed: tl.tensor, base: tl.tensor, rows: tl.tensor, mixed: tl.tensor) -> Any:
    """int64 rows that int64 tokens of any shape read through a slot."""
    x = token.to(tl.uint64, bitcast=True) ^ seed.to(tl.uint64, bitcast=True)
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB
    x = x ^ (x >> 31)
    hashed = ((x >> 32) * rows.to(tl.uint64, bitcast=True)) >> 32
    known = tl.where((token >= 0) & (token < rows), token, _UNSEEN_ID)
    return tl.where(mixed, hashed.to(tl.int64, bitcast=True), known) + base


@triton.jit
def values_before(
    slot: tl.tensor, slots_ptr: tl.tensor, offsets_ptr: tl.tensor, batch: tl.tensor, BLOCK_S: tl.constexpr
) -> Any:
    """Addressed values of the slots before a slot, int64."""
    s = tl.arange(0, BLOCK_S)
    before = s < slot
    key = tl.load(slots_ptr + s * _COLUMNS + _KEY, mask=before, other=0)
    begin = tl.load(offsets_ptr + key * batch, mask=before, other=0)
    end = tl.load(offsets_ptr + (key + 1) * batch, mask=before, other=0)
    return tl.sum((end - begin).to(tl.int64), 0)


@dataclass(frozen=True)
class Addresses:
    """Values after addressing, slot-major, then batch.

    Attributes:
        rows: int32 ``[M]``; with bags, the end is filled up with the number of the table's rows.
        owners: int32 ``[M]``: which row of the output, seen as ``[B * S, D]``, each value went into. None without
            pooling, where it is the value's own, and without bags, where it follows from the value's number.
        factors: float32 ``[M]``: weights, divided by the length of the bag in a mean; None where all are 1.
    """

    rows: Tensor
    owners: Tensor | None
    factors: Tensor | None


def address(bags: Bags, slots: Tensor, rows: int, *, pooled: bool) -> Addresses:
    """Address a batch.

    Args:
        bags: The values.
        slots: int64 ``[S, 6]``.
        rows: Of the table.
        pooled: Whether the output pools bags.

    Returns:
        The addresses.
    """
    if bags.offsets is None:
        found = torch.empty(slots.shape[0] * bags.batch, dtype=torch.int32, device=slots.device)
        owners, mean = None, False
    else:
        facts = slot_facts(slots, bags.keys)
        found = torch.full((bags.values.shape[0] * facts.most,), rows, dtype=torch.int32, device=slots.device)
        owners, mean = torch.empty_like(found) if pooled else None, facts.mean
    weighted = pooled and (mean or bags.weights is not None)
    factors = torch.empty_like(found, dtype=torch.float32) if weighted else None
    if found.numel():
        block_l = block_of_places(bags)
        block_b = 512 // block_l
        _address[(slots.shape[0] * triton.cdiv(bags.batch, block_b),)](
            bags.values,
            bags.offsets,
            bags.weights,
            slots,
            found,
            owners,
            factors,
            bags.batch,
            slots.shape[0],
            BLOCK_S=triton.next_power_of_2(slots.shape[0]),
            BLOCK_B=block_b,
            BLOCK_L=block_l,
        )
    return Addresses(found, owners, factors)


@triton.jit(do_not_specialize=["batch"])
def _address(
    values_ptr: tl.tensor,
    offsets_ptr: tl.tensor,
    weights_ptr: tl.tensor,
    slots_ptr: tl.tensor,
    rows_ptr: tl.tensor,
    owners_ptr: tl.tensor,
    factors_ptr: tl.tensor,
    batch: tl.tensor,
    slots: tl.tensor,
    BLOCK_S: tl.constexpr,
    BLOCK_B: tl.constexpr,
    BLOCK_L: tl.constexpr,
) -> None:
    """A program writes the addresses of BLOCK_B bags of a slot."""
    slot = tl.program_id(0) % slots
    key, seed, base, rows, mixed, mean = load_slot(slots_ptr, slot)
    line = tl.arange(0, BLOCK_B * BLOCK_L)  # BLOCK_L neighbouring lines belong to one bag
    b = (tl.program_id(0) // slots) * BLOCK_B + line // BLOCK_L
    bag = key * batch + b
    in_batch = b < batch
    if offsets_ptr is None:
        token = tl.load(values_ptr + bag, mask=in_batch, other=0)
        to = slot.to(tl.int64) * batch + b
        tl.store(rows_ptr + to, rows_of(token, seed, base, rows, mixed).to(tl.int32), mask=in_batch)
        if factors_ptr is not None:
            tl.store(factors_ptr + to, tl.load(weights_ptr + bag, mask=in_batch, other=0.0), mask=in_batch)
    else:
        begin = tl.load(offsets_ptr + bag, mask=in_batch, other=0).to(tl.int64)
        end = tl.load(offsets_ptr + bag + 1, mask=in_batch, other=0).to(tl.int64)
        shift = values_before(slot, slots_ptr, offsets_ptr, batch, BLOCK_S) - tl.load(offsets_ptr + key * batch)
        share = tl.where(mean, 1.0 / tl.maximum(end - begin, 1).to(tl.float32), 1.0)
        for first in range(0, tl.max(end - begin, 0).to(tl.int32), BLOCK_L):
            place = begin + first + line % BLOCK_L
            valid = place < end
            token = tl.load(values_ptr + place, mask=valid, other=0)
            tl.store(rows_ptr + place + shift, rows_of(token, seed, base, rows, mixed).to(tl.int32), mask=valid)
            if owners_ptr is not None:
                tl.store(owners_ptr + place + shift, b * slots + slot, mask=valid)
            if factors_ptr is not None:
                factor = share
                if weights_ptr is not None:
                    factor = factor * tl.load(weights_ptr + place, mask=valid, other=0.0)
                tl.store(factors_ptr + place + shift, factor, mask=valid)


def block_of_places(bags: Bags) -> int:
    """Places of a bag that a program looks at together: a fourth of the mean length, a power of two.

    The mean, as it is known without waiting for the device; a fourth, as bags of other features may be much shorter.
    """
    fourth = bags.values.shape[0] // max(4 * bags.keys * bags.batch, 1)
    return min(1 << fourth.bit_length(), 32)


@dataclass(frozen=True)
class SlotFacts:
    """What the host must know of slots.

    Attributes:
        most: Slots of the key that has most.
        least: Slots of the key that has fewest.
        mean: Whether a slot averages.
    """

    most: int
    least: int
    mean: bool


def slot_facts(slots: Tensor, keys: int) -> SlotFacts:
    """Read slots ``[S, 6]`` from the device: once, as they never change."""
    facts = _facts.get(slots)
    if facts is None:
        slots_of_key = torch.bincount(slots[:, addressing.KEY], minlength=keys)
        most, least, mean = torch.stack(
            [slots_of_key.max(), slots_of_key.min(), slots[:, addressing.MEAN].max()]
        ).tolist()
        facts = _facts[slots] = SlotFacts(most, least, bool(mean))
    return facts


_facts: MutableMapping[Tensor, SlotFacts] = WeakTensorKeyDictionary()
