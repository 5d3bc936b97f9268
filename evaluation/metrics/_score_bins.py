"""Predicted probabilities sorted into bins, with what is needed of each bin."""

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from common.errors import ConfigError, did_you_mean
from evaluation.metrics._probabilities import Floats, ProbabilityRows
from evaluation.state.score_distribution import ScoreDistribution

Binning: TypeAlias = Literal["mass", "width"]
"""``mass``: bins of equal numbers of rows (or sums of weights); ``width``: equal stretches of 0 to 1."""

BINS = 20
"""As many as leave 5 % of the rows in each."""

# Added to a position in units of bins, so that the rounding of weights cannot push a score over a border.
_HAIR = 1e-9


@dataclass(frozen=True)
class ScoreBins:
    """The bins that have rows, ascending; every array has shape ``(bins,)``.

    Attributes:
        low: Least prediction.
        high: Greatest prediction.
        mass: Rows, or the sum of their weights.
        positives: The same of the rows of label 1.
        squares: Sum of squared weights.
        predicted: Weighted sum of the predictions.
        noise: Variance that ``positives`` has if each row is 1 with its predicted probability, ``sum w^2 p (1 - p)``.
    """

    low: Floats
    high: Floats
    mass: Floats
    positives: Floats
    squares: Floats
    predicted: Floats
    noise: Floats


def score_bins(distribution: ScoreDistribution, metric: str, bins: int, binning: Binning) -> ScoreBins:
    """Sort a distribution into bins, in one pass over its blocks.

    Rows of equal score share a bin. By mass, a score goes where the middle of its rows falls when all rows are laid
    out in order; so bins differ in mass where scores are tied, and can be empty. By width, the bin ``i`` of ``n`` holds
    ``i / n <= p < (i + 1) / n``, the last one also 1.

    Args:
        distribution: The rows.
        metric: Who asks, for messages.
        bins: How many, at least 1.
        binning: How.

    Raises:
        ConfigError: The number of bins is below 1, or the binning is unknown.
        UndefinedMetric: There are no rows, or a score lies outside 0 to 1.
    """
    if bins < 1:
        raise ConfigError(f"{metric} needs at least 1 bin, got {bins}; 20 is common")
    if binning not in get_args(Binning):
        raise ConfigError(f"{metric} has no binning {binning!r}; {did_you_mean(binning, get_args(Binning))}")
    rows = ProbabilityRows(distribution, metric)
    low, high = np.full(bins, np.inf), np.full(bins, -np.inf)
    sums = np.zeros((5, bins))
    below = 0.0
    for block in distribution.blocks():
        scores = block.scores.astype(np.float64)
        mass = (block.negatives + block.positives).astype(np.float64)
        squares = block.negative_squares + block.positive_squares
        if binning == "mass":
            middle = below + np.cumsum(mass) - mass / 2
            at = _bin_of(middle / rows.mass * bins, bins)
            below += float(mass.sum())
        else:
            at = _bin_of(scores * bins, bins)
        np.minimum.at(low, at, scores)
        np.maximum.at(high, at, scores)
        columns = (mass, block.positives, squares, mass * scores, squares * scores * (1 - scores))
        sums += [np.bincount(at, column, bins) for column in columns]
    filled = sums[0] > 0
    return ScoreBins(low[filled], high[filled], *sums[:, filled])


def _bin_of(position: Floats, bins: int) -> npt.NDArray[np.int64]:
    return np.minimum((position + _HAIR).astype(np.int64), bins - 1)
