"""Csv and tsv files: cut into pieces in one pass over their bytes, and read piece by piece."""

import csv
from collections.abc import Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from common.errors import DataError
from features.sources._records import plain, records
from features.sources._refusals import changed, unreadable
from features.sources._rows import Rows, sort_out
from features.sources._stream import opened, span
from features.sources.piece import Piece, Read

PIECE = 8 << 20
"""Bytes of a piece, at least, but for the last."""
BLOCK = 1 << 20
"""Bytes that are looked at together while a file is cut: what a processor's cache holds."""
MAX_RECORD = 32 << 20
"""Bytes that one record may have: a quote that is never closed must not swallow what memory there is."""
_COUNTERS = 2  # threads that count rows while the next block is read
_WAITING = 8  # blocks that wait for them at most
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
    """Cut a file's rows into pieces, each ending where a record ends. Memory is that of a few blocks or a record.

    Raises:
        DataError: The file is damaged, or a record is endless.
    """
    head, size = header(path, separator), path.stat().st_size
    spans: list[tuple[int, int]] = []
    counts: list[Future[tuple[int, bool]]] = []
    start, block = head.stop, b""
    with opened(path) as stream, ThreadPoolExecutor(_COUNTERS, thread_name_prefix="count") as pool:
        stream.seek(start)
        while True:
            more = stream.read(BLOCK)
            last = len(more) < BLOCK
            block += more
            used, rows_seen = _used(block, separator, last=last)
            if used:
                spans.append((start, start + used))
                counts.append(pool.submit(_rows, block, used, separator, len(head.names), rows_seen))
                counts[max(0, len(counts) - _WAITING)].result()
            start, block = start + used, block[used:]
            if last:
                break
            if len(block) > MAX_RECORD:
                raise _endless(path, f"row {sum(count.result()[0] for count in counts) + 1}")
    pieces: list[Piece] = []
    first, rows, begin, all_plain = 0, 0, head.stop, True
    for (_, end), count in zip(spans, counts, strict=True):
        more_rows, is_plain = count.result()
        rows, all_plain = rows + more_rows, all_plain and is_plain
        if end - begin >= PIECE or end == spans[-1][1]:
            if rows:
                entry = not pieces or path.suffix != ".gz"
                pieces.append(Piece(path, first, rows, begin, end, size, entry, all_plain))
            first, rows, begin, all_plain = first + rows, 0, end, True
    return pieces


def _used(block: bytes, separator: str, *, last: bool) -> tuple[int, int | None]:
    """Bytes of the whole records of a block; and how many rows, where quotes made that known too."""
    if b'"' not in block:
        return len(block) if last else block.rfind(b"\n") + 1, None
    found = records(block, separator, whole=last)
    used = min(int(found.stops[-1]) + 1, len(block)) if found.stops.size else 0
    return used, int(np.count_nonzero(~found.blank))


def _rows(block: bytes, used: int, separator: str, fields: int, seen: int | None) -> tuple[int, bool]:
    """Rows in the first bytes of a block, if they were not seen yet, and whether all are plain."""
    if seen is not None:
        return seen, False
    rows = plain(block, used, separator, fields)
    if rows is not None:
        return rows, True
    return int(np.count_nonzero(~records(block[:used], separator, whole=True).blank)), False


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
            parsed = partial(_parsed, content, separator, names, columns, quoted=not piece.plain)
            try:
                frame = parsed(numbers)
            except pl.exceptions.ComputeError:  # a field is no number, or something is wrong with text too
                frame = parsed(())
        except pl.exceptions.PolarsError as problem:
            raise unreadable(piece.path, problem) from None
    if frame.height != rows.good.size:
        raise changed(piece.path)
    positions = pl.Series(piece.first + rows.good, dtype=pl.Int64)
    return Read(frame, positions, [replace(row, position=piece.first + row.position) for row in rows.bad])


def _parsed(
    content: bytes,
    separator: str,
    names: Sequence[str],
    columns: Sequence[str],
    numbers: Collection[str],
    *,
    quoted: bool,
) -> pl.DataFrame:
    return pl.read_csv(
        content,
        has_header=False,
        schema={name: pl.Float64 if name in numbers else pl.String for name in names},
        columns=[names.index(column) for column in columns],
        separator=separator,
        quote_char='"' if quoted else None,
    ).select(columns)


def _endless(path: Path, what: str) -> DataError:
    return DataError(
        f"{path}, {what} is longer than {MAX_RECORD >> 20} MiB; a quote in it may never be closed, mend it"
    )
