"""Label rates with their intervals, and how well grouped rows order the labels."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_Z = 1.959963984540054  # the 97.5 % point of the normal distribution
_PRIOR_ROWS = 10.0
"""Rows of the overall label rate that every group starts with, so that a group of one row says little."""


@dataclass(frozen=True)
class Rate:
    """A label rate.

    Attributes:
        rows: Rows, from 0.
        positives: Those with label 1.
        rate: ``positives / rows``; None where there is no row.
        low: Lower end of the rate's 95 % interval (:func:`wilson`).
        high: Upper end.
    """

    rows: int
    positives: int
    rate: float | None
    low: float
    high: float

    @classmethod
    def of(cls, rows: int, positives: int) -> "Rate":
        """The rate of so many positives in so many rows."""
        return cls(rows, positives, positives / rows if rows else None, *wilson(rows, positives))


def wilson(rows: int, positives: int) -> tuple[float, float]:
    """Wilson's 95 % score interval of a share; ``(0, 1)`` without rows.

    ``(p + z^2 / 2n +- z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)`` (Wilson 1927, "Probable inference, the law
    of succession, and statistical inference"). It stays inside [0, 1] and holds its level for rare labels, which
    the textbook's normal interval does not. Rows count as independent.
    """
    if not rows:
        return 0.0, 1.0
    share, spread = positives / rows, _Z * _Z / rows
    middle = share + spread / 2
    reach = math.sqrt(spread * share * (1 - share) + spread * spread / 4)
    low, high = (middle - reach) / (1 + spread), (middle + reach) / (1 + spread)
    # At the ends the interval touches 0 and 1 exactly, which rounding would miss.
    return (low if positives else 0.0), (high if positives < rows else 1.0)


def grouped_auc(counts: NDArray[np.int64]) -> float | None:
    """AUC of the label rate by group, learnt on one half of the rows and measured on the other: no row scores itself.

    A group's score is its label rate in the one half, drawn towards the overall rate by 10 rows of it. The AUC is that
    of the other half's rows, ties counting one half; the result is the mean of both ways.

    Args:
        counts: Rows and positives of the one half, rows and positives of the other, int64 ``[groups, 4]``.

    Returns:
        A number from 0 to 1, about 0.5 where the groups say nothing; None where a half lacks a label.
    """
    first, second = counts[:, :2], counts[:, 2:]
    both = [_measured(first, second), _measured(second, first)]
    measured = [auc for auc in both if auc is not None]
    return sum(measured) / 2 if len(measured) == 2 else None


def _measured(learnt: NDArray[np.int64], held: NDArray[np.int64]) -> float | None:
    (rows, positives), (held_rows, held_positives) = learnt.T, held.T
    pairs = float(held_positives.sum()) * float((held_rows - held_positives).sum())
    if not pairs:
        return None
    prior = positives.sum() / max(int(rows.sum()), 1)
    score = (positives + _PRIOR_ROWS * prior) / (rows + _PRIOR_ROWS)
    _, level = np.unique(score, return_inverse=True)
    ones = np.bincount(level, weights=held_positives)
    zeros = np.bincount(level, weights=held_rows - held_positives)
    below = np.cumsum(zeros) - zeros / 2
    return float(ones @ below) / pairs
