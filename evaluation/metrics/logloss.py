"""Logarithmic loss, the mean binary cross-entropy in nats."""

import numpy.typing as npt

from evaluation.estimate import Estimate
from evaluation.interval import LEVEL
from evaluation.metrics._losses import log_losses
from evaluation.metrics._probabilities import ProbabilityRows, distribution_of
from evaluation.state.score_distribution import ScoreDistribution


def logloss(
    labels: npt.ArrayLike, scores: npt.ArrayLike, weights: npt.ArrayLike | None = None, *, level: float = LEVEL
) -> Estimate:
    """Weighted mean of ``-ln p`` over the positive rows and ``-ln(1 - p)`` over the negative ones, in float64.

    Clipping: ``p`` is first brought into ``[eps, 1 - eps]``, where ``eps`` is the machine epsilon of the dtype in
    which the probabilities come: 2**-23 for float32, 2**-52 for float64. So a saturated wrong prediction costs
    15.9 or 36.0, not infinity. scikit-learn's ``log_loss`` has the same rule.

    Defined for one class, too. The interval is normal, from the variance of the rows' losses,
    ``sum w^2 (loss - mean)^2 / (sum w)^2``.

    Takes the time and memory of the distribution's sorting, about 20 bytes a row.

    Args:
        labels: 0 or 1 a row, shape ``(rows,)``, of any boolean, integer or floating dtype.
        scores: Predicted probabilities of a 1, shape ``(rows,)``, float32 or float64.
        weights: How much each row counts, shape ``(rows,)``, finite and at least 0; None counts each once.
        level: Confidence level of the interval.

    Returns:
        A value of at least 0, without an interval for a single row.

    Raises:
        UndefinedMetric: No row has a weight above 0.
        DataError: The inputs break one of the rules above.
    """
    return logloss_of(distribution_of(labels, scores, weights), level=level)


def logloss_of(distribution: ScoreDistribution, *, level: float = LEVEL) -> Estimate:
    """The same of a distribution, in two passes over its blocks.

    Raises:
        UndefinedMetric: There are no rows, or a score lies outside 0 to 1.
    """
    rows = ProbabilityRows(distribution, "logloss")
    losses = log_losses(distribution.dtype)
    mean = rows.total(losses) / rows.mass
    error = rows.error(lambda p, label: losses(p, label) - mean)
    return rows.normal(mean, error, level, "variance of row losses")
