"""The mean of a number over groups, with its interval."""

import math

import numpy as np
import numpy.typing as npt

from evaluation._sums import float_sum
from evaluation.estimate import Detail, Estimate, is_alike
from evaluation.interval import logit_interval


def ratio(values: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]) -> tuple[float, float | None]:
    """The weighted mean ``A = sum(w a) / sum(w)``, with groups drawn independently of each other.

    By the delta method its standard error is ``sqrt(G / (G - 1) sum(w^2 (a - A)^2)) / sum(w)`` for G groups. Each sum
    is exact before its one rounding, so that no order of the groups changes a digit.

    Args:
        values: A number a group, shape ``(groups,)``, at least one.
        weights: What each group weighs, above 0, same shape.

    Returns:
        The mean and its standard error, which a single group does not have.
    """
    total = float_sum(weights)
    mean = float_sum(weights * values) / total
    if values.size < 2:
        return mean, None
    spread = float_sum((weights * (values - mean)) ** 2) * values.size / (values.size - 1)
    return mean, math.sqrt(spread) / total


def mean_estimate(
    values: npt.NDArray[np.float64],
    weights: npt.NDArray[np.float64],
    unit: str,
    level: float,
    method: str,
    detail: Detail,
) -> Estimate:
    """The mean of numbers from 0 to 1 with its interval on the logit scale, or with the reason why there is none.

    It is that of Student's t, with the effective number of groups, ``sum(w)^2 / sum(w^2)``, less 1 for its degrees of
    freedom.

    Args:
        values: As for ``ratio``.
        weights: As for ``ratio``.
        unit: What a group is called in reasons.
        level: Confidence level.
        method: What the standard error is.
        detail: Of the estimate.
    """
    value, error = ratio(values, weights)
    if error is None:
        return Estimate(value, reason=one(unit), detail=detail)
    if is_alike(value, error):
        reason = f"every {unit} has the value {value:g}, so that their spread does not tell how far it may be off"
        return Estimate(value, reason=reason, detail=detail)
    freedom = 1 / float_sum((weights / float_sum(weights)) ** 2) - 1
    return Estimate(value, logit_interval(value, error, level, method, freedom), detail=detail)


def one(unit: str) -> str:
    """Why a single group gives no interval."""
    return f"a single {unit} does not tell how far the value may be off"
