"""Counts of a feature's values in one split, gathered shard by shard.

Memory is that of one shard's column and of the counts: 40 bytes for each distinct token or id, while numbers fall into
at most about a million cells however many there are.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.datasets.shards import Shards
from features.encoding.tokens import MISSING_TOKEN
from features.encoding.typed import LABEL, ROW
from features.encoding.vocabulary import MISSING_ID
from features.profile._units import Unit
from features.schema import ListFeature, SparseFeature

ROWS, POSITIVES = "rows", "positives"
HALF_ROWS, HALF_POSITIVES = "half_rows", "half_positives"
_COUNTS = [ROWS, POSITIVES, HALF_ROWS, HALF_POSITIVES]
_CONSOLIDATE = 1_000_000  # rows of pending counts, at least, that are kept before they are summed
_CELL_BITS = 12  # of a float32's 32 that a cell leaves open: its values agree to one part in 2,048
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2**64 over the golden ratio

MISSING = MISSING_TOKEN
"""Stands for a missing value, be it a token or an id."""
assert MISSING_TOKEN == MISSING_ID


@dataclass(frozen=True)
class SparseCounts:
    """Counts of tokens or ids.

    Attributes:
        values: Columns ``value`` (Int64), and as Int64 ``rows``, ``positives``, ``half_rows`` and ``half_positives``
            (those of one random half); by falling ``rows``, then by value. Of a list, the elements are counted.
        lengths: Of a list, the same columns with its number of elements as ``value``; None for other kinds.
    """

    values: pl.DataFrame
    lengths: pl.DataFrame | None = None

    @property
    def total(self) -> int:
        """Rows, or elements of a list."""
        return int(self.values[ROWS].sum())

    @property
    def by_row(self) -> pl.DataFrame:
        """The counts whose sum is that of the rows: of lists, those by length."""
        return self.values if self.lengths is None else self.lengths

    @property
    def missing(self) -> pl.DataFrame:
        """The counts of the rows without a value, one row or none: a list is missing where it is empty."""
        return self.by_row.filter(pl.col("value") == (MISSING if self.lengths is None else 0))

    @property
    def missing_share(self) -> float:
        """Share of the rows without a value."""
        return int(self.missing[ROWS].sum()) / int(self.by_row[ROWS].sum())

    @property
    def present(self) -> pl.DataFrame:
        """The values that are not missing."""
        return self.values.filter(pl.col("value") != MISSING)


@dataclass(frozen=True)
class NumericCounts:
    """Counts of numbers, in raw units.

    Attributes:
        cells: Columns ``low`` and ``high`` (Float64: a cell's least and greatest number) and the counts of
            :class:`SparseCounts`; rising. Cells do not overlap.
        missing: The counts of the rows without a number, one row or none.
        mean: Mean of the numbers; None where there is none, or none that float64 holds.
    """

    cells: pl.DataFrame
    missing: pl.DataFrame
    mean: float | None

    @property
    def rows(self) -> int:
        """Rows with a number."""
        return int(self.cells[ROWS].sum())

    @property
    def missing_share(self) -> float:
        """Share of the rows without a number."""
        missing = int(self.missing[ROWS].sum())
        return missing / (self.rows + missing)

    @property
    def distinct(self) -> int | None:
        """How many numbers there are; None where a cell holds several."""
        return self.cells.height if (self.cells["low"] == self.cells["high"]).all() else None


def frames(shards: Shards, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
    """Columns of all rows in order, a frame a shard.

    Raises:
        DataError: A shard cannot be read.
    """
    return (shards.read(i, columns=columns) for i in range(len(shards.rows)))


def count_sparse(shards: Shards, feature: SparseFeature) -> SparseCounts:
    """Count a feature's tokens or ids.

    Raises:
        DataError: A shard cannot be read.
    """
    values, lengths = _Fold(), _Fold()
    for frame in frames(shards, [ROW, LABEL, feature.name]):
        tallied = _halved(frame).rename({feature.name: "value"})
        if isinstance(feature, ListFeature):
            lengths.add(tallied.with_columns(pl.col("value").list.len().cast(pl.Int64)))
            tallied = tallied.explode("value", empty_as_null=False, keep_nulls=False)
        values.add(tallied)
    order, falling = [ROWS, "value"], [True, False]
    return SparseCounts(
        values.total().sort(order, descending=falling),
        lengths.total().sort("value") if isinstance(feature, ListFeature) else None,
    )


def count_numeric(shards: Shards, unit: Unit) -> NumericCounts:
    """Count a feature's numbers.

    Raises:
        DataError: A shard cannot be read.
    """
    cells = _Fold(low=pl.Expr.min, high=pl.Expr.max)
    rows, total = 0, 0.0
    for frame in frames(shards, [ROW, LABEL, unit.feature.name]):
        encoded = frame[unit.feature.name]
        raw = unit.raw(encoded.to_numpy())
        present = raw[~np.isnan(raw)]
        rows += present.size
        with np.errstate(over="ignore"):
            # NumPy on one piece of memory: polars' sums depend on how many pieces it has cut the column into.
            total += float(present.sum())
        number = pl.Series(raw).fill_nan(None)
        cell = pl.Series("value", _cells(encoded.to_numpy())).set(number.is_null(), None)
        cells.add(_halved(frame).with_columns(cell, low=number, high=number))
    counted = cells.total()
    mean = total / rows if rows else None
    return NumericCounts(
        counted.filter(pl.col("value").is_not_null()).sort("value").drop("value"),
        counted.filter(pl.col("value").is_null()),
        mean if mean is None or np.isfinite(mean) else None,
    )


def halves(counts: pl.DataFrame) -> NDArray[np.int64]:
    """Rows and positives of the one half and of the other, int64 ``[values, 4]``."""
    rows, positives, half_rows, half_positives = counts.select(_COUNTS).to_numpy().T
    return np.stack([half_rows, half_positives, rows - half_rows, positives - half_positives], axis=1)


def _halved(frame: pl.DataFrame) -> pl.DataFrame:
    """Add what every value's counts are the sums of, a byte each: polars sums bytes as Int64.

    The halves follow from multiples of the golden ratio, which no period of a log keeps step with.
    """
    half = pl.Series(frame[ROW].to_numpy().astype(np.uint64) * _GOLDEN >> np.uint64(63)).cast(pl.UInt8)
    label = frame[LABEL]
    return frame.drop(ROW, LABEL).with_columns(
        pl.lit(1, pl.UInt8).alias(ROWS),
        label.alias(POSITIVES),
        half.alias(HALF_ROWS),
        (half * label).alias(HALF_POSITIVES),
    )


def _cells(values: NDArray[np.float32]) -> NDArray[np.uint32]:
    """Cells of float32 numbers, rising with them; -0 is 0."""
    bits = (values + np.float32(0)).view(np.uint32)
    sign = np.uint32(1 << 31)
    return np.asarray(np.where(bits & sign, ~bits, bits | sign) >> np.uint32(_CELL_BITS), np.uint32)


class _Fold:
    """Sums counts by ``value`` as they come."""

    def __init__(self, **others: Callable[[pl.Expr], pl.Expr]) -> None:
        self._sums = [pl.col(_COUNTS).sum()]
        self._sums += [combine(pl.col(name)) for name, combine in others.items()]
        self._total: pl.DataFrame | None = None
        self._pending: list[pl.DataFrame] = []
        self._pending_rows = 0

    def add(self, counts: pl.DataFrame) -> None:
        """Take in counts; a value may be there any number of times."""
        self._pending.append(counts.group_by("value").agg(self._sums))
        self._pending_rows += self._pending[-1].height
        # As many as there are already: every sum of all halves the work of the next.
        if self._pending_rows > max(_CONSOLIDATE, 0 if self._total is None else self._total.height):
            self.total()

    def total(self) -> pl.DataFrame:
        """The counts so far, a row a value, in no order."""
        parts = [*([] if self._total is None else [self._total]), *self._pending]
        self._total = pl.concat(parts).group_by("value").agg(self._sums)
        self._pending, self._pending_rows = [], 0
        return self._total
