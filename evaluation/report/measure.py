"""Every metric of a set of predictions."""

import math
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import numpy.typing as npt

from common.errors import DataError
from evaluation.estimate import Estimate
from evaluation.interval import LEVEL
from evaluation.metrics.auc import auc_of
from evaluation.metrics.brier import brier_of
from evaluation.metrics.calibration import calibration_ratio_of
from evaluation.metrics.calibration_error import calibration_error_of
from evaluation.metrics.gauc import gauc_of
from evaluation.metrics.logloss import logloss_of
from evaluation.metrics.normalised_entropy import normalised_entropy_of
from evaluation.metrics.pr_auc import pr_auc_of
from evaluation.metrics.ranking import hit_rate_of, mrr_of, ndcg_of
from evaluation.report.metric import Metric
from evaluation.report.report import Report
from evaluation.state.grouped_rows import GroupedRows
from evaluation.state.score_distribution import ScoreDistribution
from evaluation.undefined import UndefinedMetric

K = 10
"""How many of a request's first candidates NDCG and the hit rate look at."""

_Compute = Callable[[], Estimate]


def evaluate(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    groups: npt.ArrayLike | None = None,
    weights: npt.ArrayLike | None = None,
) -> Report:
    """Compute every metric of a set of predictions.

    Args:
        labels: 0 or 1 a row, shape ``(rows,)``, of any boolean, integer or floating dtype.
        scores: Predictions of any finite range, shape ``(rows,)``, float32 or float64. What needs probabilities is
            undefined where they leave 0 to 1.
        groups: Integers, shape ``(rows,)``, whose equal values form a group for ``gauc``; without them it is undefined.
        weights: How much each row counts, shape ``(rows,)``; once each where None.

    Returns:
        The report. A metric that the data leaves undefined is there without a value.

    Raises:
        DataError: The inputs break one of the rules above.
    """
    distribution = ScoreDistribution.of(labels, scores, weights)
    grouped = None if groups is None else GroupedRows.of(labels, scores, groups, weights)
    return report_of(distribution, grouped)


def report_of(
    distribution: ScoreDistribution,
    grouped: GroupedRows | None = None,
    requests: GroupedRows | None = None,
    *,
    k: int = K,
    level: float = LEVEL,
    bootstrapped: Mapping[str, Estimate] | None = None,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> Report:
    """Compute every metric of states that have seen all rows.

    Args:
        distribution: The scores of all rows.
        grouped: The same rows by group, for ``gauc``.
        requests: The same rows by request, for ``ndcg``, ``mrr`` and ``hit_rate``.
        k: How many of a request's first candidates these look at.
        level: Confidence level of the intervals.
        bootstrapped: Estimates whose intervals take the place of the metrics' own.
        progress: Called after each metric with how many are done and how many there are.

    Raises:
        DataError: There are no rows.
    """
    if not distribution.rows:
        which = "no row has a weight above 0" if distribution.weighted else "there are no rows to evaluate"
        raise DataError(f"{which}; give at least one")
    wanted = _pooled(distribution, level) | _grouped(grouped, level) | _ranked(requests, k, level)
    metrics = []
    for name, compute in wanted.items():
        metrics.append(_resampled(Metric.measure(name, compute), bootstrapped or {}))
        progress(len(metrics), len(wanted))
    return Report(
        rows=distribution.rows,
        positives=distribution.positives,
        label_rate=label_rate(distribution),
        mean_score=mean_score(distribution),
        metrics=tuple(metrics),
    )


def label_rate(rows: ScoreDistribution) -> float:
    """Share of label 1, by weight."""
    return rows.positives / (rows.positives + rows.negatives)


def mean_score(rows: ScoreDistribution) -> float:
    """Mean score, by weight."""
    total = rows.positives + rows.negatives
    # Shares instead of a sum that is divided: scores near the greatest float would overflow it.
    parts = (
        np.dot(block.scores.astype(np.float64), (block.negatives + block.positives) / total) for block in rows.blocks()
    )
    return math.fsum(map(float, parts))


def _pooled(rows: ScoreDistribution, level: float) -> dict[str, _Compute]:
    return {
        "auc": partial(auc_of, rows, level=level),
        "pr_auc": partial(pr_auc_of, rows, level=level),
        "logloss": partial(logloss_of, rows, level=level),
        "normalised_entropy": partial(normalised_entropy_of, rows, level=level),
        "brier": partial(brier_of, rows, level=level),
        "calibration_ratio": partial(calibration_ratio_of, rows, level=level),
        "ece": partial(calibration_error_of, rows, level=level),
        "ece_equal_width": partial(calibration_error_of, rows, binning="width", level=level),
    }


def _grouped(rows: GroupedRows | None, level: float) -> dict[str, _Compute]:
    if rows is None:
        return {"gauc": _missing}
    return {
        "gauc": partial(gauc_of, rows, weighting="impressions", level=level),
        "gauc_positives": partial(gauc_of, rows, weighting="positives", level=level),
        "gauc_plain": partial(gauc_of, rows, weighting="plain", level=level),
    }


def _missing() -> Estimate:
    raise UndefinedMetric("gauc needs a group for each row, and none is declared")


def _ranked(rows: GroupedRows | None, k: int, level: float) -> dict[str, _Compute]:
    if rows is None:
        return {}
    return {
        f"ndcg@{k}": partial(ndcg_of, rows, k=k, level=level),
        "mrr": partial(mrr_of, rows, level=level),
        f"hit_rate@{k}": partial(hit_rate_of, rows, k=k, level=level),
    }


def _resampled(metric: Metric, bootstrapped: Mapping[str, Estimate]) -> Metric:
    found = bootstrapped.get(metric.name)
    if found is None or metric.value is None:
        return metric
    return Metric(metric.name, metric.value, found.interval, found.reason, metric.detail)
