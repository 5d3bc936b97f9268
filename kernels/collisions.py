"""Collisions: how many of a feature's values share their rows with others, expected and counted.

Two values collide *within* a slot when they read the same row through it: the model cannot tell them apart there. A
value collides *between* slots when its row is read through another slot too, of another feature or of another probe of
its own. The layers above read every slot by weights of their own, which learn to keep the slots' parts of a row nearly
orthogonal, so such collisions cost little (Coleman et al. 2023, "Unified Embedding", arXiv 2305.12102).

With a uniform hash into M rows, V values of the slot and V' reads through the other slots of the same M rows:

    within                 1 - (1 - 1/M)^(V - 1)
    between                1 - (1 - 1/M)^V'
    within, in all probes  1 - (1 - 1/M^P)^(V - 1)       with one same other value, of P probes
    rows in use            M (1 - (1 - 1/M)^reads)

Shapes: V values of a feature, P probes, U rows in use.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import expm1, log1p

import numpy as np
from numpy.typing import NDArray

from kernels.addressing import Slot, rows_numpy


@dataclass(frozen=True)
class Readers:
    """A feature's distinct values and the slots they read.

    Attributes:
        slots: A slot a probe; all mixed, with one range, or none mixed.
        values: Distinct tokens or ids, int64 ``[V]``.
    """

    slots: tuple[Slot, ...]
    values: NDArray[np.int64]


@dataclass(frozen=True)
class Share:
    """A share of a feature's values, in [0, 1]: what uniform hashing leads to expect, and what is."""

    expected: float
    measured: float


@dataclass(frozen=True)
class SlotCollisions:
    """Collisions of the values that read through one slot.

    Attributes:
        rows: Rows M of the slot's range.
        used: How many of them its values read.
        within: Share of values that share their row with another value of the slot.
        between: Share of values whose row is read through another slot too.
    """

    rows: int
    used: int
    within: Share
    between: Share


@dataclass(frozen=True)
class Collisions:
    """Collisions of a feature's values.

    Attributes:
        values: Number V of distinct values.
        slots: A slot a probe.
        in_all: Share of values that share every probe's row with one same other value, so that nothing tells the two
            apart; of a single probe the same as ``within``.
    """

    values: int
    slots: tuple[SlotCollisions, ...]
    in_all: Share


@dataclass(frozen=True)
class Usage:
    """Rows of the table that some value reads."""

    expected: float
    measured: int


def collisions(readers: Sequence[Readers]) -> tuple[list[Collisions], Usage]:
    """Count the collisions of all features of a table.

    Takes memory in proportion to the values times the probes, not to the table.

    Args:
        readers: The features. The ranges of any two mixed slots are the same or apart.

    Returns:
        The collisions of each feature, and the use of the table.
    """
    # A slot's rows that are in use, rising, and how many of its values read each.
    uses = [
        [np.unique(rows_numpy(reader.values, slot), return_counts=True) for slot in reader.slots] for reader in readers
    ]
    every = [used for feature in uses for used, _ in feature]
    rows_U, slots_U = np.unique(np.concatenate(every) if every else np.empty(0, np.int64), return_counts=True)
    reads: dict[tuple[int, int], int] = {}  # through all the mixed slots of a range
    for reader in readers:
        for slot in reader.slots:
            if slot.mixed:
                reads[slot.base, slot.rows] = reads.get((slot.base, slot.rows), 0) + reader.values.size

    found = []
    for reader, feature in zip(readers, uses, strict=True):
        total = reader.values.size
        slots = []
        for slot, (used, counts) in zip(reader.slots, feature, strict=True):
            others = reads[slot.base, slot.rows] - total if slot.mixed else 0
            shared = slots_U[np.searchsorted(rows_U, used)] > 1
            within = Share(_hit(slot.rows, total - 1) if slot.mixed else 0.0, _share(counts[counts > 1], total))
            between = Share(_hit(slot.rows, others), _share(counts[shared], total))
            slots.append(SlotCollisions(slot.rows, used.size, within, between))
        found.append(Collisions(total, tuple(slots), _in_all(reader)))
    mixed = sum(rows * _hit(rows, count) for (_, rows), count in reads.items())
    full = sum(reader.values.size for reader in readers for slot in reader.slots if not slot.mixed)
    return found, Usage(mixed + full, rows_U.size)


def _in_all(reader: Readers) -> Share:
    """Collisions in every probe at once."""
    key_V = np.zeros(reader.values.size, np.int64)  # equal for values whose rows have been the same so far
    combinations = 1.0
    for slot in reader.slots:
        joined = key_V * slot.rows + rows_numpy(reader.values, slot) - slot.base
        _, key_V, counts = np.unique(joined, return_inverse=True, return_counts=True)
        combinations *= slot.rows
    mixed = any(slot.mixed for slot in reader.slots)
    measured = _share(counts[counts > 1], reader.values.size)
    return Share(_hit(combinations, reader.values.size - 1) if mixed else 0.0, measured)


def _hit(rows: float, reads: int) -> float:
    """Probability that at least one of ``reads`` uniform reads hits a given one of ``rows``."""
    if reads <= 0:
        return 0.0
    return 1.0 if rows <= 1 else -expm1(reads * log1p(-1 / rows))


def _share(counts: NDArray[np.int64], total: int) -> float:
    return float(counts.sum() / total) if total else 0.0
