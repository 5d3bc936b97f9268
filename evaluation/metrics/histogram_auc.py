"""AUC from a histogram, with a bound on its error: for monitoring, where memory must stay small."""

import math
from fractions import Fraction

from common.errors import DataError
from evaluation.estimate import Estimate
from evaluation.state.score_histogram import ScoreHistogram
from evaluation.undefined import UndefinedMetric


def histogram_auc_of(histogram: ScoreHistogram) -> Estimate:
    """The AUC as if all scores of a bin were equal, and how far the exact AUC can be from it.

    Pairs of rows in one bin count one half, whatever their order is; so the exact AUC lies within
    ``sum p_i n_i / (2 P N)`` of the value, with ``p_i`` and ``n_i`` the positives and negatives of bin ``i`` and ``P``
    and ``N`` their sums. This bound holds for every order within the bins; it is no confidence interval.

    At a low click rate nearly all calibrated scores lie near 0, and bins of equal width are coarse there: look at the
    bound, and choose edges that halve from 1 down, or quantiles of an earlier day's scores. Only the order of scores
    matters, so any monotone change of scores and edges leaves the AUC as it is. Memory is that of the bins.

    Args:
        histogram: The rows.

    Returns:
        The value, without an interval; ``error_bound``, ``positives`` and ``negatives`` as detail.

    Raises:
        UndefinedMetric: All labels are equal, so that there is no pair.
        DataError: There are no rows.
    """
    # Python's integers: products of two classes' rows may pass 64 bits.
    negatives, positives = histogram.negatives.tolist(), histogram.positives.tolist()
    rows = sum(negatives) + sum(positives)
    if not rows:
        raise DataError("there are no rows to evaluate; give at least one")
    pairs = sum(negatives) * sum(positives)
    if not pairs:
        raise UndefinedMetric(f"auc needs rows of both classes, but all {rows} labels are {int(any(positives))}")
    below = halves = tied = 0
    for p, n in zip(positives, negatives, strict=True):
        halves += p * (2 * below + n)
        tied += p * n
        below += n
    value, bound = halves / (2 * pairs), Fraction(tied, 2 * pairs)
    if bound:
        # Up, so that it also covers the rounding of the value and its own.
        bound += Fraction(math.ulp(1.0))
    detail = {"error_bound": float(bound), "positives": sum(positives), "negatives": sum(negatives)}
    return Estimate(value, detail=detail)
