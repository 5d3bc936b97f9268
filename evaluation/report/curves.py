"""What the plots of a report show, computed once from the distribution of scores."""

import math
import sys
from dataclasses import dataclass
from itertools import chain

import numpy as np

from evaluation.interval import LEVEL
from evaluation.metrics._probabilities import Floats, require_rows
from evaluation.metrics._ranks import at_or_above
from evaluation.metrics.reliability import ReliabilityBin, reliability_of
from evaluation.state.score_distribution import ScoreDistribution
from evaluation.undefined import UndefinedMetric

_POINTS = 400
_BINS = 50
_SHARES = 10
# Scores that span more than this factor are shown on the scale of their logarithm.
_WIDE = 50


@dataclass(frozen=True)
class Curve:
    """A curve through points.

    Attributes:
        x: Coordinates to the right, ascending.
        y: Coordinates upwards, as many.
    """

    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True)
class ClassHistogram:
    """How many rows of each class score in each bin.

    Attributes:
        edges: Ends of the bins, ascending, one more than there are bins. Each bin holds its lower edge, the last one
            its upper edge, too.
        logarithmic: Whether bins are equally wide on the scale of the logarithm rather than in themselves: where all
            scores lie above 0 and the greatest is more than 50 times the least.
        negatives: Rows of label 0 in each bin, or the sum of their weights.
        positives: The same of label 1.
    """

    edges: tuple[float, ...]
    logarithmic: bool
    negatives: tuple[float, ...]
    positives: tuple[float, ...]


@dataclass(frozen=True)
class LiftBin:
    """One of ten equal shares of the rows (or of the sum of their weights), the highest scores first.

    Rows of equal score on the border of two bins are split between them in proportion, their positives likewise: what
    an ordering of the tied rows at random gives on average.

    Attributes:
        share: Rows up to and including this bin, as a share of all.
        rate: Share of label 1 in the bin.
        lift: That rate over the rate of all rows.
        gain: Positives up to and including this bin, as a share of all.
    """

    share: float
    rate: float
    lift: float
    gain: float


@dataclass(frozen=True)
class Curves:
    """All that is drawn of a whole set of rows; None where the data leaves a plot undefined.

    Attributes:
        roc: False positive rate against true positive rate, from (0, 0) to (1, 1); None for one class.
        precision_recall: Recall against precision, from the highest score to recall 1; None without positives. The
            curve is a staircase: precision holds for the recalls up to its point.
        histogram: Scores by class.
        reliability: Bins of equal mass; None where scores are not all from 0 to 1.
        lift: Ten bins; None without positives.
    """

    roc: Curve | None
    precision_recall: Curve | None
    histogram: ClassHistogram
    reliability: tuple[ReliabilityBin, ...] | None
    lift: tuple[LiftBin, ...] | None


def curves_of(distribution: ScoreDistribution, *, level: float = LEVEL) -> Curves:
    """Compute all that is drawn, in a few passes over the blocks and little memory.

    ROC and precision-recall keep at most about 400 of their points. Every point kept is one of the curve, at a score
    that occurs; the ends are always there. ROC's are evenly spread along the curve, half of precision-recall's over
    the recall and half over the logarithm of the rows at or above the score, as precision moves most at the top.

    Args:
        distribution: The rows.
        level: Confidence level of the reliability bins' intervals.

    Raises:
        UndefinedMetric: There are no rows.
    """
    require_rows(distribution, "a plot")
    positives, negatives = float(distribution.positives), float(distribution.negatives)
    return Curves(
        roc=_roc(distribution, positives, negatives) if positives and negatives else None,
        precision_recall=_precision_recall(distribution, positives, negatives) if positives else None,
        histogram=_histogram(distribution),
        reliability=_reliability(distribution, level),
        lift=_lift(distribution, positives, negatives) if positives else None,
    )


def _roc(distribution: ScoreDistribution, positives: float, negatives: float) -> Curve:
    points = [np.array([[1.0], [1.0], [_POINTS]])]
    for part in at_or_above(distribution):
        # Sums of weights may pass the whole by a rounding.
        x, y = np.minimum(part.negatives / negatives, 1), np.minimum(part.positives / positives, 1)
        points.append(_thinned(np.stack([x, y, (x + y) * (_POINTS / 2)])))
    return _curve([*points, np.zeros((3, 1))])


def _precision_recall(distribution: ScoreDistribution, positives: float, negatives: float) -> Curve:
    points: list[Floats] = []
    for part in at_or_above(distribution):
        reached = part.positives + part.negatives
        recall = np.minimum(part.positives / positives, 1)
        # 1 for all rows, 0 for a ten-millionth of them; what lies below is one stretch.
        depth = np.maximum(1 + np.log(reached / (positives + negatives)) / math.log(1e7), 0)
        columns = [recall, part.positives / reached, recall * (_POINTS / 2), depth * (_POINTS / 2)]
        points.append(_thinned(np.stack(columns)))
    return _curve(points)


def _thinned(points: Floats) -> Floats:
    """The points at both ends, and those at which some position enters another unit.

    Args:
        points: x, y and one or more positions, shape ``(2 + positions, n)``.
    """
    kept = np.ones(points.shape[1], bool)
    kept[1:-1] = (np.diff(np.floor(points[2:])) != 0).any(axis=0)[:-1]
    return points[:, kept]


def _curve(parts: list[Floats]) -> Curve:
    """The curve through points that come from the least score upwards, so from the right."""
    # Each block has kept its own ends, and there may be many blocks.
    x, y = _thinned(np.concatenate(parts, axis=1))[:2, ::-1]
    is_new = np.append(True, (np.diff(x) != 0) | (np.diff(y) != 0))
    return Curve(tuple(x[is_new].tolist()), tuple(y[is_new].tolist()))


def _histogram(distribution: ScoreDistribution) -> ClassHistogram:
    low, high = distribution.low, distribution.high
    logarithmic = low > 0 and high > _WIDE * low
    if low == high:
        # One bin around the one score.
        reach = abs(low) / 100 or 1.0
        edges = np.clip([low - reach, low + reach], -sys.float_info.max, sys.float_info.max)
    elif logarithmic:
        edges = np.geomspace(low, high, _BINS + 1)
    else:
        # Unlike linspace this forms no difference of the ends, which may overflow.
        right = np.arange(_BINS + 1) / _BINS
        edges = low * (1 - right) + high * right
    masses = np.zeros((2, edges.size - 1))
    for block in distribution.blocks():
        at = np.searchsorted(edges, block.scores.astype(np.float64), side="right") - 1
        at = np.clip(at, 0, edges.size - 2)
        masses += [np.bincount(at, mass, edges.size - 1) for mass in (block.negatives, block.positives)]
    return ClassHistogram(tuple(edges.tolist()), logarithmic, *(tuple(row) for row in masses.tolist()))


def _reliability(distribution: ScoreDistribution, level: float) -> tuple[ReliabilityBin, ...] | None:
    try:
        return reliability_of(distribution, level=level)
    except UndefinedMetric:
        return None


def _lift(distribution: ScoreDistribution, positives: float, negatives: float) -> tuple[LiftBin, ...]:
    total = positives + negatives
    shares = np.arange(1, _SHARES + 1) / _SHARES
    gains = np.ones(_SHARES)
    # Positives over rows, as a line through the points of all distinct scores, a stretch at a time from the right.
    rows_at, positives_at = total, positives
    stretches = ((part.positives + part.negatives, part.positives) for part in at_or_above(distribution))
    for reached, found in chain(stretches, [(np.zeros(1), np.zeros(1))]):
        x = np.append(rows_at, reached)[::-1] / total
        y = np.append(positives_at, found)[::-1] / positives
        inside = (shares >= x[0]) & (shares < x[-1])
        gains[inside] = np.interp(shares[inside], x, y)
        rows_at, positives_at = reached[-1], found[-1]
    gained = np.diff(gains, prepend=0.0)
    columns = (shares, gained * _SHARES * positives / total, gained * _SHARES, gains)
    return tuple(LiftBin(*values) for values in zip(*(column.tolist() for column in columns), strict=True))
