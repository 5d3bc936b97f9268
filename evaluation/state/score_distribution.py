"""The scores of each class in order: all that the metrics of a whole set of rows need to know."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from common.errors import DataError
from evaluation._inputs import Scores, checked_labels, checked_scores, checked_weights
from evaluation.state._runs import MIB, Array, Run, Slice, SpillFile, even, walk

Masses: TypeAlias = npt.NDArray[np.int64] | npt.NDArray[np.float64]
"""Rows, or sums of weights where rows have weights."""

_BLOCK = 2**18
_STRETCH = 2**18


@dataclass(frozen=True)
class Block:
    """A stretch of the distinct scores of a distribution, and the rows that have them.

    Attributes:
        scores: Distinct, ascending, shape ``(distinct,)``.
        negatives: Rows with label 0 at each score (int64), or the sum of their weights (float64), same shape.
        positives: The same of label 1.
        negative_squares: Sums of the squared weights; ``negatives`` itself without weights.
        positive_squares: The same of label 1.
    """

    scores: Scores
    negatives: Masses
    positives: Masses
    negative_squares: Masses
    positive_squares: Masses


class ScoreDistribution:
    """A multiset of (label, score, weight): no order of rows, of chunks or of merges changes it.

    ``-0.0`` and ``0.0`` are one score. Rows of weight 0 count as absent. float32 scores stay float32 until float64 ones
    come along.

    Rows take as much memory as their scores (with weights 16 bytes), and at times three times that while they are
    sorted. Beyond the budget they go as sorted runs to a file that vanishes with the process, a run of few distinct
    scores as these and their counts; then a walk over the blocks needs about 50 MiB beside the budget. With weights,
    one score's distinct weights must fit in memory.

    Args:
        memory_mb: The budget in MiB. An update of more rows at once than fit takes what it needs.
        folder: Where that file takes its space; the system's folder for temporary files where None.

    Attributes:
        rows: Rows seen, without those of weight 0.
        positive_rows: Those of label 1.
        lows: The least score of the negatives and that of the positives, infinity where there are none.
        highs: The greatest, minus infinity where there are none.
        weighted: Whether any rows came with weights. The others then have weight 1.
    """

    def __init__(self, *, memory_mb: float = 1024, folder: Path | None = None) -> None:
        self.rows = 0
        self.positive_rows = 0
        self.lows = [math.inf, math.inf]
        self.highs = [-math.inf, -math.inf]
        self.weighted = False
        self._budget = memory_mb * MIB
        self._folder = folder
        self._file: SpillFile | None = None
        self._dtype: np.dtype[Any] | None = None
        # Both hold the negatives' first, the positives' second.
        self._arrays: tuple[list[Array], list[Array]] = ([], [])
        self._runs: tuple[list[Run], list[Run]] = ([], [])
        self._sorted = self._walked = False
        self._blocks: tuple[Block, ...] | None = None
        self._masses: tuple[float, ...] | None = None

    @classmethod
    def of(
        cls, labels: npt.ArrayLike, scores: npt.ArrayLike, weights: npt.ArrayLike | None = None
    ) -> "ScoreDistribution":
        """The distribution of some rows, in memory."""
        made = cls()
        made.update(labels, scores, weights)
        return made

    def update(self, labels: npt.ArrayLike, scores: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> None:
        """Add rows.

        Args:
            labels: 0 or 1 a row, shape ``(rows,)``, of any boolean, integer or floating dtype.
            scores: Finite numbers of any range, shape ``(rows,)``, float32 or float64.
            weights: Numbers of at least 0, shape ``(rows,)``; None counts each row once.

        Raises:
            DataError: The inputs break one of the rules above.
            DiskError: The rows before go beyond the budget and the file cannot be written; these rows are not added.
        """
        is_positive = checked_labels(labels)
        values = checked_scores(scores, is_positive.size)
        masses = checked_weights(weights, is_positive.size)
        keys: Array = values
        if masses is not None:
            present = masses > 0
            is_positive, values, masses = is_positive[present], values[present], masses[present]
            keys = _pairs(values, masses)
        self._make_room(keys.nbytes)
        for label, mask in enumerate((~is_positive, is_positive)):
            part = np.compress(mask, keys)
            if part.size:
                part += 0.0  # makes -0.0 to 0.0
                self._arrays[label].append(part)
                self.lows[label] = min(self.lows[label], part.real.min().item())
                self.highs[label] = max(self.highs[label], part.real.max().item())
        self._dtype = values.dtype if self._dtype is None else np.promote_types(self._dtype, values.dtype)
        self.weighted |= masses is not None
        self.rows += is_positive.size
        self.positive_rows += int(is_positive.sum())
        self._forget()

    def merge(self, other: "ScoreDistribution") -> None:
        """Add the rows of another distribution, which stays as it is.

        Raises:
            DiskError: The rows here go beyond the budget and the file cannot be written; nothing is added.
        """
        self._make_room(other._held)
        for label in (0, 1):
            self._arrays[label].extend(list(other._arrays[label]))
            self._runs[label].extend(list(other._runs[label]))
        self.lows = list(map(min, self.lows, other.lows))
        self.highs = list(map(max, self.highs, other.highs))
        if other._dtype is not None:
            self._dtype = other._dtype if self._dtype is None else np.promote_types(self._dtype, other._dtype)
        self.weighted |= other.weighted
        self.rows += other.rows
        self.positive_rows += other.positive_rows
        self._forget()

    @property
    def positives(self) -> int | float:
        """Rows of label 1, or the sum of their weights."""
        return self._mass(1) if self.weighted else self.positive_rows

    @property
    def negatives(self) -> int | float:
        """Rows of label 0, or the sum of their weights."""
        return self._mass(0) if self.weighted else self.negative_rows

    @property
    def negative_rows(self) -> int:
        """Rows of label 0, without those of weight 0."""
        return self.rows - self.positive_rows

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32, or float64 where any chunk was."""
        self._require_rows()
        assert self._dtype is not None
        return self._dtype

    @property
    def low(self) -> float:
        """The least score."""
        self._require_rows()
        return min(self.lows)

    @property
    def high(self) -> float:
        """The greatest score."""
        self._require_rows()
        return max(self.highs)

    @property
    def file_bytes(self) -> int:
        """How much went to this distribution's own file."""
        return 0 if self._file is None else self._file.bytes

    def blocks(self) -> Iterator[Block]:
        """The distinct scores in ascending order, 2**18 a block: the borders depend on the rows alone.

        The first walk merges what it comes by. A second keeps the blocks for those after it where they fit into half
        of the budget.

        Raises:
            DataError: There are no rows.
        """
        self._require_rows()
        width = 40 if self.weighted else 24
        if self._blocks is None and self._walked and self.rows * width <= self._budget / 2:
            self._blocks = tuple(self._walk())
        self._walked = True
        return self._walk() if self._blocks is None else iter(self._blocks)

    def _walk(self) -> Iterator[Block]:
        self._sort()
        negatives, positives = (
            [*runs, *((array,) for array in arrays)] for runs, arrays in zip(self._runs, self._arrays, strict=True)
        )
        pooled = _weighed if self.weighted else _counted
        stretches = (
            pooled(slices[: len(negatives)], slices[len(negatives) :], self.dtype)
            for slices in walk([*negatives, *positives], _STRETCH)
        )
        for scores, *masses in even(stretches, _BLOCK):
            yield Block(scores, *masses) if self.weighted else Block(scores, *masses, *masses)

    def _mass(self, label: int) -> float:
        """The sum of a class's weights."""
        if self._masses is None:
            sums = [(float(block.negatives.sum()), float(block.positives.sum())) for block in self.blocks()]
            self._masses = tuple(map(math.fsum, zip(*sums, strict=True)))
        return self._masses[label]

    @property
    def _held(self) -> int:
        return sum(array.nbytes for arrays in self._arrays for array in arrays)

    def _make_room(self, size: int) -> None:
        """Send the rows in memory to the file if they and some more would pass the budget."""
        # Sorting takes a copy, and compacting a run two more at most.
        if not self._held or self._held + size <= self._budget / 4:
            return
        if self._file is None:
            self._file = SpillFile(self._folder)
        self._sort()
        made = [[self._file.write(_compacted(array)) for array in arrays] for arrays in self._arrays]
        for runs, arrays, written in zip(self._runs, self._arrays, made, strict=True):
            runs.extend(written)
            arrays.clear()

    def _sort(self) -> None:
        """Bring the rows of each class that are in memory into one sorted array."""
        if self._sorted:
            return
        for arrays in self._arrays:
            if arrays:
                keys = [_pairs(array) for array in arrays] if self.weighted else arrays
                whole = keys[0] if len(keys) == 1 else np.concatenate(keys)
                del keys
                arrays.clear()
                whole.sort()
                arrays.append(whole)
        self._sorted = True

    def _forget(self) -> None:
        """Drop what was derived from the rows before these."""
        self._sorted = self._walked = False
        self._blocks = self._masses = None

    def _require_rows(self) -> None:
        if not self.rows:
            raise DataError("there are no rows to evaluate; give at least one")


def _pairs(keys: Array, weights: npt.NDArray[np.float64] | None = None) -> Array:
    """Scores and weights as complex numbers, which NumPy orders by score and then by weight; pairs stay as they are."""
    if keys.dtype == np.complex128:
        return keys
    made = np.empty(keys.size, np.complex128)
    made.real = keys
    made.imag = 1.0 if weights is None else weights
    return made


def _compacted(keys: Array) -> Slice:
    """A sorted run as its distinct keys and their counts, where that is smaller."""
    last = _lasts(keys)
    distinct = np.count_nonzero(last)
    if distinct * (keys.itemsize + 8) >= keys.nbytes:
        return (keys,)
    ends = np.flatnonzero(last)
    return keys[ends], np.diff(ends, prepend=-1)


def _lasts(keys: Array) -> npt.NDArray[np.bool_]:
    """Marks the last of each stretch of equal keys."""
    last = np.ones(keys.size, np.bool_)
    np.not_equal(keys[1:], keys[:-1], out=last[:-1])
    return last


def _distinct(slices: Sequence[Slice]) -> tuple[Array, npt.NDArray[np.int64]]:
    """The distinct keys of some slices, ascending, and where each of them ends among all."""
    keys = np.concatenate([keys for keys, *_ in slices])
    # Stable is a merge sort that finds the sorted stretches; a quicksort would not.
    keys.sort(kind="stable")
    ends = np.flatnonzero(_lasts(keys))
    return keys[ends], ends


def _tally(distinct: Array, slices: Sequence[Slice]) -> npt.NDArray[np.int64]:
    """How many rows of some slices have each of the distinct keys."""
    rows = np.zeros(distinct.size, np.int64)
    for keys, *counts in slices:
        at = np.searchsorted(distinct, keys)
        if counts:
            rows[at] += counts[0]
        else:
            rows += np.bincount(at, minlength=distinct.size)
    return rows


def _counted(negatives: Sequence[Slice], positives: Sequence[Slice], dtype: np.dtype[Any]) -> Slice:
    """Distinct scores with the rows of each class that have them."""
    slices = [*negatives, *positives]
    scores, ends = _distinct(slices)
    if any(len(part) > 1 for part in slices):
        return scores.astype(dtype, copy=False), _tally(scores, negatives), _tally(scores, positives)
    rows = np.diff(ends, prepend=-1)
    # Only the rarer class is looked up.
    if sum(keys.size for (keys,) in positives) <= sum(keys.size for (keys,) in negatives):
        of_positives = _tally(scores, positives)
        return scores.astype(dtype, copy=False), rows - of_positives, of_positives
    of_negatives = _tally(scores, negatives)
    return scores.astype(dtype, copy=False), of_negatives, rows - of_negatives


def _weighed(negatives: Sequence[Slice], positives: Sequence[Slice], dtype: np.dtype[Any]) -> Slice:
    """Distinct scores with the sums of weights and of squared weights of each class."""
    sides = [_weights_of([(_pairs(keys), *counts) for keys, *counts in slices]) for slices in (negatives, positives)]
    scores, _ = _distinct([(of_side,) for of_side, _, _ in sides])
    masses = []
    for power in (1, 2):
        for side in sides:
            mass = np.zeros(scores.size)
            mass[np.searchsorted(scores, side[0])] = side[power]
            masses.append(mass)
    return scores.astype(dtype, copy=False), *masses


def _weights_of(slices: Sequence[Slice]) -> tuple[Array, Array, Array]:
    """One class's distinct scores with their sums of weights and of squared weights.

    Equal weights of a score are counted first and the rest are added in ascending order, so that the sums do not depend
    on how the rows were cut into slices.
    """
    if not slices or not any(keys.size for keys, *_ in slices):
        return (np.empty(0),) * 3
    pairs, ends = _distinct(slices)
    rows = _tally(pairs, slices) if any(len(part) > 1 for part in slices) else np.diff(ends, prepend=-1)
    weights = pairs.imag
    starts = np.flatnonzero(np.append(True, pairs.real[1:] != pairs.real[:-1]))
    return (
        pairs.real[starts],
        np.add.reduceat(weights * rows, starts),
        np.add.reduceat(weights * weights * rows, starts),
    )
