"""Brier score, the mean squared error of probabilities."""

import numpy.typing as npt

from evaluation.estimate import Estimate
from evaluation.interval import LEVEL
from evaluation.metrics._losses import squared_losses
from evaluation.metrics._probabilities import ProbabilityRows, distribution_of
from evaluation.state.score_distribution import ScoreDistribution


def brier(
    labels: npt.ArrayLike, scores: npt.ArrayLike, weights: npt.ArrayLike | None = None, *, level: float = LEVEL
) -> Estimate:
    """Weighted mean of ``(p - label)^2`` (Brier 1950), in float64.

    Predicting the rate ``r`` of the rows costs ``r (1 - r)``, so at small rates the score is small whatever the model.
    The interval is normal, from the variance of the rows' losses.

    Args:
        labels: 0 or 1 a row, shape ``(rows,)``, of any boolean, integer or floating dtype.
        scores: Predicted probabilities of a 1, shape ``(rows,)``, float32 or float64.
        weights: How much each row counts, shape ``(rows,)``, finite and at least 0; None counts each once.
        level: Confidence level of the interval.

    Returns:
        A value from 0 to 1, without an interval for a single row.

    Raises:
        UndefinedMetric: No row has a weight above 0.
        DataError: The inputs break one of the rules above.
    """
    return brier_of(distribution_of(labels, scores, weights), level=level)


def brier_of(distribution: ScoreDistribution, *, level: float = LEVEL) -> Estimate:
    """The same of a distribution, in two passes over its blocks.

    Raises:
        UndefinedMetric: There are no rows, or a score lies outside 0 to 1.
    """
    rows = ProbabilityRows(distribution, "brier")
    mean = rows.total(squared_losses) / rows.mass
    error = rows.error(lambda p, label: squared_losses(p, label) - mean)
    return rows.normal(mean, error, level, "variance of row losses")
