"""Vocabularies: ids for the values of the training rows.

Id 0 is a missing value, 1 an unseen one; the values follow from 2 by falling frequency, ties by their text.
"""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import polars as pl

from common.errors import DataError
from features.encoding._tally import Tally

MISSING_ID, UNSEEN_ID = 0, 1

RESERVED = 2
"""Number of ids before those of the values."""


class Vocabulary:
    """The values a feature's training rows had.

    Args:
        values: Their texts; the id of ``values[i]`` is ``i + 2``.

    Attributes:
        values: The same, as a String series.
    """

    def __init__(self, values: Sequence[str] | pl.Series) -> None:
        self.values = pl.Series("value", values, dtype=pl.String)
        self._enum = pl.Enum(self.values)
        self._ids: dict[str, int] | None = None

    @property
    def size(self) -> int:
        """Number of ids, the two reserved ones included."""
        return len(self.values) + RESERVED

    @cached_property
    def digest(self) -> str:
        """Hexadecimal sha256 of the values in order."""
        hasher = hashlib.sha256()
        for value in self.values:
            encoded = value.encode()
            hasher.update(len(encoded).to_bytes(8, "little") + encoded)
        return hasher.hexdigest()

    def id(self, value: str | None) -> int:
        """Id of a value's text; None is missing."""
        if self._ids is None:
            self._ids = {v: i for i, v in enumerate(self.values, RESERVED)}
        return MISSING_ID if value is None else self._ids.get(value, UNSEEN_ID)

    def expr(self, value: pl.Expr) -> pl.Expr:
        """Id of a String expression, as :meth:`id`.

        Returns:
            Expression of dtype Int64, never null.
        """
        code = value.cast(self._enum, strict=False).to_physical().cast(pl.Int64)
        return pl.when(value.is_null()).then(MISSING_ID).otherwise(code.fill_null(UNSEEN_ID - RESERVED) + RESERVED)

    def save(self, path: Path) -> None:
        """Write as Parquet, one column ``value``."""
        self.values.to_frame().write_parquet(path, compression="zstd")

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
        return cls(values)


class VocabularyCounter:
    """Counts values batch by batch; the counts of parts, merged in any order, are those of the whole."""

    def __init__(self) -> None:
        self._tally = Tally(pl.String)

    def update(self, values: pl.Series) -> None:
        """Count the texts of a batch; nulls do not count."""
        self._tally.update(values)

    def merge(self, other: "VocabularyCounter") -> None:
        """Count the texts of another counter too."""
        self._tally.merge(other._tally)

    def compact(self) -> None:
        """Add up what is pending, so that another who merges this has less to do."""
        self._tally.counts()

    def vocabulary(self, *, min_count: int, grow: Vocabulary | None = None) -> Vocabulary:
        """The vocabulary of the values seen at least ``min_count`` times.

        Args:
            min_count: How often a value must have been seen here.
            grow: A vocabulary whose values keep their ids; the others follow them.
        """
        often = self._tally.counts().filter(pl.col("count") >= min_count)
        frequent = often.sort(["count", "value"], descending=[True, False])["value"]
        if grow is None:
            return Vocabulary(frequent)
        return Vocabulary(pl.concat([grow.values, frequent.filter(~frequent.is_in(grow.values))]))
