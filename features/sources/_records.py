"""Records of a csv, found in its bytes.

A quote opens a quoted field only where the field starts, as in RFC 4180; elsewhere it is a character like any other.
Inside a quoted field separators and newlines are text, and two quotes stand for one.
"""

import re
from dataclasses import dataclass

import numpy as np

from features.sources._bits import Marks, Positions, between, count_before

_QUOTE, _NEWLINE, _RETURN = b'"\n\r'
_QUOTED = re.compile(rb'"[^"]*+(?:""[^"]*+)*+("?)')


@dataclass(frozen=True)
class Quoting:
    """Which bytes of a block quotes turn into text.

    Attributes:
        inside: ``[bytes]``: those from a quote that opens a field to before the one that closes it, or the end of the
            block; None where no field is quoted.
        plain: The quotes that are text of a field that is not quoted.
        trailed: The closing quotes that something else follows than the end of the field.
    """

    inside: Marks | None
    plain: Positions
    trailed: Positions

    def outside(self, marks: Marks) -> Marks:
        """The marks that are not inside a quoted field."""
        return marks if self.inside is None else marks & ~self.inside


@dataclass(frozen=True)
class Records:
    """Where the records of a block lie, R of them, blank lines included.

    Attributes:
        starts: ``[R]``: the first byte of each.
        stops: ``[R]``: the newline that ends it, or the end of the block.
        blank: ``[R]``: which are blank lines.
        quoting: Of the block.
    """

    starts: Positions
    stops: Positions
    blank: Marks
    quoting: Quoting


def records(block: bytes, separator: str, *, whole: bool) -> Records:
    """Find the records of a block that starts where a record starts.

    Args:
        block: The bytes.
        separator: Between fields, one ASCII character.
        whole: Whether the end of the block ends its last record; else a last one without a newline is left out.
    """
    bytes_ = np.frombuffer(block, np.uint8)
    quoting = _quoting(block, separator)
    stops = np.flatnonzero(quoting.outside(bytes_ == _NEWLINE))
    if whole and block and (stops.size == 0 or stops[-1] != len(block) - 1):
        stops = np.append(stops, len(block))
    starts = np.concatenate(([0], stops[:-1] + 1))[: stops.size]
    blank = stops == starts
    short = np.flatnonzero(stops - starts == 1)
    blank[short] = bytes_[starts[short]] == _RETURN
    return Records(starts, stops, blank, quoting)


def plain(block: bytes, size: int, separator: str, fields: int) -> int | None:
    """Look whether records are all good rows of the plainest kind: the quick way through almost all files.

    Args:
        block: Bytes that start where a record starts.
        size: How many of them to look at; a record ends there.
        separator: Between fields.
        fields: How many a row has.

    Returns:
        The rows, if all are ASCII without quotes and have that many fields, and no line is blank or ends in a carriage
        return; else None.
    """
    if b'"' in block or b"\r" in block or not block.isascii() or block[size - 1] != _NEWLINE:
        return None
    bytes_ = np.frombuffer(block, np.uint8, size)
    stops = np.flatnonzero(bytes_ == _NEWLINE)
    found = np.diff(count_before(bytes_ == ord(separator), stops), prepend=0) + 1
    if (found != fields).any() or (fields == 1 and (np.diff(stops, prepend=-1) == 1).any()):
        return None
    return stops.size


def _quoting(block: bytes, separator: str) -> Quoting:
    nothing = np.empty(0, np.int64)
    if b'"' not in block:
        return Quoting(None, nothing, nothing)
    bytes_ = np.frombuffer(block, np.uint8)
    quotes = bytes_ == _QUOTE
    breaks = (bytes_ == ord(separator)) | (bytes_ == _NEWLINE)
    ends = breaks | (bytes_ == _RETURN)
    ends[:-1] &= breaks[:-1] | (bytes_[1:] == _NEWLINE)
    inside = between(quotes)
    # Where each quote borders on what it should, they open and close in turn. One right behind another opens its field
    # again: so the two that stand for one are no exception.
    strays = quotes & inside
    strays[1:] &= ~(breaks | quotes)[:-1]
    strays[0] = False
    if not strays.any() and not _trailed(quotes & ~inside, ends | quotes).size:
        return Quoting(inside, nothing, nothing)
    bounds: list[int] = []
    stop = 0
    for start in np.flatnonzero(quotes & np.append(True, breaks[:-1])).tolist():
        if start >= stop:
            field = _QUOTED.match(block, start)
            assert field is not None
            stop = field.end()
            bounds += [start, stop - 1] if field[1] else [start]
    bounding = np.zeros_like(quotes)
    bounding[bounds] = True
    inside = between(bounding)
    return Quoting(inside, np.flatnonzero(quotes & ~inside & ~bounding), _trailed(bounding & ~inside, ends))


def _trailed(closes: Marks, ends: Marks) -> Positions:
    """Closing quotes behind which no field ends."""
    return np.flatnonzero(closes[:-1] & ~ends[1:])
