"""A quantile sketch that merges exactly: values counted by the leading bits of their float64."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.encoding._tally import Tally

_DROPPED = 40  # low bits of the mantissa that are dropped; 12 stay
_MAGNITUDE = np.int64(2**63 - 1)
_LARGEST = np.finfo(np.float64).max


class QuantileSketch:
    """Counts of numbers rounded down to 13 significant bits.

    A number counts for the nearest one at or below it whose mantissa ends in 40 zero bits. So integers up to 8,191 in
    size count for themselves, any other normal number for one less than ``2**-12`` of it away, and ``-0.0`` for
    ``0.0``. All answers are about the rounded numbers and exact in their shares. The sketches of parts, merged in any
    order, are that of the whole.

    Memory is 12 bytes for each distinct rounded number (twice that at times): at most 4,096 in a factor of two and
    2**24 in all, in practice some tens of thousands.
    """

    def __init__(self) -> None:
        self._tally = Tally(pl.Int32)

    def update(self, values: NDArray[np.float64]) -> None:
        """Count finite numbers."""
        bits = np.ascontiguousarray(values).view(np.int64)
        # Magnitudes with their sign are in the order of the numbers, and a shift of integers rounds down.
        signed = np.where(bits < 0, -(bits & _MAGNITUDE), bits)
        self._tally.update(pl.Series((signed >> _DROPPED).astype(np.int32)))

    def merge(self, other: "QuantileSketch") -> None:
        """Count the numbers of another sketch too."""
        self._tally.merge(other._tally)

    def compact(self) -> None:
        """Add up what is pending, so that another who merges this has less to do."""
        self._tally.counts()

    def quantiles(self, shares: Sequence[float]) -> list[float]:
        """For each share, the smallest number that at least this share of the numbers does not exceed.

        Args:
            shares: In [0, 1]; 0 asks for the smallest number.

        Returns:
            The numbers; NaN where nothing was counted.
        """
        values, up_to = self._distribution()
        if not len(values):
            return [float("nan")] * len(shares)
        found: list[float] = values[np.searchsorted(up_to, shares)].tolist()
        return found

    def edges(self, buckets: int) -> tuple[float, ...]:
        """Edges that cut the numbers into buckets of about equal weight, none of them empty.

        Edge i is the number, other than the smallest, the share below which is nearest to ``i / buckets``.

        Args:
            buckets: How many are wanted.

        Returns:
            Rising edges, each the lowest number of its bucket; fewer than ``buckets - 1`` where one number has more
            weight than a bucket.
        """
        values, up_to = self._distribution()
        if len(values) < 2:
            return ()
        below, wanted = up_to[:-1], np.arange(1, buckets) / buckets  # below[i] is the share below values[i + 1]
        right = np.searchsorted(below, wanted).clip(max=len(below) - 1)
        left = (right - 1).clip(0)
        nearest = np.where(wanted - below[left] <= below[right] - wanted, left, right)
        return tuple(values[1:][np.unique(nearest)].tolist())

    def ranks(self, points: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Reference points of the distribution.

        Args:
            points: How many at most, from 2.

        Returns:
            Numbers, rising, the smallest and the largest among them, evenly spaced in rank where not all are taken;
            and of each its mid-rank, the mean of the share below it and the share up to it. Empty where nothing was
            counted.
        """
        values, up_to = self._distribution()
        middle = (np.concatenate([[0.0], up_to[:-1]]) + up_to) / 2
        if len(values) > points:
            taken = np.unique(np.searchsorted(up_to, np.arange(points) / (points - 1)))
            values, middle = values[taken], middle[taken]
        return tuple(values.tolist()), tuple(middle.tolist())

    def _distribution(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The distinct rounded numbers, rising, and the share of all numbers up to each."""
        counts = self._tally.counts().sort("value")
        signed = counts["value"].to_numpy().astype(np.int64) << _DROPPED
        magnitudes = np.abs(signed).view(np.float64)
        values = np.where(signed < 0, -magnitudes, magnitudes).clip(-_LARGEST)  # rounding down may end in -inf
        cumulative = counts["count"].to_numpy().cumsum()
        return values, cumulative / cumulative[-1:]
