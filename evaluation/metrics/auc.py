"""Area under the ROC curve, exact on ties."""

import numpy as np
import numpy.typing as npt

from evaluation._counts import exact_sum
from evaluation._inputs import Scores, checked_labels, checked_scores
from evaluation.undefined import UndefinedMetric


def auc(labels: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Probability that a random positive row scores above a random negative one, ties counting one half.

    This is the Mann-Whitney statistic over all pairs of a positive and a negative row,
    ``(#{positive > negative} + #{positive = negative} / 2) / #pairs``, which equals the trapezoidal area under the
    ROC curve. Pairs are counted in halves, so that everything is an integer up to the one final division: the result
    is the float nearest to the true fraction, and the order of the rows cannot change it. ``-0.0`` equals ``0.0``.

    Takes O(n log n) time and at most about 20 bytes of memory a row.

    Args:
        labels: 0 or 1 a row, shape ``(rows,)``, of any boolean, integer or floating dtype.
        scores: Finite numbers of any range, shape ``(rows,)``, float32 or float64. Only their order matters.

    Returns:
        A number from 0 to 1.

    Raises:
        UndefinedMetric: All labels are equal, so that there is no pair.
        DataError: The inputs break one of the rules above.
    """
    is_positive = checked_labels(labels)
    values = checked_scores(scores, is_positive.size)
    positives, negatives = values[is_positive], values[~is_positive]
    if not positives.size or not negatives.size:
        raise UndefinedMetric(
            f"auc needs rows of both classes, but all {values.size} labels are {int(positives.size > 0)}"
        )
    # Sorting the classes apart, unlike an argsort of all rows, moves no indices and no labels.
    positives.sort()
    negatives.sort()
    double_pairs = 2 * positives.size * negatives.size
    # The rarer class is looked up in the commoner one, as each look-up costs a binary search.
    if positives.size <= negatives.size:
        halves = _halves_below(positives, negatives)
    else:
        halves = double_pairs - _halves_below(negatives, positives)
    return halves / double_pairs


def _halves_below(few: Scores, many: Scores) -> int:
    """Count the pairs with the value of ``few`` above that of ``many``: 2 for each, 1 for a tie. Both are sorted."""
    below = np.searchsorted(many, few, side="left")
    below += np.searchsorted(many, few, side="right")
    return exact_sum(below, largest=2 * many.size)
