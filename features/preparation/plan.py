"""The plan of a preparation: which rows of which files, in which parts, split how."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from common.errors import ConfigError, DataError, SchemaError
from features.encoding.typed import holds_dates
from features.preparation.split import Fractions
from features.schema import Schema
from features.sources.piece import Piece
from features.sources.raw_file import RawFile, check_types, expand, read

PART_ROWS = 65_536
"""Rows of the input that a part has at least, but for the last."""

_MOST = 4
"""Times as many it may have, so that the next part begins where a reader can."""

Progress = Callable[[str, int, int], None]
"""Called with the phase, what is done and what there is."""


@dataclass(frozen=True)
class Inputs:
    """Patterns of the raw files.

    Attributes:
        files: Files to split; all train where ``valid`` or ``test`` are given.
        valid: Files that validate.
        test: Files that test.
    """

    files: Sequence[str]
    valid: Sequence[str] = ()
    test: Sequence[str] = ()

    @property
    def split(self) -> bool:
        """Whether the files themselves say how rows are split."""
        return bool(self.valid or self.test)


@dataclass(frozen=True)
class SplitSettings:
    """How rows are split.

    Attributes:
        fractions: Shares of the splits.
        by: ``row``: each row on its own. ``time``: the earliest train, the latest test. ``group``: all rows of a
            group on one side.
        seed: Of a split by row or group.
    """

    fractions: Fractions = field(default_factory=Fractions)
    by: Literal["row", "time", "group"] = "row"
    seed: int = 0


@dataclass(frozen=True)
class Portion:
    """A piece of a raw file and its place in the input.

    Attributes:
        piece: The piece.
        offset: Position in the whole input of the file's first row.
        split: Index into ``SPLITS`` of all its rows, where files are given a split; else None.
    """

    piece: Piece
    offset: int
    split: int | None


@dataclass(frozen=True)
class Part:
    """Consecutive rows of the input, prepared at once: the unit that is fanned out, checked and resumed.

    Attributes:
        index: Its number, from 0.
        portions: Its rows.
    """

    index: int
    portions: tuple[Portion, ...]

    @property
    def rows(self) -> int:
        """Rows, bad ones included."""
        return sum(portion.piece.rows for portion in self.portions)


@dataclass(frozen=True)
class Plan:
    """The rows to prepare.

    Attributes:
        parts: All rows in parts.
        dates: Whether a timestamp that is text holds dates rather than integers.
        files: For each file its path, size in bytes, time of change in ns, and split: what tells one input from
            another.
    """

    parts: tuple[Part, ...]
    dates: bool
    files: tuple[tuple[str, int, int, int | None], ...]

    @property
    def rows(self) -> int:
        """Rows of the input, bad ones included."""
        return sum(part.rows for part in self.parts)


def make_plan(schema: Schema, inputs: Inputs, progress: Progress) -> Plan:
    """Open every file and cut the input into parts.

    Raises:
        ConfigError: A file is given to two splits.
        SchemaError: A file lacks a column, or a column changes its type from file to file.
        DataError: A file is unreadable, or there is no row.
    """
    named = [
        (path, index if inputs.split else None)
        for index, patterns in enumerate((inputs.files, inputs.valid, inputs.test))
        for path in expand(patterns)
    ]
    seen: set[Path] = set()
    for path, _ in named:
        if path.resolve() in seen:
            raise ConfigError(f"{path} is given to two splits; give it to one")
        seen.add(path.resolve())
    opened = []
    for done, (path, split) in enumerate(named):
        progress("scan", done, len(named))
        opened.append((RawFile(path, schema.columns), split))
    progress("scan", len(named), len(named))
    files = [file for file, _ in opened]
    _check_kept(schema, files)
    check_types(files, schema.columns)
    if not any(file.rows for file in files):
        raise DataError(f"{', '.join(str(file.path) for file in files)}: not one row; give files with rows")
    return Plan(
        parts=tuple(_parts(opened)),
        dates=_dates(schema, files),
        files=tuple((str(f.path), (found := f.path.stat()).st_size, found.st_mtime_ns, split) for f, split in opened),
    )


def _parts(files: Sequence[tuple[RawFile, int | None]]) -> Iterator[Part]:
    portions: list[Portion] = []
    index = rows = offset = 0
    for file, split in files:
        for piece in file.pieces:
            if rows >= (PART_ROWS if piece.entry else _MOST * PART_ROWS):
                yield Part(index, tuple(portions))
                portions, rows, index = [], 0, index + 1
            portions.append(Portion(piece, offset, split))
            rows += piece.rows
        offset += file.rows
    if portions:
        yield Part(index, tuple(portions))


def _check_kept(schema: Schema, files: Sequence[RawFile]) -> None:
    """Kept columns stay as they are, so every file must hold them alike."""
    for name in schema.keep:
        for file in files[1:]:
            if file.dtypes[name] != files[0].dtypes[name]:
                raise SchemaError(
                    f"{file.path}: kept column {name!r} is {file.dtypes[name]}, but {files[0].dtypes[name]} in "
                    f"{files[0].path}; write it alike, or drop it from keep"
                )


def _dates(schema: Schema, files: Sequence[RawFile]) -> bool:
    """Whether timestamps that are text hold dates, as the first file says."""
    if schema.timestamp is None:
        return False
    for file in files:
        for piece in file.pieces[:1]:
            column = read(piece, [schema.timestamp]).frame[schema.timestamp]
            if column.count():
                return holds_dates(column)
    return False
