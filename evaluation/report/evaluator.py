"""Judges one model's predictions, chunk by chunk."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy.typing as npt

from evaluation.estimate import Estimate
from evaluation.interval import LEVEL, quantile
from evaluation.metrics.bootstrap import bootstrap_of
from evaluation.report.curves import curves_of
from evaluation.report.evaluation import Evaluation
from evaluation.report.measure import K, report_of
from evaluation.report.report import Report
from evaluation.report.slice_rows import MOST_SLICES, SliceRows, Span, slice_table, spans
from evaluation.report.slices import SliceTable
from evaluation.rows.columns import Columns
from evaluation.rows.rows import Rows
from evaluation.state.grouped_rows import GroupedRows
from evaluation.state.score_distribution import ScoreDistribution
from evaluation.state.sorted_rows import SortedRows

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much is done and how much there is."""


def unseen(phase: str, done: int, total: int) -> None:
    """Show no progress."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is to be measured, and how.

    Attributes:
        level: Confidence level of every interval.
        k: How many of a request's first candidates NDCG and the hit rate look at.
        most_slices: Slices of a column to judge, the largest.
        span: What one point of a metric over time covers.
        replicates: Of the bootstrap by group, whose intervals then take the place of those that hold rows for
            independent; 0 leaves it out.
        seed: Of the bootstrap.
        memory_mb: Memory that rows may take, all states together, before they go to files, in MiB.
        folder: Where those files may lie; the system's folder for temporary files where None.

    Raises:
        ConfigError: The level is not between 0 and 1.
    """

    level: float = LEVEL
    k: int = K
    most_slices: int = MOST_SLICES
    span: Span = "day"
    replicates: int = 0
    seed: int = 0
    memory_mb: int = 2048
    folder: Path | None = None

    def __post_init__(self) -> None:
        quantile(self.level)  # refuses a wrong one before any row is read


class Evaluator:
    """Judges one model: a state that grows chunk by chunk.

    Args:
        columns: Which columns rows will have.
        wanted: What is to be measured.
    """

    def __init__(self, columns: Columns, wanted: Wanted) -> None:
        self._wanted = wanted
        sampled = bool(columns.group and wanted.replicates)
        optional = (columns.group, columns.request, columns.time, sampled, *columns.slices)
        share = max(wanted.memory_mb // (1 + sum(map(bool, optional))), 1)
        self._distribution = ScoreDistribution(memory_mb=share, folder=wanted.folder)
        self._grouped = GroupedRows(memory_mb=share, folder=wanted.folder) if columns.group else None
        self._requests = GroupedRows(memory_mb=share, folder=wanted.folder) if columns.request else None
        self._sorted = SortedRows(memory_mb=share, folder=wanted.folder) if sampled else None
        self._slices = [SliceRows(name, memory_mb=share, folder=wanted.folder) for name in columns.slices]
        self._times = SliceRows(columns.time, memory_mb=share, folder=wanted.folder) if columns.time else None

    def update(self, rows: Rows) -> None:
        """Add rows; of their scores the first model's.

        Raises:
            DataError: A column has too many values to slice by.
        """
        labels, scores, weights = rows.labels, rows.scores[0], rows.weights
        self._distribution.update(labels, scores, weights)
        if self._grouped is not None and rows.groups is not None:
            self._grouped.update(labels, scores, rows.groups, weights)
        if self._requests is not None and rows.requests is not None:
            self._requests.update(labels, scores, rows.requests, weights)
        if self._sorted is not None and rows.groups is not None:
            self._sorted.update(labels, scores, rows.groups, weights)
        known: dict[str, npt.NDArray[Any]] = {"label": labels, "score": scores}
        if weights is not None:
            known["weight"] = weights
        for some in self._slices:
            some.update(rows.slices[some.column], **known)
        if self._times is not None and rows.times is not None:
            self._times.update(spans(rows.times, self._wanted.span), **known)

    def evaluation(self, title: str, progress: Progress = unseen) -> Evaluation:
        """Judge what was seen.

        Args:
            title: The model and the rows, in a line.
            progress: Called as the work goes on.

        Raises:
            DataError: There are no rows.
        """
        level = self._wanted.level
        report = report_of(
            self._distribution,
            self._grouped,
            self._requests,
            k=self._wanted.k,
            level=level,
            bootstrapped=self._bootstrapped(progress),
            progress=partial(progress, "measure"),
        )
        return Evaluation(
            title=title,
            report=report,
            curves=curves_of(self._distribution),
            slices=tuple(self._table(some, report, progress, self._wanted.most_slices) for some in self._slices),
            times=None if self._times is None else self._table(self._times, report, progress, None),
        )

    def _bootstrapped(self, progress: Progress) -> dict[str, Estimate]:
        if self._sorted is None:
            return {}
        return dict(
            bootstrap_of(
                self._sorted,
                replicates=self._wanted.replicates,
                seed=self._wanted.seed,
                level=self._wanted.level,
                progress=lambda done, total: progress("resample", done, total),
            )
        )

    def _table(self, rows: SliceRows, report: Report, progress: Progress, most: int | None) -> SliceTable:
        total, done = sum(rows.sizes[value] for value in rows.largest(most)), 0

        def advance(size: int) -> None:
            nonlocal done
            done += size
            progress(f"by {rows.column}", done, total)

        return slice_table(rows, report, level=self._wanted.level, most=most, progress=advance)
