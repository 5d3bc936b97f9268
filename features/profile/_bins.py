"""Numbers cut into bins: by quantile, where each weighs about the same, and evenly, as a histogram."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from features.profile.counts import ROWS, NumericCounts, halves
from features.profile.text import interval, number

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_BARS = 30
_FEW = 24  # distinct numbers that get a bar each
_TAIL = 0.005  # the share at either end that may be gathered in the outermost bar


def quantile(counts: NumericCounts, share: float) -> float:
    """The number that a share of the numbers lie at or below; between a cell's ends, the middle."""
    reached = np.cumsum(counts.cells[ROWS].to_numpy()) >= share * counts.rows
    return float(_middles(counts)[int(reached.argmax())])


def cut_points(counts: NumericCounts, bins: int) -> Floats:
    """Where to cut numbers into bins of about equal weight.

    A cut lies half-way between two neighbouring numbers that occur, so that the same number, rounded otherwise, falls
    into the same bin.

    Args:
        counts: The numbers; at least one.
        bins: How many bins are wanted.

    Returns:
        Rising cuts, at most ``bins - 1``; fewer where single numbers weigh more than a bin.
    """
    low, high = counts.cells["low"].to_numpy(), counts.cells["high"].to_numpy()
    below = np.cumsum(counts.cells[ROWS].to_numpy())[:-1]
    if not below.size:
        return np.zeros(0)
    wanted = counts.rows * np.arange(1, bins) / bins
    right = np.searchsorted(below, wanted).clip(max=below.size - 1)
    left = (right - 1).clip(0)
    nearest = np.unique(np.where(wanted - below[left] <= below[right] - wanted, left, right))
    return np.asarray(high[nearest] / 2 + low[nearest + 1] / 2, np.float64)


def in_bins(counts: NumericCounts, cuts: Floats, *, open_ended: bool = False) -> tuple[Ints, list[str]]:
    """Counts between cuts.

    Args:
        counts: The numbers.
        cuts: Rising.
        open_ended: Name the outermost bins as those that hold all beyond.

    Returns:
        Rows and positives of one random half and of the other, int64 ``[bins, 4]``, a bin more than cuts; and the
        numbers that each bin holds, as text.
    """
    place = np.searchsorted(cuts, _middles(counts))
    low, high = counts.cells["low"].to_numpy(), counts.cells["high"].to_numpy()
    names = []
    for i in range(len(cuts) + 1):
        (inside,) = np.nonzero(place == i)
        names.append(interval(low[inside[0]], high[inside[-1]]) if inside.size else "none")
        if open_ended and len(cuts) and inside.size and i in (0, len(cuts)):
            names[-1] = f"\u2264 {number(high[inside[-1]])}" if i == 0 else f"\u2265 {number(low[inside[0]])}"
    return _summed(counts, place, len(cuts) + 1), names


def histogram(counts: NumericCounts, *, logged: bool) -> tuple[Ints, list[str], str]:
    """Counts in bars of equal width; a bar a number where there are few.

    Args:
        counts: The numbers; at least one.
        logged: Of equal width after ``log1p``.

    Returns:
        Counts as :func:`in_bins` gives them, the numbers that each bar holds, and what the bars' widths are.
    """
    if counts.distinct is not None and counts.distinct <= _FEW:
        return halves(counts.cells), [number(value) for value in counts.cells["low"]], "one bar a number"
    middles = _middles(counts)
    axis = np.sign(middles) * np.log1p(np.abs(middles)) if logged else middles
    first, last = _range(axis, counts)
    whole = not logged and counts.distinct is not None and bool((np.abs(middles - np.rint(middles)) < 1e-3).all())
    if whole:
        # Of a whole width: bars that hold two numbers and three by turns would show a comb that is not there.
        width = max(1.0, np.ceil((last - first + 1) / _BARS))
        edges = np.arange(np.rint(first) - 0.5, np.rint(last) + 0.5 + width, width)
    else:
        edges = np.linspace(first, last, _BARS + 1)
    place = (np.searchsorted(edges, axis, side="right") - 1).clip(0, len(edges) - 2)
    ends = np.sign(edges) * np.expm1(np.abs(edges)) if logged else edges
    names = [interval(a + 0.5, b - 0.5) if whole else interval(a, b) for a, b in pairwise(ends)]
    clipped = axis[0] < edges[0], axis[-1] > edges[-1]
    if clipped[0]:
        names[0] = f"\u2264 {number(ends[1])}"
    if clipped[1]:
        names[-1] = f"\u2265 {number(ends[-2])}"
    note = "bars of equal width after log1p" if logged else "bars of equal width"
    if any(clipped):
        note += ", the outermost with all beyond"
    return _summed(counts, place, len(edges) - 1), names, note


def _range(axis: Floats, counts: NumericCounts) -> tuple[float, float]:
    """The ends of the histogram: those of the data, unless their last half per cent would squeeze all the rest."""
    share = np.cumsum(counts.cells[ROWS].to_numpy()) / counts.rows
    first, last = axis[int((share > _TAIL).argmax())], axis[int((share >= 1 - _TAIL).argmax())]
    if first == last:
        return float(axis[0]), float(axis[-1])
    reach = (last - first) / 4
    return (
        float(axis[0] if first - axis[0] <= reach else first),
        float(axis[-1] if axis[-1] - last <= reach else last),
    )


def _middles(counts: NumericCounts) -> Floats:
    return np.asarray(counts.cells["low"].to_numpy() / 2 + counts.cells["high"].to_numpy() / 2, np.float64)


def _summed(counts: NumericCounts, place: Ints, size: int) -> Ints:
    total = np.zeros((size, 4), np.int64)
    np.add.at(total, place, halves(counts.cells))
    return total
