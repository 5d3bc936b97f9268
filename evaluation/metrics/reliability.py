"""The reliability table: predictions by size, and how often clicks came."""

import math
from dataclasses import dataclass

import numpy.typing as npt

from evaluation.interval import LEVEL, Interval, quantile
from evaluation.metrics._probabilities import distribution_of
from evaluation.metrics._score_bins import BINS, Binning, score_bins
from evaluation.state.score_distribution import ScoreDistribution


@dataclass(frozen=True)
class ReliabilityBin:
    """Predictions of one stretch, and how often a click came.

    Attributes:
        low: Least prediction of the bin.
        high: Greatest prediction of the bin.
        mass: Rows, or the sum of their weights.
        mean_score: Mean prediction.
        rate: Share of label 1.
        interval: Of the rate (Wilson).
    """

    low: float
    high: float
    mass: float
    mean_score: float
    rate: float
    interval: Interval


def reliability(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    *,
    bins: int = BINS,
    binning: Binning = "mass",
    level: float = LEVEL,
) -> tuple[ReliabilityBin, ...]:
    """Sort rows into bins by their predictions and compare the mean prediction with the rate of clicks in each.

    Equal predictions share a bin, so that there are fewer bins than asked for where many are tied.

    Args:
        labels: 0 or 1 a row, shape ``(rows,)``, of any boolean, integer or floating dtype.
        scores: Predicted probabilities of a 1, shape ``(rows,)``, float32 or float64.
        weights: How much each row counts, shape ``(rows,)``, finite and at least 0; None counts each once.
        bins: How many bins, at least 1.
        binning: ``mass`` for bins of equal numbers of rows, ``width`` for equal stretches of 0 to 1.
        level: Confidence level of the intervals, each on its own. They are Wilson's (1927), with the effective number
            of rows ``(sum w)^2 / sum w^2`` where there are weights.

    Returns:
        The bins that have rows, ascending.

    Raises:
        UndefinedMetric: No row has a weight above 0.
        ConfigError: The number of bins is below 1, or the binning or the level is wrong.
        DataError: The inputs break one of the rules above.
    """
    return reliability_of(distribution_of(labels, scores, weights), bins=bins, binning=binning, level=level)


def reliability_of(
    distribution: ScoreDistribution, *, bins: int = BINS, binning: Binning = "mass", level: float = LEVEL
) -> tuple[ReliabilityBin, ...]:
    """The same of a distribution, in one pass over its blocks.

    Raises:
        UndefinedMetric: There are no rows, or a score lies outside 0 to 1.
        ConfigError: As above.
    """
    found = score_bins(distribution, "reliability", bins, binning)
    columns = (found.low, found.high, found.mass, found.positives, found.squares, found.predicted)
    return tuple(
        ReliabilityBin(
            low, high, mass, predicted / mass, positives / mass, _wilson(positives / mass, mass**2 / squares, level)
        )
        for low, high, mass, positives, squares, predicted in zip(*(c.tolist() for c in columns), strict=True)
    )


def _wilson(rate: float, rows: float, level: float) -> Interval:
    z2 = quantile(level) ** 2
    middle = (rate + z2 / (2 * rows)) / (1 + z2 / rows)
    reach = math.sqrt(z2 * (rate * (1 - rate) / rows + z2 / (4 * rows**2))) / (1 + z2 / rows)
    # Rounding alone can pass the ends of the range.
    return Interval(max(middle - reach, 0.0), min(middle + reach, 1.0), level, "Wilson")
