"""Csv and tsv files: cut into pieces in one pass over their bytes, and read piece by piece."""

import csv
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from common.errors import DataError
from features.sources._records import plain, records
from features.sources._refusals import changed, unreadable
from features.sources._rows import Rows, sort_out
from features.sources._stream import opened, span
from features.sources.piece import Piece, Read

BLOCK = 8 << 20
"""Bytes that are read at once, and so of a piece, about."""
MAX_RECORD = 32 << 20
"""Bytes that one record may have: a quote that is never closed must not swallow what memory there is."""
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Header:
    """The first record of a file.

    Attributes:
        names: Of the columns.
        stop: Byte after it, in the unpacked stream.
    """

    names: list[str]
    stop: int


def header(path: Path, separator: str) -> Header:
    """Read a file's column names.

    Raises:
        DataError: The file has none, or is damaged.
    """
    with opened(path) as stream:
        block = stream.read(1 << 16)
        mark = len(_BOM) if block.startswith(_BOM) else 0
        block = block[mark:]
        while True:
            more = stream.read(len(block) + 1)
            found = records(block, separator, whole=not more)
            named = np.flatnonzero(~found.blank)
            if named.size:
                break
            if not more:
                raise unreadable(path, "it has no header")
            if len(block) > MAX_RECORD:
                raise _endless(path, "its header")
            block += more
    start, stop = int(found.starts[named[0]]), int(found.stops[named[0]])
    try:
        text = block[start:stop].decode().removesuffix("\r")
        names = next(csv.reader([text], delimiter=separator, strict=True))
    except (UnicodeDecodeError, csv.Error) as problem:
        raise unreadable(path, f"its header is damaged: {problem}") from None
    return Header(names, mark + stop + 1)


def cut(path: Path, separator: str) -> list[Piece]:
    """Cut a file's rows into pieces, each ending where a record ends. Memory is that of a block or a record.

    Raises:
        DataError: The file is damaged, or a record is endless.
    """
    pieces = []
    head = header(path, separator)
    first, start, block = 0, head.stop, b""
    size = path.stat().st_size
    with opened(path) as stream:
        stream.seek(start)
        while True:
            more = stream.read(BLOCK)
            last = len(more) < BLOCK
            block += more
            seen = plain(block, separator, len(head.names))
            is_plain = seen is not None and not (last and seen[1] < len(block))
            rows, used = seen if seen is not None and is_plain else _whole(block, separator, last=last)
            if rows:
                pieces.append(Piece(path, first, rows, start, start + used, size, plain=is_plain))
            first, start, block = first + rows, start + used, block[used:]
            if last:
                return pieces
            if len(block) > MAX_RECORD:
                raise _endless(path, f"row {first + 1}")


def _whole(block: bytes, separator: str, *, last: bool) -> tuple[int, int]:
    """Rows that end in a block, and their bytes."""
    found = records(block, separator, whole=last)
    used = min(int(found.stops[-1]) + 1, len(block)) if found.stops.size else 0
    return int(np.count_nonzero(~found.blank)), used


def read(piece: Piece, separator: str, columns: Sequence[str], numbers: Collection[str] = ()) -> Read:
    """Read columns of a piece as text, or some as numbers (:func:`features.sources.raw_file.read`).

    Raises:
        DataError: The file is gone, damaged, or not the one that was cut.
    """
    names = header(piece.path, separator).names
    data = span(piece.path, piece.start, piece.stop)
    if len(data) != piece.stop - piece.start or not set(columns) <= set(names):
        raise changed(piece.path)
    rows = Rows(data, np.arange(piece.rows), []) if piece.plain else sort_out(data, separator, names)
    if rows.good.size + len(rows.bad) != piece.rows:
        raise changed(piece.path)
    frame = pl.DataFrame(schema=dict.fromkeys(columns, pl.String))
    if rows.good.size:
        # Polars takes one mark away; a file's own is gone with its header.
        content = _BOM + rows.data if rows.data.startswith(_BOM) else rows.data
        try:
            try:
                frame = _parsed(content, separator, names, columns, numbers)
            except pl.exceptions.ComputeError:  # a field is no number, or something is wrong with text too
                frame = _parsed(content, separator, names, columns, ())
        except pl.exceptions.PolarsError as problem:
            raise unreadable(piece.path, problem) from None
    if frame.height != rows.good.size:
        raise changed(piece.path)
    positions = pl.Series(piece.first + rows.good, dtype=pl.Int64)
    return Read(frame, positions, [replace(row, position=piece.first + row.position) for row in rows.bad])


def _parsed(
    content: bytes, separator: str, names: Sequence[str], columns: Sequence[str], numbers: Collection[str]
) -> pl.DataFrame:
    return pl.read_csv(
        content,
        has_header=False,
        schema={name: pl.Float64 if name in numbers else pl.String for name in names},
        columns=[names.index(column) for column in columns],
        separator=separator,
    ).select(columns)


def _endless(path: Path, what: str) -> DataError:
    return DataError(
        f"{path}, {what} is longer than {MAX_RECORD >> 20} MiB; a quote in it may never be closed, mend it"
    )
