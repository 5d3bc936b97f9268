"""Counts of distinct values that add up batch by batch, in memory proportional to the distinct values."""

import polars as pl

_PENDING = 65_536  # rows that may wait to be added up, or as many as there are distinct values


class Tally:
    """How often each value occurred.

    The counts of parts, merged in any order, are those of the whole. A row takes a value and 8 bytes; at most twice
    the distinct values, or 65,536 rows more than them, are held.

    Args:
        dtype: Of the values.
    """

    def __init__(self, dtype: pl.DataType | type[pl.DataType]) -> None:
        self._total = pl.DataFrame(schema={"value": dtype, "count": pl.UInt64})
        self._pending: list[pl.DataFrame] = []
        self._rows = 0

    def update(self, values: pl.Series) -> None:
        """Count the values of a batch; nulls do not count."""
        self._add(values.to_frame("value").drop_nulls().with_columns(count=pl.lit(1, pl.UInt64)))

    def merge(self, other: "Tally") -> None:
        """Add the counts of another tally."""
        self._add(other.counts())

    def counts(self) -> pl.DataFrame:
        """Each value once, in no order: columns ``value`` and ``count`` (UInt64). What was pending is added up."""
        if self._pending:
            joined = pl.concat([self._total, *self._pending]).lazy()
            self._total = joined.group_by("value").agg(pl.col("count").sum()).collect(engine="streaming")
            self._pending, self._rows = [], 0
        return self._total

    def _add(self, counts: pl.DataFrame) -> None:
        self._pending.append(counts)
        self._rows += counts.height
        if self._rows > max(_PENDING, self._total.height):
            self.counts()
