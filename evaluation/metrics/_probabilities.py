"""Means over the rows of a distribution whose scores are probabilities, and their standard errors."""

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from evaluation._inputs import checked_labels, checked_probabilities
from evaluation.estimate import ALIKE, Detail, Estimate, is_alike
from evaluation.interval import normal_interval
from evaluation.state.score_distribution import ScoreDistribution
from evaluation.undefined import UndefinedMetric

Floats: TypeAlias = npt.NDArray[np.float64]
RowValue: TypeAlias = Callable[[Floats, int], Floats]
"""What rows contribute: of scores in float64, shape ``(n,)``, and their common label, 0 or 1."""

ONE_ROW = "a single row does not tell how far the value may be off"


def distribution_of(
    labels: npt.ArrayLike, probabilities: npt.ArrayLike, weights: npt.ArrayLike | None
) -> ScoreDistribution:
    """The distribution of rows whose scores are checked to be probabilities.

    Raises:
        DataError: An input breaks a rule of ``checked_labels``, ``checked_probabilities`` or ``checked_weights``.
    """
    is_positive = checked_labels(labels)
    return ScoreDistribution.of(is_positive, checked_probabilities(probabilities, is_positive.size), weights)


def require_rows(distribution: ScoreDistribution, metric: str) -> None:
    """Raise UndefinedMetric where no row has a weight above 0."""
    if not distribution.rows:
        raise UndefinedMetric(f"{metric} needs a row with a weight above 0, and there is none")


class ProbabilityRows:
    """The rows of a distribution, for a metric that needs probabilities.

    Args:
        distribution: The rows.
        metric: The metric's name, for messages.

    Attributes:
        count: Rows, without those of weight 0.
        mass: Rows, or the sum of their weights.

    Raises:
        UndefinedMetric: There are no rows, or a score lies outside 0 to 1.
    """

    def __init__(self, distribution: ScoreDistribution, metric: str) -> None:
        require_rows(distribution, metric)
        if distribution.low < 0 or distribution.high > 1:
            # In their own dtype, 5.1 is not shown as 5.099999904632568.
            low, high = map(distribution.dtype.type, (distribution.low, distribution.high))
            raise UndefinedMetric(f"{metric} needs probabilities from 0 to 1, but scores go from {low!s} to {high!s}")
        self._distribution = distribution
        self.count = distribution.rows
        self.mass = float(distribution.positives + distribution.negatives)

    def total(self, value: RowValue) -> float:
        """The weighted sum of what rows contribute."""
        sums = (
            float((mass * value(block.scores.astype(np.float64), label)).sum())
            for block in self._distribution.blocks()
            for label, mass in enumerate((block.negatives, block.positives))
        )
        return math.fsum(sums)

    def error(self, deviation: RowValue) -> float:
        """The standard error of a weighted mean, ``sqrt(sum w^2 d^2 n / (n - 1)) / sum w``; 0 for a single row.

        Args:
            deviation: How far a row is from the mean; of a function of means, its linearisation at the row.
        """
        if self.count < 2:
            return 0.0
        squares = (
            float((mass * deviation(block.scores.astype(np.float64), label) ** 2).sum())
            for block in self._distribution.blocks()
            for label, mass in enumerate((block.negative_squares, block.positive_squares))
        )
        return math.sqrt(math.fsum(squares) * self.count / (self.count - 1)) / self.mass

    def normal(self, value: float, error: float, level: float, method: str, detail: Detail | None = None) -> Estimate:
        """A value with its normal interval, or with the reason why there is none."""
        if self.count < 2 or is_alike(value, error):
            return Estimate(value, reason=ONE_ROW if self.count < 2 else ALIKE, detail=detail or {})
        return Estimate(value, normal_interval(value, error, level, method), detail=detail or {})
