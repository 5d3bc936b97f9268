"""Addressing: which row of the one table a token reads.

A *slot* is a (feature, probe) pair. With ``seed``, ``base`` and ``rows`` of its slot, a token reads

    row = base + fastrange32(mix64(token XOR seed), rows)      slots of hashed tokens
    row = base + id                                            slots of vocabulary ids

``mix64`` is the finaliser of splitmix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators");
``fastrange32(h, n) = ((h >> 32) * n) >> 32`` maps a hash to ``[0, n)`` without a division (Lemire 2019, "Fast random
integer generation in an interval"). All arithmetic is on unsigned 64 bits; torch has no shifts for those, so the torch
version works on the same bits held as int64. NumPy and torch give the same rows to the bit.

Slot shapes: S slots, M tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import xxhash
from numpy.typing import NDArray
from torch import Tensor

from common.mixing import mix64

MAX_ROWS = 2**31 - 1
"""Largest table: fastrange32 spreads 32 bits, and (2^32 - 1) * rows must fit into a signed 64-bit product."""

UNSEEN_ID = 1
"""The vocabulary id of a value that was not in the training rows."""

KEY, SEED, BASE, ROWS, MIXED, MEAN = range(6)
"""Columns of slots as a tensor."""

_M1, _M2 = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_MASK64 = 2**64 - 1


@dataclass(frozen=True, kw_only=True)
class Slot:
    """One way into the table.

    Attributes:
        key: Position of the feature among the keys of the sparse input.
        seed: Unsigned 64-bit seed that keeps slots apart; unused where ``mixed`` is off.
        base: First row of the slot's range.
        rows: Rows in the range.
        mixed: Whether tokens are hashes (mixed and ranged) or vocabulary ids (added to ``base``).
        mean: Whether several tokens of a feature are averaged rather than summed.
    """

    key: int
    seed: int
    base: int
    rows: int
    mixed: bool
    mean: bool = False

    def __post_init__(self) -> None:
        if not (0 <= self.seed <= _MASK64 and self.base >= 0 and self.rows >= 1 and self.base + self.rows <= MAX_ROWS):
            raise ValueError(f"slot out of range: {self}")


def slot_seed(feature: str, probe: int) -> int:
    """Seed of a (feature, probe) pair: xxh3-64 of the feature's *name*, seeded with the probe.

    The name, not the position: adding or reordering features leaves every other feature's rows where they were.
    """
    return xxhash.xxh3_64_intdigest(feature.encode(), seed=probe)


def fastrange32_numpy(h: NDArray[np.uint64], rows: int) -> NDArray[np.int64]:
    """Map uint64 hashes to int64 in ``[0, rows)`` by their upper 32 bits."""
    return (((h >> np.uint64(32)) * np.uint64(rows)) >> np.uint64(32)).astype(np.int64)


def rows_numpy(tokens: NDArray[np.int64], slot: Slot) -> NDArray[np.int64]:
    """Table rows that tokens read through one slot.

    Args:
        tokens: int64 tokens or ids, any shape.
        slot: The slot.

    Returns:
        int64 rows, the shape of ``tokens``, each in ``[base, base + rows)``.
    """
    if slot.mixed:
        hashed = mix64(tokens.view(np.uint64) ^ np.uint64(slot.seed))
        return fastrange32_numpy(hashed, slot.rows) + slot.base
    inside = (tokens >= 0) & (tokens < slot.rows)
    return np.where(inside, tokens, UNSEEN_ID) + slot.base


def mix64_torch(x: Tensor) -> Tensor:
    """splitmix64's finaliser on unsigned 64 bits held as int64, any shape."""
    x = _shift_right(x, 30).bitwise_xor_(x).mul_(_signed(_M1))
    x = _shift_right(x, 27).bitwise_xor_(x).mul_(_signed(_M2))
    return _shift_right(x, 31).bitwise_xor_(x)


def fastrange32_torch(h: Tensor, rows: Tensor | int) -> Tensor:
    """Map hashes (unsigned 64 bits held as int64) to int64 in ``[0, rows)``; ``rows`` broadcasts to their shape."""
    # Below 2^63 as rows < 2^31, so the arithmetic shift is the logical one.
    return _shift_right(h, 32).mul_(rows).bitwise_right_shift_(32)


def slot_tensor(slots: Sequence[Slot]) -> Tensor:
    """Slots as int64 ``[S, 6]``: a slot a row; the columns are KEY, SEED (its 64 bits), BASE, ROWS, MIXED and MEAN."""
    return torch.tensor([[s.key, _signed(s.seed), s.base, s.rows, s.mixed, s.mean] for s in slots])


def rows_torch(tokens: Tensor, slots: Tensor) -> Tensor:
    """Table rows that tokens read, each through a slot of its own.

    Args:
        tokens: int64 tokens or ids.
        slots: int64 ``[..., 6]`` as of :func:`slot_tensor`; without its last axis it broadcasts against ``tokens``.

    Returns:
        int64 rows of the broadcast shape.
    """
    rows = slots[..., ROWS]
    found = fastrange32_torch(mix64_torch(tokens ^ slots[..., SEED]), rows)
    # On a GPU to look would be to wait.
    if slots.is_cuda or not slots[..., MIXED].all():
        inside = (tokens >= 0) & (tokens < rows)
        found = torch.where(slots[..., MIXED].bool(), found, torch.where(inside, tokens, UNSEEN_ID))
    return found.add_(slots[..., BASE])


def _shift_right(x: Tensor, bits: int) -> Tensor:
    """Logical right shift of unsigned 64 bits held as int64; a new tensor, so that what follows may work in place.

    A temporary of some megabytes costs more to allocate than to compute.
    """
    return (x >> bits).bitwise_and_((1 << (64 - bits)) - 1)


def _signed(x: int) -> int:
    """The int64 with the bits of an unsigned 64-bit integer."""
    return x - 2**64 if x >= 2**63 else x
