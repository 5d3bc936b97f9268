"""Compares models on the same rows, chunk by chunk."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from common.errors import ConfigError, DataError, did_you_mean
from evaluation._inputs import Groups, Labels, Scores, Weights
from evaluation.estimate import PairedDifference
from evaluation.interval import simultaneous
from evaluation.metrics.bootstrap import paired_bootstrap
from evaluation.metrics.delong import paired_auc, paired_aucs
from evaluation.metrics.gauc import paired_gauc
from evaluation.metrics.paired import RowMetric, paired_by_row
from evaluation.report.comparison import Comparison, Difference
from evaluation.report.evaluator import Progress, Wanted, unseen
from evaluation.report.names import direction
from evaluation.report.slice_rows import SliceRows
from evaluation.report.verdict import verdict
from evaluation.rows.columns import Columns
from evaluation.rows.rows import Rows
from evaluation.state.sorted_rows import SortedRows

_Paired = Callable[..., PairedDifference]

_BY_ROW = get_args(RowMetric)
_IN_SLICES: dict[str, _Paired] = {"auc": paired_auc, "logloss": partial(paired_by_row, "logloss")}


class Comparer:
    """Compares models: a state that grows chunk by chunk, and holds all rows in memory.

    That is a byte a row, 4 or 8 for each model's score, 8 for a group and 8 for a weight, and at the end about 60 more.
    Slices have rows of their own, which go to files beyond the budget.

    Args:
        names: The models, as rows will have their scores.
        columns: Which columns rows will have.
        wanted: How it is to be measured.
        live: Which of the models serves now.
        metric: What the verdict goes by.

    Raises:
        ConfigError: The metric is unknown, or has no better side, or needs groups that are not there.
    """

    def __init__(
        self, names: Sequence[str], columns: Columns, wanted: Wanted, *, live: int, metric: str = "auc"
    ) -> None:
        if metric == "gauc" and not columns.group:
            raise ConfigError("models are judged by gauc within groups, and none is declared; add --group")
        known = [
            name for name in ("auc", *_BY_ROW, *(["gauc"] if columns.group else [])) if direction(name) != "near 1"
        ]
        if metric not in known:
            raise ConfigError(f"models are not judged by {metric!r} here; {did_you_mean(metric, known)}")
        self._names = tuple(names)
        self._wanted = wanted
        self._live = live
        self._metric = metric
        self._chunks: list[Rows] = []
        share = max(wanted.memory_mb // max(len(columns.slices), 1), 1)
        self._slices = [SliceRows(name, memory_mb=share, folder=wanted.folder) for name in columns.slices]

    def update(self, rows: Rows) -> None:
        """Add rows, with a score a model.

        Raises:
            DataError: A column has too many values to slice by.
        """
        self._chunks.append(dataclasses.replace(rows, requests=None, times=None, slices={}, others={}))
        known: dict[str, npt.NDArray[Any]] = {f"score{i}": scores for i, scores in enumerate(rows.scores)}
        known["label"] = rows.labels
        if rows.weights is not None:
            known["weight"] = rows.weights
        for some in self._slices:
            some.update(rows.slices[some.column], **known)

    def comparison(self, progress: Progress = unseen) -> Comparison:
        """Compare the models on what was seen.

        Args:
            progress: Called as the work goes on.

        Raises:
            DataError: There are no rows.
        """
        if not self._chunks:
            raise DataError("there are no rows to compare; give at least one")
        rows = _Whole(
            labels=np.concatenate([rows.labels for rows in self._chunks]),
            scores=[np.concatenate([rows.scores[i] for rows in self._chunks]) for i in range(len(self._names))],
            weights=_joined([rows.weights for rows in self._chunks]),
            groups=_joined([rows.groups for rows in self._chunks]),
        )
        differences = tuple(self._differences(rows, progress))
        best, sentence = verdict(
            self._names, self._live, self._metric, differences, rows.calibration_ratios(), self._wanted.level
        )
        return Comparison(
            names=self._names,
            differences=differences,
            slices=tuple(difference for some in self._slices for difference in self._in_slices(some, progress)),
            live=self._names[self._live],
            best=best,
            verdict=sentence,
        )

    def _differences(self, rows: "_Whole", progress: Progress) -> Iterator[Difference]:
        """Of each metric and each ordered pair of models."""
        pairs = list(itertools.combinations(range(len(self._names)), 2))
        # One sort a model serves all its pairs.
        aucs = cache(partial(paired_aucs, rows.labels, rows.scores, rows.weights, level=self._wanted.level))
        for done, (i, j) in enumerate(pairs):
            progress("compare", done * rows.labels.size, len(pairs) * rows.labels.size)
            a, b = rows.scores[i], rows.scores[j]
            measures: dict[str, _Paired] = {"auc": lambda i=i, j=j: aucs().difference(i, j)} | {
                name: partial(paired_by_row, name, rows.labels, a, b, rows.weights, level=self._wanted.level)
                for name in _BY_ROW
            }
            if rows.groups is not None:
                measures["gauc"] = partial(
                    paired_gauc, rows.labels, a, b, rows.groups, rows.weights, level=self._wanted.level
                )
            drawn = self._drawn(rows, i, j, progress)
            for metric, compute in measures.items():
                found = _difference(metric, self._names[i], self._names[j], compute)
                if metric in drawn and found.value is not None:
                    by_group = drawn[metric]
                    found = dataclasses.replace(
                        found, interval=by_group.interval, p_value=by_group.p_value, reason=by_group.reason
                    )
                yield found
                yield _turned(found)
        progress("compare", len(pairs) * rows.labels.size, len(pairs) * rows.labels.size)

    def _drawn(self, rows: "_Whole", i: int, j: int, progress: Progress) -> Mapping[str, PairedDifference]:
        """The differences of two models when groups are what chance draws; none where that was not asked for."""
        if rows.groups is None or not self._wanted.replicates:
            return {}
        states = [SortedRows(memory_mb=self._wanted.memory_mb, folder=self._wanted.folder) for _ in (i, j)]
        for state, model in zip(states, (i, j), strict=True):
            state.update(rows.labels, rows.scores[model], rows.groups, rows.weights)
        return paired_bootstrap(
            *states,
            replicates=self._wanted.replicates,
            seed=self._wanted.seed,
            level=self._wanted.level,
            progress=partial(progress, f"resample {self._names[i]}, {self._names[j]}"),
        )

    def _in_slices(self, rows: SliceRows, progress: Progress) -> Iterator[tuple[str, str, Difference]]:
        """Of every other model from the one that is live, by AUC and by logloss."""
        values = rows.largest(self._wanted.most_slices)
        level = simultaneous(self._wanted.level, len(values))
        others = [i for i in range(len(self._names)) if i != self._live]
        found: dict[str, list[Difference]] = {}
        done, total = 0, sum(rows.sizes[value] for value in values)
        for value, pieces in rows.each(self._wanted.most_slices):
            (columns,) = pieces
            found[value] = []
            for i, (metric, compute) in itertools.product(others, _IN_SLICES.items()):
                measure = partial(
                    compute,
                    columns["label"],
                    columns[f"score{i}"],
                    columns[f"score{self._live}"],
                    columns.get("weight"),
                    level=level,
                )
                found[value].append(_difference(metric, self._names[i], self._names[self._live], measure))
            done += rows.sizes[value]
            progress(f"compare by {rows.column}", done, total)
        for value in values:
            for difference in found[value]:
                yield rows.column, value, difference


@dataclass(frozen=True)
class _Whole:
    """All rows at once."""

    labels: Labels
    scores: list[Scores]
    weights: Weights | None
    groups: Groups | None

    def calibration_ratios(self) -> list[float | None]:
        """Predicted over observed clicks of each model; None where scores are no probabilities, or nobody clicked."""
        weights = np.ones(1) if self.weights is None else self.weights
        clicks = float((weights * self.labels).sum())
        return [
            float((weights * scores).sum()) / clicks if clicks and scores.min() >= 0 and scores.max() <= 1 else None
            for scores in self.scores
        ]


def _turned(found: Difference) -> Difference:
    """The second model's metric less the first's; no difference stays 0, not -0."""
    interval = found.interval and dataclasses.replace(
        found.interval, low=0.0 - found.interval.high, high=0.0 - found.interval.low
    )
    value = None if found.value is None else 0.0 - found.value
    return dataclasses.replace(found, first=found.second, second=found.first, value=value, interval=interval)


def _difference(metric: str, first: str, second: str, compute: _Paired) -> Difference:
    """Run a paired metric and keep the reason when it is undefined, also for scores that are no probabilities."""
    try:
        found = compute()
    except DataError as problem:
        return Difference(metric, first, second, None, reason=str(problem))
    return Difference(metric, first, second, found.value, found.interval, found.p_value, found.reason)


def _joined(chunks: "Sequence[npt.NDArray[Any] | None]") -> Any:
    """The chunks as one array; None where rows have no such column."""
    known = [chunk for chunk in chunks if chunk is not None]
    return np.concatenate(known) if known else None
