"""Raw files: which ones a pattern names, what columns they have, and how their rows are read."""

import glob
from collections import Counter
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path

import polars as pl

from common.errors import DataError, SchemaError, did_you_mean
from features.sources import _csv
from features.sources._refusals import changed, unreadable
from features.sources.piece import Piece, Read

_SEPARATORS = {".csv": ",", ".tsv": "\t"}


def expand(patterns: Sequence[str]) -> list[Path]:
    """Files that patterns name, sorted within each pattern, none twice.

    Args:
        patterns: Files, globs, or folders (all csv, tsv and parquet files in them).

    Raises:
        DataError: A pattern names no file.
    """
    files: dict[Path, None] = {}
    for pattern in patterns:
        if Path(pattern).is_dir():
            found = sorted(p for p in Path(pattern).iterdir() if p.is_file() and _kind(p))
        elif Path(pattern).is_file():
            found = [Path(pattern)]
        else:
            found = sorted(Path(p) for p in glob.glob(pattern, recursive=True))
        if not found:
            raise DataError(f"no file matches {pattern}; give csv, tsv or parquet files, a glob in quotes, or a folder")
        files |= dict.fromkeys(found)
    return list(files)


class RawFile:
    """One raw file, checked for its columns and cut into pieces: a csv's bytes are read once for that.

    Args:
        path: A ``.csv``, ``.tsv`` (either may end in ``.gz``) or ``.parquet`` file. Every csv and tsv column is
            text: what a value means is the schema's business, not a guess from the first hundred rows. There an
            empty field is missing, a quoted empty one is empty text, and blank lines are passed over.
        columns: Columns that must be there.

    Attributes:
        path: The file.
        dtypes: The type of each column.
        pieces: Its rows, in order.
        rows: How many there are.

    Raises:
        DataError: The file is empty, unreadable or of an unknown kind.
        SchemaError: A column is missing, or two have one name.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path = path
        kind = _kind(path)
        if kind is None:
            raise DataError(f"{path} is neither csv, tsv nor parquet; convert it, or rename it to say what it is")
        if _size(path) == 0:
            raise DataError(f"{path} is empty; remove it, or fetch it again")
        separator = _SEPARATORS.get(kind)
        if separator is None:
            from features.sources import _parquet  # not for a csv: pyarrow takes its time to load

            found, cut = _parquet.columns(path), partial(_parquet.cut, path)
        else:
            found = [(name, pl.String()) for name in _csv.header(path, separator).names]
            cut = partial(_csv.cut, path, separator)
        present = dict(found)
        if len(present) < len(found):
            twice = Counter(name for name, _ in found).most_common(1)[0][0]
            raise SchemaError(f"{path} has two columns {twice!r}; give each a name of its own")
        for column in columns:
            if column not in present:
                raise SchemaError(f"{path} has no column {column!r}; {did_you_mean(column, present)}")
        self.dtypes: dict[str, pl.DataType] = present
        self.pieces: list[Piece] = cut()
        self.rows = sum(piece.rows for piece in self.pieces)


def read(piece: Piece, columns: Sequence[str], numbers: Collection[str] = ()) -> Read:
    """Read columns of a piece; wrong rows come back beside the good ones.

    Args:
        piece: One of a file's pieces.
        columns: Which columns, in the order wanted.
        numbers: Columns that a csv may give as Float64, which saves making text of them; it does where all of the
            piece's fields in them are numbers, empty, or numbers behind spaces. Else they are text like the others.

    Raises:
        DataError: The file is gone, damaged, or was changed after it was cut.
    """
    if _size(piece.path) != piece.size:
        raise changed(piece.path)
    separator = _SEPARATORS.get(str(_kind(piece.path)))
    if separator is not None:
        return _csv.read(piece, separator, columns, numbers)
    from features.sources import _parquet

    return _parquet.read(piece, columns)


def check_types(files: Sequence[RawFile], columns: Sequence[str]) -> None:
    """Refuse files that do not agree on what a column is.

    Numbers agree with numbers, whatever their width, lists where what they hold does, and a column of nulls with all.
    A csv has no types and agrees with all.

    Args:
        files: The files.
        columns: Columns that all of them have.

    Raises:
        SchemaError: A column is one thing in one file and another in another.
    """
    for column in columns:
        known: RawFile | None = None
        for file in files:
            if _kind(file.path) != ".parquet" or _sort(file.dtypes[column]) is None:
                continue
            known = known or file
            here, there = file.dtypes[column], known.dtypes[column]
            if _sort(here) != _sort(there):
                raise SchemaError(
                    f"{file.path}: column {column!r} is {here}, but {there} in {known.path}; write it alike"
                )


def _sort(dtype: object) -> object:
    """A type without what files may differ in; None for a column of nulls, or of lists of nothing."""
    if isinstance(dtype, pl.List | pl.Array):
        inner = _sort(dtype.inner)
        return inner and (pl.List, inner)
    assert isinstance(dtype, pl.DataType)
    if dtype == pl.Null:
        return None
    if dtype.is_numeric():
        return "number"
    return pl.String if isinstance(dtype, pl.Categorical | pl.Enum) else dtype.base_type()


def _kind(path: Path) -> str | None:
    """``.csv``, ``.tsv`` or ``.parquet``, or None."""
    suffix = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    return suffix if suffix in _SEPARATORS or path.suffix == ".parquet" else None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as problem:
        raise unreadable(path, problem) from None
