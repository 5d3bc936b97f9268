"""Rows whose features are taken from other rows: who gives to whom, and what a mean over them is worth.

Shapes: R repeats, N rows.
"""

import math

import numpy as np
import numpy.typing as npt

from common.errors import ConfigError, DataError
from evaluation.estimate import PairedDifference, normal_difference

Floats = npt.NDArray[np.float64]
Donors = npt.NDArray[np.int64]

_METHOD = "U-statistic, row by row, of {} permutations"


def draw_donors(rows: int, repeats: int, seed: int) -> Donors:
    """Permutations of rows that leave none in its place.

    Args:
        rows: Number N of rows.
        repeats: Number R of permutations.
        seed: Of the draw.

    Returns:
        For each row the row that gives it a feature's value, int64 ``[R, N]``.

    Raises:
        DataError: There are fewer than two rows.
        ConfigError: There are no repeats.
    """
    if rows < 2:
        raise DataError(f"values are exchanged between rows, and there are {rows}; give at least 2")
    if repeats < 1:
        raise ConfigError(f"repeats must be at least 1, got {repeats}")
    random = np.random.default_rng(seed)
    donors = np.empty((repeats, rows), np.int64)
    for donor in donors:
        order = random.permutation(rows)
        donor[order] = np.roll(order, 1)
    return donors


def switched_mean(differences: npt.NDArray[np.floating], donors: Donors, level: float) -> PairedDifference:
    """The mean of what a switch changes in each row, with its interval.

    What changes in row i, d(i, j), depends on the row and on the row j that gives the values, so that the mean over all
    pairs is a U-statistic (Fisher, Rudin and Dominici 2019, "All Models are Wrong, but Many are Useful", JMLR 20(177)).
    R permutations estimate it from R N pairs. With Hoeffding's decomposition
    d(i, j) = theta + a(i) + b(j) + g(i, j) their mean is exactly theta + mean a + mean b + mean g, whose variance is
    (var(a + b) + var(g) / R) / N: the first part is that of the rows, as receivers and as givers, the second that of
    the permutations that happened to be drawn. A row's mean difference as receiver plus that as giver has the variance
    var(a + b) + (var(a) + var(b) + 2 var(g)) / R, so that taking off var(d) / R gives what is wanted. It is never
    taken for less than what the permutations' own means say of the second part.

    Rows count as independent. The interval is that of this one model on new rows like these.

    Args:
        differences: What changes in each row, ``[R, N]``.
        donors: Who gave it its values, ``[R, N]``.
        level: Of the interval.
    """
    changes = differences.astype(np.float64)
    repeats, rows = changes.shape
    given = np.empty_like(changes)
    np.put_along_axis(given, donors, changes, axis=1)
    influence = (changes + given).mean(axis=0)
    variance = (influence.var(ddof=1) - changes.var() / repeats) / rows
    drawn = changes.mean(axis=1).var(ddof=1) / repeats if repeats > 1 else 0.0
    error = math.sqrt(max(variance, drawn))
    return normal_difference(float(changes.mean()), error, level, _METHOD.format(repeats))
