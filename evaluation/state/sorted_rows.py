"""Rows in order of their score, each with the group it belongs to."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from common.errors import DataError
from evaluation._inputs import (
    Labels,
    Scores,
    Weights,
    checked_groups,
    checked_labels,
    checked_scores,
    checked_weights,
)
from evaluation.state._runs import MIB, Run, Slice, SpillFile, even, walk

_BLOCK = 2**18


@dataclass(frozen=True)
class RowBlock:
    """A stretch of rows in ascending order of their score; rows of equal score are never in two blocks.

    Attributes:
        scores: Shape ``(rows,)``.
        labels: True where the label is 1, same shape.
        groups: int64, same shape.
        weights: float64, same shape; None where no rows came with weights.
    """

    scores: Scores
    labels: Labels
    groups: npt.NDArray[np.int64]
    weights: Weights | None


class SortedRows:
    """All rows in ascending order of their score, for metrics that need to know whose each row is.

    ``-0.0`` and ``0.0`` are one score. Rows of weight 0 count as absent. Rows of equal score come in the order of their
    group, label and weight, so that the order in which rows were added changes nothing.

    A row takes the bytes of its score and 9 more, 17 with weights, and at times about four times that while rows are
    sorted. Beyond the budget rows go as sorted runs to a file that vanishes with the process; then a walk over
    the blocks needs about 50 MiB beside the budget. The rows of one score are in one block and must fit in memory.

    Args:
        memory_mb: The budget in MiB. An update of more rows at once than fit takes what it needs.
        folder: Where that file takes its space; the system's folder for temporary files where None.

    Attributes:
        rows: Rows seen, without those of weight 0.
    """

    def __init__(self, *, memory_mb: float = 1024, folder: Path | None = None) -> None:
        self.rows = 0
        self._budget = memory_mb * MIB
        self._folder = folder
        self._file: SpillFile | None = None
        # Scores, labels, groups, and weights where rows came with them.
        self._chunks: list[Slice] = []
        self._runs: list[Run] = []
        self._sorted = False

    def update(
        self, labels: npt.ArrayLike, scores: npt.ArrayLike, groups: npt.ArrayLike, weights: npt.ArrayLike | None = None
    ) -> None:
        """Add rows.

        Args:
            labels: 0 or 1 a row, shape ``(rows,)``, of any boolean, integer or floating dtype.
            scores: Finite numbers of any range, shape ``(rows,)``, float32 or float64.
            groups: Integers, shape ``(rows,)``; equal values form a group. uint64 wraps to int64.
            weights: Numbers of at least 0, shape ``(rows,)``; None counts each row once.

        Raises:
            DataError: The inputs break one of the rules above.
            DiskError: The rows before go beyond the budget and the file cannot be written; these rows are not added.
        """
        is_positive = checked_labels(labels)
        values = checked_scores(scores, is_positive.size)
        keys = checked_groups(groups, is_positive.size)
        masses = checked_weights(weights, is_positive.size)
        # Copies: whoever gave them may write into them. Adding 0 makes -0.0 to 0.0.
        chunk: Slice = (values + 0.0, is_positive.copy(), keys.astype(np.int64))
        if masses is not None:
            chunk = tuple(column[masses > 0] for column in (*chunk, masses))
        self._make_room(_bytes([chunk]))
        if chunk[0].size:
            self._chunks.append(chunk)
        self.rows += chunk[0].size
        self._sorted = False

    def merge(self, other: "SortedRows") -> None:
        """Add the rows of another, which stays as it is.

        Raises:
            DiskError: The rows here go beyond the budget and the file cannot be written; nothing is added.
        """
        self._make_room(_bytes(other._chunks))
        self._chunks.extend(list(other._chunks))
        self._runs.extend(list(other._runs))
        self.rows += other.rows
        self._sorted = False

    def blocks(self) -> Iterator[RowBlock]:
        """The rows in ascending order of their score, 2**18 a block and a few more where equal scores ask for it.

        Raises:
            DataError: There are no rows.
        """
        if not self.rows:
            raise DataError("there are no rows to evaluate; give at least one")
        return self._walk()

    def _walk(self) -> Iterator[RowBlock]:
        self._sort()
        runs: list[Run] = [*self._runs, *self._chunks]
        weighted = any(len(run) == 4 for run in runs)
        dtype = np.result_type(*(run[0].dtype for run in runs))
        stretches = (
            slices[0] if len(runs) == 1 else _joined(slices, weighted=weighted) for slices in walk(runs, _BLOCK)
        )
        for scores, labels, groups, *weights in even(stretches, _BLOCK):
            yield RowBlock(scores.astype(dtype, copy=False), labels, groups, weights[0] if weighted else None)

    def _make_room(self, size: int) -> None:
        """Send the rows in memory to the file if they and some more would pass the budget."""
        if not self._chunks or _bytes(self._chunks) + size <= self._budget / 4:
            return
        if self._file is None:
            self._file = SpillFile(self._folder)
        self._sort()
        self._runs.extend([self._file.write(chunk) for chunk in self._chunks])
        self._chunks.clear()

    def _sort(self) -> None:
        """Bring the rows in memory into one sorted chunk."""
        if self._chunks and not self._sorted:
            self._chunks = [_joined(self._chunks, weighted=any(len(chunk) == 4 for chunk in self._chunks))]
        self._sorted = True


def _bytes(chunks: Sequence[Slice]) -> int:
    return sum(column.nbytes for chunk in chunks for column in chunk)


def _joined(slices: Sequence[Slice], *, weighted: bool) -> Slice:
    """The rows of some slices in order, with weights if any of all rows have them."""
    full = [part if len(part) == 4 or not weighted else (*part, np.ones(part[0].size)) for part in slices]
    columns = tuple(map(np.concatenate, zip(*full, strict=True)))
    order = np.argsort(columns[0])
    scores = columns[0][order]
    equal = scores[1:] == scores[:-1]
    tied = np.flatnonzero(np.append(equal, False) | np.append(False, equal))
    if tied.size:
        rows = order[tied]
        labels, groups, *weights = (column[rows] for column in columns[1:])
        order[tied] = rows[np.lexsort((*weights, labels, groups, scores[tied]))]
    return (scores, *(column[order] for column in columns[1:]))
