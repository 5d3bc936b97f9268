"""Splits: which rows train, which validate, which test."""

import math
from dataclasses import dataclass
from typing import Literal, Self, cast

import numpy as np
import polars as pl
import polars_hash as plh
from numpy.typing import NDArray

from common.errors import ConfigError
from features.encoding.typed import GROUP, ROW, TIMESTAMP

SPLITS: tuple[Literal["train", "valid", "test"], ...] = ("train", "valid", "test")
_BINS = 1 << 20


@dataclass(frozen=True)
class Fractions:
    """Shares of the rows in the three splits."""

    train: float = 0.8
    valid: float = 0.1
    test: float = 0.1

    def __post_init__(self) -> None:
        shares = (self.train, self.valid, self.test)
        if not (all(0 <= s <= 1 for s in shares) and self.train > 0 and math.isclose(sum(shares), 1, abs_tol=1e-9)):
            raise ConfigError(
                f"split {self.train:g},{self.valid:g},{self.test:g} is no split; shares sum to 1, like 0.8,0.1,0.1"
            )

    @classmethod
    def parse(cls, text: str) -> "Fractions":
        """Read ``0.8,0.1,0.1``.

        Raises:
            ConfigError: It is not three shares that sum to 1.
        """
        try:
            train, valid, test = (float(part) for part in text.split(","))
        except ValueError:
            raise ConfigError(f"split {text!r} is no split; give three shares, like 0.8,0.1,0.1") from None
        return cls(train, valid, test)


@dataclass(frozen=True)
class RowSplit:
    """Each row drawn on its own by a seeded hash of its position in the input: the same however it is batched."""

    fractions: Fractions
    seed: int

    def assign(self, typed: pl.DataFrame) -> pl.Series:
        """Index into ``SPLITS`` of each row, UInt8; needs the column ``_row``."""
        return _drawn(typed, pl.col(ROW).cast(pl.String), self.fractions, self.seed)


@dataclass(frozen=True)
class GroupSplit:
    """All rows of a group on one side, drawn by a seeded hash of the group; rows without a group are one group."""

    fractions: Fractions
    seed: int

    def assign(self, typed: pl.DataFrame) -> pl.Series:
        """Index into ``SPLITS`` of each row, UInt8; needs the column ``_group``."""
        return _drawn(typed, pl.col(GROUP).fill_null(""), self.fractions, self.seed)


@dataclass(frozen=True)
class TimeSplit:
    """Rows before ``valid_from`` train, rows from ``test_from`` test (none if it is None), those between validate."""

    valid_from: int
    test_from: int | None

    def assign(self, typed: pl.DataFrame) -> pl.Series:
        """Index into ``SPLITS`` of each row, UInt8; needs the column ``_timestamp``."""
        return _index(typed, pl.col(TIMESTAMP), self.valid_from, self.test_from)


Split = RowSplit | GroupSplit | TimeSplit


class TimeHistogram:
    """Counts rows by time, to find the times that cut them into shares.

    Bins are 2^k wide with the smallest k for which 2^20 bins span all times. So the counts do not depend on the order
    or the parts in which rows came, and memory does not depend on their number.
    """

    def __init__(self) -> None:
        self._shift = 0
        self._first = 0  # the first bin is from self._first << self._shift on; it and the last are never empty
        self._counts = np.zeros(0, np.int64)

    def update(self, times: NDArray[np.int64]) -> None:
        """Count rows at some times."""
        if len(times):
            low, high = int(times.min()), int(times.max())
            shift = _coarser(low, high)
            self._add(np.bincount((times >> shift) - (low >> shift)), low >> shift, shift)

    def merge(self, other: Self) -> None:
        """Take in the counts of other rows."""
        if len(other._counts):
            self._add(other._counts, other._first, other._shift)

    @property
    def constant(self) -> bool:
        """Whether all rows have one time."""
        return len(self._counts) < 2

    def split(self, fractions: Fractions) -> TimeSplit:
        """The cuts: each lies on the bin edge where its share is first reached, so rows of one bin never part."""
        reached = self._counts.cumsum() / self._counts.sum()

        def cut(share: float) -> int:
            last = min(int(np.searchsorted(reached, share - 1e-12)), len(reached) - 1)
            return (self._first + last + 1) << self._shift

        test_from = cut(fractions.train + fractions.valid) if fractions.test > 0 else None
        return TimeSplit(cut(fractions.train), test_from)

    def _add(self, counts: NDArray[np.int64], first: int, shift: int) -> None:
        """Join bins 2^shift wide with those so far."""
        if not len(self._counts):
            self._counts, self._first, self._shift = counts, first, shift
            return
        wide = max(shift, self._shift)
        both = [(self._counts, self._first, wide - self._shift), (counts, first, wide - shift)]
        low = min(start >> by for _, start, by in both)
        high = max((start + len(some) - 1) >> by for some, start, by in both)
        wider = _coarser(low, high)
        joined = np.zeros((high >> wider) - (low >> wider) + 1, np.int64)
        for some, start, by in both:
            by += wider
            offset = (start >> by) - (low >> wider)
            if by == 0:
                joined[offset : offset + len(some)] += some
            else:
                np.add.at(joined, (start + np.arange(len(some)) >> by) - (low >> wider), some)
        self._counts, self._first, self._shift = joined, low >> wider, wide + wider


def _coarser(low: int, high: int) -> int:
    """By how many bits the bins from low to high must be widened to be no more than there may be."""
    bits = 0
    while (high >> bits) - (low >> bits) >= _BINS:
        bits += 1
    return bits


def _drawn(typed: pl.DataFrame, key: pl.Expr, fractions: Fractions, seed: int) -> pl.Series:
    share = cast("plh.HExpr", key).nchash.xxh3_64(seed=seed).cast(pl.Float64) / 2.0**64
    first, second = fractions.train, fractions.train + fractions.valid
    return _index(typed, share, first, second if fractions.test > 0 else None)


def _index(typed: pl.DataFrame, value: pl.Expr, first: float, second: float | None) -> pl.Series:
    train = pl.when(value < first).then(0)
    split = train.otherwise(1) if second is None else train.when(value < second).then(1).otherwise(2)
    return typed.select(split.cast(pl.UInt8)).to_series()
