"""Vocabularies: ids for the values of the training rows.

Id 0 is a missing value, 1 an unseen one; the values follow from 2 by falling frequency, ties by their text.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from common.errors import DataError

MISSING_ID, UNSEEN_ID = 0, 1
_RESERVED = 2
_CONSOLIDATE = 4_000_000  # rows of pending counts that are kept before they are summed


class Vocabulary:
    """The values a feature's training rows had.

    Args:
        values: Their texts; the id of ``values[i]`` is ``i + 2``.
    """

    def __init__(self, values: Sequence[str]) -> None:
        self._values = pl.Series("value", values, dtype=pl.String)
        self._enum = pl.Enum(self._values)
        self._ids: dict[str, int] | None = None

    @property
    def size(self) -> int:
        """Number of ids, the two reserved ones included."""
        return len(self._values) + _RESERVED

    @property
    def digest(self) -> str:
        """Hexadecimal sha256 of the values in order."""
        hasher = hashlib.sha256()
        for value in self._values:
            encoded = value.encode()
            hasher.update(len(encoded).to_bytes(8, "little") + encoded)
        return hasher.hexdigest()

    def id(self, value: str | None) -> int:
        """Id of a value's text; None is missing."""
        if self._ids is None:
            self._ids = {v: i for i, v in enumerate(self._values, _RESERVED)}
        return MISSING_ID if value is None else self._ids.get(value, UNSEEN_ID)

    def expr(self, value: pl.Expr) -> pl.Expr:
        """Id of a String expression, as :meth:`id`.

        Returns:
            Expression of dtype Int64, never null.
        """
        code = value.cast(self._enum, strict=False).to_physical().cast(pl.Int64)
        return pl.when(value.is_null()).then(MISSING_ID).otherwise(code.fill_null(UNSEEN_ID - _RESERVED) + _RESERVED)

    def save(self, path: Path) -> None:
        """Write as Parquet, one column ``value``."""
        self._values.to_frame().write_parquet(path, compression="zstd")

    @classmethod
    def load(cls, path: Path) -> "Vocabulary":
        """Read what :meth:`save` wrote.

        Raises:
            DataError: The file is missing or unreadable.
        """
        try:
            values = pl.read_parquet(path)["value"]
        except (OSError, pl.exceptions.PolarsError) as problem:
            raise DataError(f"vocabulary {path} cannot be read: {problem}; prepare the data again") from None
        if values.dtype != pl.String or values.null_count() or not values.is_unique().all():
            raise DataError(f"vocabulary {path} cannot be read: it is no list of texts; prepare the data again")
        return cls(values.to_list())


class VocabularyCounter:
    """Counts values batch by batch; counts of parts add up to the counts of the whole."""

    def __init__(self) -> None:
        self._pending: list[pl.DataFrame] = []
        self._rows = 0

    def update(self, values: pl.Series) -> None:
        """Count the texts of a batch; nulls do not count."""
        counts = values.drop_nulls().alias("value").value_counts(name="count")
        self._pending.append(counts)
        self._rows += counts.height
        if self._rows > _CONSOLIDATE:
            self._consolidate()

    def vocabulary(self, *, min_count: int) -> Vocabulary:
        """The vocabulary of the values seen at least ``min_count`` times."""
        self._consolidate()
        frequent = self._pending[0].filter(pl.col("count") >= min_count)
        ordered = frequent.sort(["count", "value"], descending=[True, False])
        return Vocabulary(ordered["value"].to_list())

    def _consolidate(self) -> None:
        empty = pl.DataFrame(schema={"value": pl.String, "count": pl.UInt32})
        total = pl.concat([empty, *self._pending], how="vertical_relaxed").group_by("value").agg(pl.col("count").sum())
        self._pending, self._rows = [total], 0
