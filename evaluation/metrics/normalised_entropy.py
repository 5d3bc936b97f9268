"""Normalised entropy: the logloss in units of what the click rate alone would cost."""

import math

import numpy.typing as npt

from evaluation.estimate import Estimate
from evaluation.interval import LEVEL
from evaluation.metrics._losses import log_losses
from evaluation.metrics._probabilities import Floats, ProbabilityRows, distribution_of
from evaluation.state.score_distribution import ScoreDistribution
from evaluation.undefined import UndefinedMetric


def normalised_entropy(
    labels: npt.ArrayLike, scores: npt.ArrayLike, weights: npt.ArrayLike | None = None, *, level: float = LEVEL
) -> Estimate:
    """The logloss over the entropy of the rate of clicks (He et al. 2014, equation 1).

    1 is as good as always predicting the rate of these rows, below 1 is better. Unlike the logloss it can be compared
    between sets of different rates. ``1 - NE`` is the relative information gain. The interval is normal, by the delta
    method on the ratio: the noise of the rate in the denominator, and that it moves along with the loss, are in it.

    Args:
        labels: 0 or 1 a row, shape ``(rows,)``, of any boolean, integer or floating dtype.
        scores: Predicted probabilities of a 1, shape ``(rows,)``, float32 or float64, clipped as for ``logloss``.
        weights: How much each row counts, shape ``(rows,)``, finite and at least 0; None counts each once.
        level: Confidence level of the interval.

    Returns:
        A value above 0; ``relative_information_gain`` in its detail.

    Raises:
        UndefinedMetric: All labels are equal, so that the entropy is 0, or no row has a weight above 0.
        DataError: The inputs break one of the rules above.
    """
    return normalised_entropy_of(distribution_of(labels, scores, weights), level=level)


def normalised_entropy_of(distribution: ScoreDistribution, *, level: float = LEVEL) -> Estimate:
    """The same of a distribution, in two passes over its blocks.

    Raises:
        UndefinedMetric: As above, or a score lies outside 0 to 1.
    """
    rows = ProbabilityRows(distribution, "normalised_entropy")
    rate, entropy, slope = rate_entropy(float(distribution.positives), float(distribution.negatives), rows.count)
    losses = log_losses(distribution.dtype)
    mean = rows.total(losses) / rows.mass
    value = mean / entropy

    def deviation(p: Floats, label: int) -> Floats:
        return (losses(p, label) - mean) - value * slope * (label - rate)

    detail = {"relative_information_gain": 1 - value}
    return rows.normal(value, rows.error(deviation) / entropy, level, "delta method", detail)


def rate_entropy(positives: float, negatives: float, rows: int) -> tuple[float, float, float]:
    """The share of label 1, its entropy in nats, and the entropy's derivative at that share.

    Args:
        positives: Rows of label 1, or the sum of their weights.
        negatives: The same of label 0.
        rows: How many there are, for the message.

    Raises:
        UndefinedMetric: All labels are equal.
    """
    if not positives or not negatives:
        raise UndefinedMetric(
            f"normalised_entropy needs rows of both classes, but all {rows} labels are {int(positives > 0)}"
        )
    rate, rest = positives / (positives + negatives), negatives / (positives + negatives)
    return rate, -rate * math.log(rate) - rest * math.log(rest), math.log(rest / rate)
