"""Splits: which rows train, which validate, which test."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import polars as pl
import polars_hash as plh
from numpy.typing import NDArray

from common.errors import ConfigError, DataError
from features.schema import Schema
from features.sources import RawFile
from features.typed import ROW, TIMESTAMP, Place, timestamps

SPLITS: tuple[Literal["train", "valid", "test"], ...] = ("train", "valid", "test")
_BINS = 1 << 20


@dataclass(frozen=True)
class Fractions:
    """Shares of the rows in the three splits."""

    train: float
    valid: float
    test: float

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
        position = cast("plh.HExpr", pl.col(ROW).cast(pl.String)).nchash.xxh3_64(seed=self.seed)
        share = position.cast(pl.Float64) / 2.0**64
        first, second = self.fractions.train, self.fractions.train + self.fractions.valid
        return _index(typed, share, first, second if self.fractions.test > 0 else None)


@dataclass(frozen=True)
class TimeSplit:
    """Rows before ``valid_from`` train, rows from ``test_from`` test (none if it is None), those between validate."""

    valid_from: int
    test_from: int | None

    def assign(self, typed: pl.DataFrame) -> pl.Series:
        """Index into ``SPLITS`` of each row, UInt8; needs the column ``_timestamp``."""
        return _index(typed, pl.col(TIMESTAMP), self.valid_from, self.test_from)


@dataclass(frozen=True)
class FileSplit:
    """All rows of a file in one split."""

    index: int

    def assign(self, typed: pl.DataFrame) -> pl.Series:
        """Index into ``SPLITS`` of each row, UInt8."""
        return pl.Series([self.index], dtype=pl.UInt8).new_from_index(0, typed.height)


Split = RowSplit | TimeSplit | FileSplit


def split_by_time(files: Sequence[RawFile], schema: Schema, fractions: Fractions) -> TimeSplit:
    """Find the times that cut the rows into the given shares.

    Two passes over the timestamps in flat memory: their range, then a histogram of 2^20 equal bins; a cut lies on the
    bin edge where the share is first reached, so rows of one bin never part.

    Raises:
        DataError: All rows have one time.
    """
    low, high = 2**63 - 1, -(2**63)
    for times in _times(files, schema):
        low, high = min(low, int(times.min())), max(high, int(times.max()))
    if low >= high:
        raise DataError(f"all rows have the same {schema.timestamp!r}; split by row instead")
    width = (high - low) // _BINS + 1
    counts = np.zeros(_BINS, dtype=np.int64)
    for times in _times(files, schema):
        # Unsigned: the distance of two int64 may not fit into an int64.
        distance = times.view(np.uint64) - np.uint64(low % 2**64)
        counts += np.bincount((distance // np.uint64(width)).astype(np.int64), minlength=_BINS)
    reached = counts.cumsum() / counts.sum()

    def cut(share: float) -> int:
        return min(low + width * (int(np.searchsorted(reached, share - 1e-12)) + 1), 2**63 - 1)

    test_from = cut(fractions.train + fractions.valid) if fractions.test > 0 else None
    return TimeSplit(cut(fractions.train), test_from)


def _times(files: Sequence[RawFile], schema: Schema) -> Iterator[NDArray[np.int64]]:
    assert schema.timestamp is not None
    for file in files:
        for first, raw in file.batches(columns=[schema.timestamp]):
            yield timestamps(raw[schema.timestamp], schema.timestamp, Place(str(file.path), first)).to_numpy()


def _index(typed: pl.DataFrame, value: pl.Expr, first: float, second: float | None) -> pl.Series:
    train = pl.when(value < first).then(0)
    split = train.otherwise(1) if second is None else train.when(value < second).then(1).otherwise(2)
    return typed.select(split.cast(pl.UInt8)).to_series()
