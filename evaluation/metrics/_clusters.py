"""The mean of a number over groups, and its standard error."""

import math

import numpy as np
import numpy.typing as npt

from evaluation._sums import float_sum


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
