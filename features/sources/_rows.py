"""Rows of a csv that polars can take, and those that nobody can."""

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from features.sources._bits import Positions, count_before
from features.sources._records import Records, records
from features.sources.piece import TEXT, BadRow


@dataclass(frozen=True)
class Rows:
    """The rows of some bytes, sorted out. Positions count rows from 0, blank lines not among them.

    Attributes:
        data: The good rows, quoted such that nobody can differ on what they say, and no blank line.
        good: Position of each.
        bad: The others.
    """

    data: bytes
    good: Positions
    bad: list[BadRow]


def sort_out(data: bytes, separator: str, names: list[str]) -> Rows:
    """Tell good rows from bad ones: with too few or too many fields, quotes that do not match, or no valid UTF-8.

    Args:
        data: Whole records.
        separator: Between fields.
        names: Of the columns.
    """
    sorter = _Sorter(data, separator, names)
    found = sorter.found
    bad = sorter.bad()
    keep = ~found.blank
    positions = np.cumsum(keep) - 1
    keep[list(bad)] = False
    requoted = {int(row): sorter.requoted(int(row)) for row in sorter.plain_rows() if keep[row]}
    parts, start = [], 0
    for row in sorted({*np.flatnonzero(~keep).tolist(), *requoted}):
        parts += [data[start : found.starts[row]], requoted.get(row, b"")]
        start = int(found.stops[row]) + 1
    return Rows(
        data=b"".join([*parts, data[start:]]) if parts else data,
        good=positions[keep],
        bad=[
            BadRow(int(positions[row]), column, reason, sorter.text(row))
            for row, (column, reason) in sorted(bad.items())
        ],
    )


class _Sorter:
    """The records of some bytes and their fields."""

    def __init__(self, data: bytes, separator: str, names: list[str]) -> None:
        self._data, self._separator, self._names = data, separator, names
        self.found: Records = records(data, separator, whole=True)
        self._breaks = self.found.quoting.outside(np.frombuffer(data, np.uint8) == ord(separator))

    def bad(self) -> dict[int, tuple[str | None, str]]:
        """Column and reason of each bad record."""
        found, width = self.found, len(self._names)
        bad: dict[int, tuple[str | None, str]] = {}
        if found.quoting.inside is not None and found.quoting.inside[-1]:
            bad[found.stops.size - 1] = self._fault(len(self._data) - 1, "has a quote that is never closed")
        for where in found.quoting.trailed.tolist():
            bad.setdefault(self._row(where), self._fault(where, "has text after a closing quote"))
        for where in self._invalid():
            bad.setdefault(self._row(where), self._fault(where, "is not valid UTF-8"))
        fields = np.diff(count_before(self._breaks, np.append(found.starts, len(self._data)))) + 1
        for row in np.flatnonzero((fields != width) & ~found.blank).tolist():
            count = "1 field" if fields[row] == 1 else f"{fields[row]} fields"
            bad.setdefault(row, (None, f"has {count}, not {width}"))
        return bad

    def plain_rows(self) -> Positions:
        """Records in which a quote is text of an unquoted field."""
        rows: Positions = np.unique(np.searchsorted(self.found.stops, self.found.quoting.plain))
        return rows

    def requoted(self, row: int) -> bytes:
        """A record with the fields quoted that have a quote in their middle: polars takes it for an opening one."""
        start, stop = int(self.found.starts[row]), int(self.found.stops[row])
        edges = [start - 1, *(start + np.flatnonzero(self._breaks[start:stop])).tolist(), stop]
        fields = [self._data[a + 1 : b] for a, b in pairwise(edges)]
        fields[-1] = fields[-1].removesuffix(b"\r")
        quoted = [f if f.startswith(b'"') or b'"' not in f else b'"' + f.replace(b'"', b'""') + b'"' for f in fields]
        return self._separator.encode().join(quoted) + b"\n"

    def text(self, row: int) -> str:
        """What a record looks like."""
        start, stop = self.found.starts[row], self.found.stops[row]
        # A character has at most four bytes.
        return self._data[start : min(stop, start + 4 * TEXT)].decode(errors="replace").removesuffix("\r")[:TEXT]

    def _row(self, where: int) -> int:
        return int(np.searchsorted(self.found.stops, where))

    def _fault(self, where: int, what: str) -> tuple[str | None, str]:
        """Column and reason of what is wrong at a byte."""
        field = np.count_nonzero(self._breaks[self.found.starts[self._row(where)] : where])
        if field < len(self._names):
            return self._names[field], f"column {self._names[field]!r} {what}"
        return None, what

    def _invalid(self) -> Iterator[int]:
        """The first byte of each record that is no UTF-8."""
        start, view = 0, memoryview(self._data)
        while not (start == 0 and self._data.isascii()):
            try:
                codecs.utf_8_decode(view[start:], "strict", True)
            except UnicodeDecodeError as problem:
                where = start + problem.start
                yield where
                start = int(self.found.stops[self._row(where)]) + 1
            else:
                return
