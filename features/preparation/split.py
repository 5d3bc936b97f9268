"""Splits: which rows train, which validate, which test."""

import math
from dataclasses import dataclass
from typing import Literal, Self, cast

import numpy as np
import polars as pl
import polars_hash as plh
from numpy.typing import NDArray

from common.errors import ConfigError
from features.typed import GROUP, ROW, TIMESTAMP

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
        self._keys = np.zeros(0, np.int64)
        self._counts = np.zeros(0, np.int64)

    def update(self, times: NDArray[np.int64]) -> None:
        """Count rows at some times."""
        self._add(times, np.ones(len(times), np.int64), 0)

    def merge(self, other: Self) -> None:
        """Take in the counts of other rows."""
        self._add(other._keys, other._counts, other._shift)

    @property
    def constant(self) -> bool:
        """Whether all rows have one time."""
        return len(self._keys) < 2

    def split(self, fractions: Fractions) -> TimeSplit:
        """The cuts: each lies on the bin edge where its share is first reached, so rows of one bin never part."""
        reached = self._counts.cumsum() / self._counts.sum()

        def cut(share: float) -> int:
            key = int(self._keys[min(int(np.searchsorted(reached, share - 1e-12)), len(reached) - 1)])
            return (key + 1) << self._shift

        test_from = cut(fractions.train + fractions.valid) if fractions.test > 0 else None
        return TimeSplit(cut(fractions.train), test_from)

    def _add(self, keys: NDArray[np.int64], counts: NDArray[np.int64], shift: int) -> None:
        """Join counts whose bins are 2^shift wide with those so far."""
        if not len(keys):
            return
        wide = max(shift, self._shift)
        joined = np.concatenate([self._keys >> (wide - self._shift), keys >> (wide - shift)])
        low, high = int(joined.min()), int(joined.max())
        wider = 0
        while (high >> wider) - (low >> wider) >= _BINS:
            wider += 1
        self._shift = wide + wider
        self._keys, inverse = np.unique(joined >> wider, return_inverse=True)
        weights = np.concatenate([self._counts, counts])
        self._counts = np.zeros(len(self._keys), np.int64)
        np.add.at(self._counts, inverse, weights)


def _drawn(typed: pl.DataFrame, key: pl.Expr, fractions: Fractions, seed: int) -> pl.Series:
    share = cast("plh.HExpr", key).nchash.xxh3_64(seed=seed).cast(pl.Float64) / 2.0**64
    first, second = fractions.train, fractions.train + fractions.valid
    return _index(typed, share, first, second if fractions.test > 0 else None)


def _index(typed: pl.DataFrame, value: pl.Expr, first: float, second: float | None) -> pl.Series:
    train = pl.when(value < first).then(0)
    split = train.otherwise(1) if second is None else train.when(value < second).then(1).otherwise(2)
    return typed.select(split.cast(pl.UInt8)).to_series()
