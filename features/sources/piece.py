"""A piece of a raw file: what one worker reads at once, and what it found there."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl


@dataclass(frozen=True)
class Piece:
    """Consecutive rows of one raw file. Small and picklable: it names the rows and does not hold them.

    Attributes:
        path: The file.
        first: Position in the file of its first row, from 0; bad rows count too, blank lines do not.
        rows: Rows in it, bad ones included.
        start: In csv and tsv, the byte where it starts, in the unpacked stream of a ``.gz``; in Parquet, ``first``.
        stop: The byte, or row, after its last.
        size: Bytes of the whole file on disk when it was cut; another size later means that it changed.
        entry: Whether a reader can begin here; else it has to go through what lies before in the file, back to the last
            piece where it can: an earlier row group's end, or the start of a packed file.
        plain: In csv and tsv, whether every row was seen to be plain and good, so that none is looked at again
            (``features.sources._records.plain``).
    """

    path: Path
    first: int
    rows: int
    start: int
    stop: int
    size: int
    entry: bool = True
    plain: bool = False


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be used.

    Attributes:
        position: Which row of the file, from 0.
        column: The column that is wrong, where it is one.
        reason: What is wrong, as the end of a sentence: ``has 3 fields, not 40``.
        text: What the row looks like, at most ``TEXT`` characters of it.
    """

    position: int
    column: str | None
    reason: str
    text: str

    def described(self, file: Path) -> dict[str, Any]:
        """The row as a quarantine's line of json says it, its file included; people count rows from 1."""
        return {
            "file": str(file),
            "row": self.position + 1,
            "column": self.column,
            "reason": self.reason,
            "text": self.text,
        }


TEXT = 1_000
"""Characters of a bad row that are kept."""


@dataclass(frozen=True)
class Read:
    """The rows of a piece.

    Attributes:
        frame: The good rows: the wanted columns in the wanted order.
        positions: Int64: which row of the file, from 0, each good row is.
        bad: The others, in order.
    """

    frame: pl.DataFrame
    positions: pl.Series
    bad: list[BadRow]
