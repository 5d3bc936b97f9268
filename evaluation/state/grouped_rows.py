"""Rows pooled by group and score: all that the metrics within groups need to know."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from common.errors import DataError
from common.mixing import mix64
from evaluation._inputs import Labels, Scores, checked_groups, checked_labels, checked_scores, checked_weights
from evaluation._segments import running
from evaluation.state.partitions import Array, Partitions

Masses: TypeAlias = npt.NDArray[np.int64] | npt.NDArray[np.float64]
"""Rows, or sums of weights where rows have weights."""

_PARTITION_BITS = 8  # 256 partitions: 1 B rows make 4 M a partition


@dataclass(frozen=True)
class Ties:
    """Some groups, each with all its rows, pooled by score.

    Attributes:
        first: Where each group begins in the arrays of ties, int64, shape ``(groups,)``.
        rows: Rows of each group, int64, same shape.
        negatives: Rows of label 0 of one group and score, scores ascending within a group (int64), or the sum of
            their weights (float64), shape ``(ties,)``.
        positives: The same of label 1.
    """

    first: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
    negatives: Masses
    positives: Masses


@dataclass(frozen=True)
class PairCounts:
    """What each group has.

    Attributes:
        rows: Rows, int64, shape ``(groups,)``.
        negatives: Rows of label 0 (int64), or the sum of their weights (float64).
        positives: The same of label 1.
        halves: Pairs of a positive and a negative: 2 for each with the positive above, 1 for each tie, times the
            product of the two weights where rows have weights.
    """

    rows: npt.NDArray[np.int64]
    negatives: Masses
    positives: Masses
    halves: Masses


class GroupedRows:
    """A multiset of (label, score, group, weight): no order of rows, of chunks or of merges changes what it gives.

    Holds 14 to 26 bytes a row (label, score, group, weight) and 24 more while it sorts, in memory up to a budget and in
    a temporary file above it. Rows are kept apart by a hash of their group into 256 partitions, one of which has to fit
    in memory, with about 60 bytes a row.

    Args:
        memory_mb: Memory that rows may take before they go to the file, in MiB.
        folder: Where that file lies; the system's folder for temporary files where None.

    Attributes:
        weighted: Whether rows have weights; None before the first rows.
    """

    def __init__(self, *, memory_mb: float = 1024, folder: Path | None = None) -> None:
        self.weighted: bool | None = None
        self._partitions = Partitions(memory_mb=memory_mb, folder=folder)
        self._ties: list[Ties] | None = None
        self._pairs: PairCounts | None = None

    @classmethod
    def of(
        cls,
        labels: npt.ArrayLike,
        scores: npt.ArrayLike,
        groups: npt.ArrayLike,
        weights: npt.ArrayLike | None = None,
    ) -> "GroupedRows":
        """The state of some rows, as given to ``update``, all of it in memory."""
        made = cls(memory_mb=math.inf)
        made.update(labels, scores, groups, weights)
        return made

    @property
    def rows(self) -> int:
        """Rows seen, without those of weight 0."""
        return self._partitions.rows

    def update(
        self, labels: npt.ArrayLike, scores: npt.ArrayLike, groups: npt.ArrayLike, weights: npt.ArrayLike | None = None
    ) -> None:
        """Add rows. The arrays may be kept, not copied: leave them as they are.

        Args:
            labels: 0 or 1 a row, shape ``(rows,)``, of any boolean, integer or floating dtype.
            scores: Finite numbers of any range, shape ``(rows,)``, float32 or float64.
            groups: Integers, shape ``(rows,)``; equal values form a group.
            weights: Finite numbers of at least 0, shape ``(rows,)``; all rows of a state have weights, or none.

        Raises:
            DataError: The inputs break one of the rules above.
        """
        is_positive = checked_labels(labels)
        columns: dict[str, Array] = {
            "labels": is_positive,
            "scores": checked_scores(scores, is_positive.size),
            "groups": checked_groups(groups, is_positive.size).astype(np.int64, copy=False),
        }
        masses = checked_weights(weights, is_positive.size)
        self._require_weights(masses is not None)
        if masses is not None:
            columns["weights"] = masses
            if not masses.all():
                columns = {name: column[masses > 0] for name, column in columns.items()}
        self._partitions.update(_partition_of(columns["groups"]), **columns)
        self.weighted = masses is not None
        self._ties = self._pairs = None

    def merge(self, other: "GroupedRows") -> None:
        """Add the rows of another state, which stays as it is.

        Raises:
            DataError: Rows have weights in one of them only.
        """
        if other.weighted is None:
            return
        self._require_weights(other.weighted)
        self._partitions.merge(other._partitions)
        self.weighted = other.weighted
        self._ties = self._pairs = None

    def ties(self) -> Iterator[Ties]:
        """All groups, some at a time, each group whole.

        While all rows are in memory these are kept from the first call on, at up to 16 bytes a row.
        """
        if self._ties is not None:
            yield from self._ties
            return
        made = []
        for _, columns in self._partitions.each():
            ties = _ties(**columns)
            if not self._partitions.spilled:
                made.append(ties)
            yield ties
        if not self._partitions.spilled:
            self._ties = made

    def pairs(self) -> PairCounts:
        """The pairs of every group, groups in any order. Kept from the first call on: 32 bytes a group."""
        if self._pairs is None:
            parts = [_pairs(ties) for ties in self.ties()]
            names = ("rows", "negatives", "positives", "halves")
            empty = np.zeros(0, np.int64)
            self._pairs = PairCounts(*(np.concatenate([getattr(p, n) for p in parts] or [empty]) for n in names))
        return self._pairs

    def _require_weights(self, weighted: bool) -> None:
        if self.weighted is not None and self.weighted != weighted:
            raise DataError("some rows have weights and some have none; give weights to all or to none")


def _partition_of(groups: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    return (mix64(groups.view(np.uint64)) >> np.uint64(64 - _PARTITION_BITS)).astype(np.uint8)


def _ties(
    labels: Labels,
    scores: Scores,
    groups: npt.NDArray[np.int64],
    weights: npt.NDArray[np.float64] | None = None,
) -> Ties:
    """Sort rows by group, score and label, and pool them."""
    # One number of 64 bits a row, as NumPy sorts numbers many times faster than it sorts indices.
    keys = _group_codes(groups).astype(np.uint64) << np.uint64(33)
    keys |= _score_codes(scores).astype(np.uint64) << np.uint64(1)
    keys |= labels
    if weights is None:
        keys.sort()
    else:
        # Rows that agree in all else go by weight, so that sums of weights round alike in any order of rows.
        order = np.lexsort((weights, keys))
        keys, weights = keys[order], weights[order]
    is_positive = (keys & np.uint64(1)).astype(np.bool_)
    tie_at = np.flatnonzero(_starts(keys >> np.uint64(1)))
    first = np.flatnonzero(_starts(keys[tie_at] >> np.uint64(33)))
    rows = np.diff(tie_at[first], append=keys.size)
    if weights is None:
        positives = np.add.reduceat(is_positive, tie_at, dtype=np.int64)
        return Ties(first, rows, np.diff(tie_at, append=keys.size) - positives, positives)
    return Ties(
        first, rows, np.add.reduceat(weights * ~is_positive, tie_at), np.add.reduceat(weights * is_positive, tie_at)
    )


def _starts(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    """True where a sorted value differs from the one before."""
    return np.append(True, values[1:] != values[:-1])


def _group_codes(groups: npt.NDArray[np.int64]) -> npt.NDArray[np.integer[Any]]:
    """Numbers below 2**31 that tell groups apart."""
    lowest = int(groups.min())
    if int(groups.max()) - lowest < 2**31:
        return groups - np.int64(lowest)
    return _ranks(groups)


def _score_codes(scores: Scores) -> npt.NDArray[np.integer[Any]]:
    """Numbers below 2**32 in the order of the scores."""
    if scores.dtype != np.float32:
        return _ranks(scores)
    bits: npt.NDArray[np.uint32] = (scores + np.float32(0)).view(np.uint32)  # the sum makes -0.0 0.0
    ordered: npt.NDArray[np.uint32] = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))
    return ordered


def _ranks(values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """How many distinct values are below each."""
    ordered = np.sort(values)
    return np.searchsorted(ordered[np.append(True, ordered[1:] != ordered[:-1])], values)


def _pairs(ties: Ties) -> PairCounts:
    first, negatives = ties.first, ties.negatives
    if negatives.dtype == np.int64:
        counts = negatives.astype(np.int64, copy=False)
        before = np.cumsum(counts) - counts
        below: Masses = before - np.repeat(before[first], np.diff(first, append=before.size))
    else:
        below = running(np.add, negatives.astype(np.float64, copy=False), first) - negatives
    halves = ties.positives * (2 * below + negatives)
    sums = (np.add.reduceat(values, first) for values in (negatives, ties.positives, halves))
    return PairCounts(ties.rows, *sums)
