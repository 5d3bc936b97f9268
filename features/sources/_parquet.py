"""Parquet files: cut into pieces by their footer, and read piece by piece."""

import json
import threading
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from features.sources._refusals import changed, unreadable
from features.sources.piece import TEXT, BadRow, Piece, Read

PIECE_ROWS = 65_536
"""Rows of a piece, at most."""
_BUFFER = 1 << 18
"""Bytes of a column that are fetched at once: a row group is never held whole."""


def columns(path: Path) -> list[tuple[str, pl.DataType]]:
    """Every column's name and type.

    Raises:
        DataError: The file is gone or damaged.
    """
    with _refusing(path):
        schema = pq.read_schema(path)
        # Two columns of one name are the caller's to refuse; polars would.
        empty = schema.empty_table().rename_columns([str(i) for i in range(len(schema))])
        return list(zip(schema.names, pl.DataFrame(empty).dtypes, strict=True))


def cut(path: Path) -> list[Piece]:
    """Cut a file's rows into pieces, none of which lies in two row groups.

    Raises:
        DataError: The file is gone or damaged.
    """
    with _refusing(path):
        size = path.stat().st_size
        edges = _edges(pq.read_metadata(path))
    return [
        Piece(path, first, min(PIECE_ROWS, stop - first), first, min(first + PIECE_ROWS, stop), size, first == start)
        for start, stop in pairwise(edges)
        for first in range(start, stop, PIECE_ROWS)
    ]


def read(piece: Piece, wanted: Sequence[str]) -> Read:
    """Read columns of a piece.

    Raises:
        DataError: The file is gone, damaged, or not the one that was cut.
    """
    with _refusing(piece.path):
        table = _reader.table(piece, wanted)
    bad = _invalid(table, piece)
    good = np.ones(piece.rows, np.bool_)
    good[[row.position - piece.first for row in bad]] = False
    frame = pl.DataFrame(table.filter(good) if bad else table).select(wanted)
    return Read(frame, pl.Series(piece.first + np.flatnonzero(good), dtype=pl.Int64), bad)


def _edges(footer: pq.FileMetaData) -> list[int]:
    """Where row groups start, and the end of the last."""
    rows = [footer.row_group(group).num_rows for group in range(footer.num_row_groups)]
    return [0, *np.cumsum(rows, dtype=np.int64).tolist()]


def _invalid(table: pa.Table, piece: Piece) -> list[BadRow]:
    """Rows with text that is no UTF-8, which Arrow lets pass and polars must not be given."""
    bad: dict[int, BadRow] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        if not _is_valid(column):
            # Taken, not sliced: a slice of a list is validated with all that its neighbours hold.
            for row in range(table.num_rows):
                if row not in bad and not _is_valid(column.take([row])):
                    bad[row] = BadRow(piece.first + row, name, f"column {name!r} is not valid UTF-8", _text(table, row))
    return [bad[row] for row in sorted(bad)]


def _is_valid(column: pa.ChunkedArray) -> bool:
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _text(table: pa.Table, row: int) -> str:
    """What a row looks like, without what cannot be shown."""
    alone = table.take([row])
    shown = [name for name in table.column_names if _is_valid(alone[name])]
    return json.dumps(alone.select(shown).to_pylist()[0], ensure_ascii=False, default=str)[:TEXT]


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException) as problem:
        raise unreadable(path, problem) from None


class _Reader(threading.local):
    """The file that a thread is in the middle of.

    To enter a row group in its middle costs what comes before: a thread that reads piece after piece goes on where it
    was, and only one that jumps starts a row group over.
    """

    def __init__(self) -> None:
        self._file: pq.ParquetFile | None = None
        self._what: tuple[object, ...] = ()

    def table(self, piece: Piece, columns: Sequence[str]) -> pa.Table:
        """The rows of a piece."""
        status = piece.path.stat()
        what = (piece.path, status.st_ino, status.st_mtime_ns, *columns)
        try:
            if self._file is None or what != self._what:
                self._open(piece.path, columns)
                self._what = what
            start = max(edge for edge in self._edges if edge <= piece.first)
            if not start <= self._at <= piece.first:
                self._enter(start)
            while self._at < piece.first:
                self._take(piece.path, min(PIECE_ROWS, piece.first - self._at))
            table = self._take(piece.path, piece.rows)
        except BaseException:
            self._close()
            raise
        if self._at == self._edges[-1]:
            self._close()
        return table

    def _open(self, path: Path, columns: Sequence[str]) -> None:
        self._close()
        self._file = pq.ParquetFile(path, buffer_size=_BUFFER, page_checksum_verification=True)
        self._columns = columns
        if not set(columns) <= set(self._file.schema_arrow.names):
            raise changed(path)
        self._edges = _edges(self._file.metadata)
        self._enter(0)

    def _enter(self, start: int) -> None:
        """Go to the start of a row group."""
        assert self._file is not None
        groups = range(bisect_left(self._edges, start), len(self._edges) - 1)
        self._batches = self._file.iter_batches(PIECE_ROWS, groups, list(self._columns), use_threads=False)
        self._left: pa.RecordBatch | None = None
        self._at = start

    def _take(self, path: Path, rows: int) -> pa.Table:
        """The next rows; a batch may hold more or less."""
        taken = []
        self._at += rows
        while rows:
            if not self._left:
                self._left = next(self._batches, None)
            if self._left is None:
                raise changed(path)
            taken.append(self._left.slice(0, rows))
            self._left = self._left.slice(taken[-1].num_rows)
            rows -= taken[-1].num_rows
        return pa.Table.from_batches(taken)

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


_reader = _Reader()
