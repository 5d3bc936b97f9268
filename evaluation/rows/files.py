"""Prediction files of any system: csv, tsv or parquet, read piece by piece."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from common.errors import DataError
from evaluation.rows.rows import Where
from features.sources.raw_file import RawFile, check_types, expand, read


class PredictionFiles:
    """Files that hold a row a prediction; together they are one table.

    Args:
        patterns: Files, globs in quotes, or folders.
        columns: Columns to read.
        numbers: Those of them of which only the numbers are wanted.
        name: What people call the model; the pattern by default.

    Attributes:
        name: The name.
        rows: Rows of all files.

    Raises:
        DataError: There is no file, or one is empty or unreadable.
        SchemaError: A file lacks a column, or files differ in what a column is.
    """

    def __init__(
        self, patterns: Sequence[str], columns: Sequence[str], numbers: Sequence[str] = (), *, name: str | None = None
    ) -> None:
        self.name = name or ", ".join(patterns)
        self._columns = tuple(dict.fromkeys(columns))
        self._numbers = tuple(numbers)
        self._files = [RawFile(path, self._columns) for path in expand(patterns)]
        check_types(self._files, self._columns)
        self.rows = sum(file.rows for file in self._files)

    def frames(self) -> Iterator[tuple[pl.DataFrame, Where]]:
        """The rows in order, a frame a piece, and where each row of it comes from.

        Raises:
            DataError: A file is damaged, was changed meanwhile, or has a row with a wrong number of fields.
        """
        for file in self._files:
            for piece in file.pieces:
                found = read(piece, self._columns, self._numbers)
                if found.bad:
                    bad = found.bad[0]
                    raise DataError(f"{file.path} row {bad.position + 1} {bad.reason}; mend or remove the row")
                yield found.frame, _Place(file.path, found.positions)


class _Place:
    """Where a row of a piece is; people count rows from 1."""

    def __init__(self, path: Path, positions: pl.Series) -> None:
        self._path = path
        self._positions = positions

    def __call__(self, row: int) -> str:
        return f"{self._path} row {self._positions[row] + 1}"
