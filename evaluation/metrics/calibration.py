"""Calibration on the whole: whether predicted clicks add up to the clicks that came."""

import math
from typing import Final

import numpy.typing as npt

from evaluation.estimate import ALIKE, Estimate, is_alike
from evaluation.interval import LEVEL, log_interval
from evaluation.metrics._probabilities import ONE_ROW, ProbabilityRows, distribution_of
from evaluation.state.score_distribution import ScoreDistribution
from evaluation.undefined import UndefinedMetric

_ZERO: Final = "all predictions are 0, and the interval is on the scale of the logarithm"


def calibration_ratio(
    labels: npt.ArrayLike, scores: npt.ArrayLike, weights: npt.ArrayLike | None = None, *, level: float = LEVEL
) -> Estimate:
    """Sum of the predictions divided by the sum of the labels.

    1 is calibrated on the whole, above 1 predicts too many clicks, below 1 too few. The inverse, clicks over predicted
    clicks, is known as COPC. The interval is normal on the scale of the logarithm, by the delta method of a ratio of
    means: ``sum w^2 (p - ratio y)^2 / (sum w y)^2`` is the ratio's variance.

    Args:
        labels: 0 or 1 a row, shape ``(rows,)``, of any boolean, integer or floating dtype.
        scores: Predicted probabilities of a 1, shape ``(rows,)``, float32 or float64. Added up in float64.
        weights: How much each row counts, shape ``(rows,)``, finite and at least 0; None counts each once.
        level: Confidence level of the interval.

    Returns:
        A value of at least 0; ``copc`` in its detail where that is finite.

    Raises:
        UndefinedMetric: No label is 1, or no row has a weight above 0.
        DataError: The inputs break one of the rules above.
    """
    return calibration_ratio_of(distribution_of(labels, scores, weights), level=level)


def calibration_ratio_of(distribution: ScoreDistribution, *, level: float = LEVEL) -> Estimate:
    """The same of a distribution, in two passes over its blocks.

    Raises:
        UndefinedMetric: As above, or a score lies outside 0 to 1.
    """
    rows = ProbabilityRows(distribution, "calibration_ratio")
    clicks = float(distribution.positives)
    if not clicks:
        raise UndefinedMetric(f"calibration_ratio needs a positive row, but all {rows.count} labels are 0")
    ratio = rows.total(lambda p, _: p) / clicks
    if not ratio:
        return Estimate(ratio, reason=_ZERO)
    inverse = 1 / ratio
    detail = {"copc": inverse} if math.isfinite(inverse) else {}
    if rows.count < 2:
        return Estimate(ratio, reason=ONE_ROW, detail=detail)
    # Shares of the ratio, as squares of predictions near 0 would vanish.
    error = ratio * (rows.error(lambda p, label: p / ratio - label) * rows.mass / clicks)
    if is_alike(ratio, error):
        return Estimate(ratio, reason=ALIKE, detail=detail)
    return Estimate(ratio, log_interval(ratio, error, level, "delta method"), detail=detail)
