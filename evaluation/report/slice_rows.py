"""The rows of each value of a column, and the verdict on each."""

import itertools
import operator
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from common.errors import DataError
from evaluation.interval import simultaneous
from evaluation.metrics.auc import auc_of
from evaluation.metrics.calibration import calibration_ratio_of
from evaluation.metrics.logloss import logloss_of
from evaluation.report.measure import label_rate, mean_score
from evaluation.report.metric import Metric
from evaluation.report.report import Report
from evaluation.report.slices import Slice, SliceTable
from evaluation.state.partitions import Partitions
from evaluation.state.score_distribution import ScoreDistribution

MOST_SLICES = 100
"""Slices of a column that are judged where nothing else decides: the largest."""

Span = Literal["hour", "day", "week"]

_MOST_VALUES = 1_000_000
_AT_ONCE = 1_000_000  # rows of a slice that are read at once
_SPANS: dict[Span, tuple[str, str]] = {
    "hour": ("1h", "%Y-%m-%d %H:%M"),
    "day": ("1d", "%Y-%m-%d"),
    "week": ("1w", "%Y-%m-%d"),
}


class SliceRows:
    """The rows of each value of a column: a state that grows chunk by chunk.

    Args:
        column: The column.
        memory_mb: Memory that rows may take before they go to files, in MiB.
        folder: Where those files may lie; the system's folder for temporary files where None.

    Attributes:
        column: The column.
        memory_mb: As given.
        folder: As given.
        sizes: Rows of each value.
    """

    def __init__(self, column: str, *, memory_mb: int = 1024, folder: Path | None = None) -> None:
        self.column = column
        self.memory_mb = memory_mb
        self.folder = folder
        self.sizes: Counter[str] = Counter()
        self._codes: dict[str, int] = {}
        self._rows = Partitions(memory_mb=memory_mb, folder=folder)

    def update(self, values: pl.Series, **rows: npt.NDArray[Any]) -> None:
        """Add rows.

        Args:
            values: The column, String without nulls.
            **rows: What is known of each row, arrays of that many values, by name; the same names every time.

        Raises:
            DataError: The column has too many values.
        """
        counts = values.value_counts(sort=False, name="rows")
        distinct = counts.to_series(0)
        codes = [self._codes.setdefault(value, len(self._codes)) for value in distinct.to_list()]
        if len(self._codes) > _MOST_VALUES:
            raise DataError(
                f"column {self.column!r} has more than {_MOST_VALUES:,} values; slice by a column that has fewer"
            )
        self._rows.update(values.replace_strict(distinct, codes, return_dtype=pl.UInt32).to_numpy(), **rows)
        self.sizes.update(dict(counts.iter_rows()))

    def each(
        self, most: int, *, at_once: int | None = None
    ) -> Iterator[tuple[str, Iterator[dict[str, npt.NDArray[Any]]]]]:
        """The largest slices, in no particular order.

        Args:
            most: How many.
            at_once: Rows to give at once at most; None gives all of a slice.

        Yields:
            A value, and its rows as they were given, which are to be taken before the next value.
        """
        wanted = {self._codes[value]: value for value in self.largest(most)}
        rows = self._rows.each(most=at_once, codes=wanted)
        for code, pieces in itertools.groupby(rows, key=operator.itemgetter(0)):
            yield wanted[code], (columns for _, columns in pieces)

    def largest(self, most: int | None) -> list[str]:
        """The values of most rows, those first; None gives all."""
        return sorted(self.sizes, key=lambda value: (-self.sizes[value], value))[:most]


def spans(times: npt.NDArray[np.int64], span: Span) -> pl.Series:
    """The span of time each row is in, as text that sorts by time.

    Args:
        times: Microseconds since 1970, ``(rows,)``.
        span: How long one is; a week starts on Monday.
    """
    every, written = _SPANS[span]
    return pl.Series(times).cast(pl.Datetime("us")).dt.truncate(every).dt.to_string(written)


def slice_table(
    rows: SliceRows,
    whole: Report,
    *,
    level: float,
    most: int | None = MOST_SLICES,
    progress: Callable[[int], object] = lambda rows: None,
) -> SliceTable:
    """Judge each slice.

    Args:
        rows: Columns ``label``, ``score`` and, where rows have weights, ``weight``.
        whole: The report of all rows.
        level: Confidence level.
        most: Slices to judge, the largest; None judges all and puts them in the order of their values.
        progress: Called after each slice with its rows.
    """
    order = sorted(rows.sizes) if most is None else rows.largest(most)
    judged: dict[str, Slice | None] = {}
    for value, pieces in rows.each(len(order), at_once=_AT_ONCE):
        distribution = ScoreDistribution(memory_mb=rows.memory_mb, folder=rows.folder)
        for columns in pieces:
            distribution.update(columns["label"], columns["score"], columns.get("weight"))
        judged[value] = _slice(value, distribution, whole, level, len(order))
        progress(rows.sizes[value])
    slices = tuple(some for some in map(judged.__getitem__, order) if some is not None)
    return SliceTable(rows.column, slices, len(rows.sizes) - len(order), level)


def _slice(value: str, rows: ScoreDistribution, whole: Report, level: float, slices: int) -> Slice | None:
    """One slice; None where all its rows have weight 0."""
    if not rows.rows:
        return None
    expected = {"auc": whole.metric("auc").value, "calibration_ratio": 1.0}
    measured, together, flagged = [], {}, []
    for name, compute in (("auc", auc_of), ("logloss", logloss_of), ("calibration_ratio", calibration_ratio_of)):
        metric = Metric.measure(name, partial(compute, rows, level=level))
        measured.append(metric)
        if metric.interval is None:
            continue
        wide = compute(rows, level=simultaneous(level, slices)).interval
        assert wide is not None
        together[name] = wide
        center = expected.get(name)
        if center is not None and not wide.holds(center):
            flagged.append(name)
    return Slice(
        value=value,
        rows=rows.rows,
        label_rate=label_rate(rows),
        mean_score=mean_score(rows),
        metrics=tuple(measured),
        simultaneous=together,
        flagged=tuple(flagged),
    )
