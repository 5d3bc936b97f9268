"""Criteo: the Kaggle display-advertising log, thirteen numbers and twenty-six hashed categories, 46 million rows."""

import gzip
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, cast

import polars as pl

from common.errors import DataError
from common.files import atomic_folder
from features._schema_file import write_schema
from features.loaders._shared import LoadSummary, unreadable

_NUMBERS = tuple(f"I{i}" for i in range(1, 14))
_CATEGORIES = tuple(f"C{i}" for i in range(1, 27))
_TYPES: dict[str, type[pl.DataType]] = {
    "label": pl.Int8,
    **dict.fromkeys(_NUMBERS, pl.Int64),
    **dict.fromkeys(_CATEGORIES, pl.String),
}
_EXPECTED = (
    "train.txt of the Criteo display advertising challenge (Kaggle 2014), plain or .gz: no header, tab separated, "
    "label, I1 to I13, C1 to C26"
)
_NOTES = """\
Criteo display advertising challenge (Criteo Labs, Kaggle 2014): seven days of ads, clicked or not, in time order but
without times. See the terms that came with the download before passing it on.
I1 to I13 are counts, may be missing and may be negative; what C1 to C26 mean is not known, so all are context."""


def load(
    source: Path,
    output: Path,
    *,
    overwrite: bool = False,
    block_bytes: int = 64 << 20,
    progress: Callable[[int], None] | None = None,
) -> LoadSummary:
    """Turn a download of Criteo into ``log/part-00000.parquet`` and so on, and ``schema.yaml``.

    The text is read in blocks and each block becomes a file, so memory does not grow with the log.

    Args:
        source: The text file, plain or ``.gz``, or its folder: there ``train.txt`` or ``train.txt.gz``, or else every
            other text file but ``readme.txt`` and ``test.txt``, by name.
        output: Folder to create.
        overwrite: Replace an existing folder.
        block_bytes: Text read at a time.
        progress: Called with the number of rows read since the last call.

    Returns:
        What was written.

    Raises:
        ConfigError: The output exists or cannot be written.
        DataError: There is no text file, or one is damaged or has other columns.
    """
    paths = _find(source)
    with atomic_folder(output, overwrite=overwrite) as folder:
        (folder / "log").mkdir()
        rows: dict[Path, int] = {}
        for path in paths:
            for first_line, block in _blocks(path, block_bytes):
                table = _parse(block, path, first_line)
                name = f"part-{len(rows):05d}.parquet"
                table.write_parquet(folder / "log" / name)
                rows[output / "log" / name] = table.height
                if progress is not None:
                    progress(table.height)
        if not rows:
            raise DataError(f"{paths[0]} is empty; expected {_EXPECTED}")
        write_schema(folder / "schema.yaml", _schema(), notes=_NOTES)
    return LoadSummary(schema=output / "schema.yaml", rows=rows)


def _find(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    if not source.exists():
        raise DataError(f"{source} does not exist; expected {_EXPECTED}")
    for name in ("train.txt", "train.txt.gz"):
        if (source / name).is_file():
            return [source / name]
    found = [path for pattern in ("*.txt", "*.txt.gz") for path in source.glob(pattern)]
    found = [path for path in found if path.name.lower().split(".")[0] not in ("readme", "test")]
    if not found:
        raise DataError(f"{source} holds no .txt or .txt.gz file; expected {_EXPECTED}")
    return sorted(found)


def _blocks(path: Path, size: int) -> Iterator[tuple[int, bytes]]:
    """Whole lines of a file, about ``size`` bytes at a time, each block with the number of its first line."""
    line, rest = 1, b""
    try:
        with _open(path) as file:
            while text := file.read(size):
                head, newline, tail = text.rpartition(b"\n")
                if not newline:
                    rest += tail
                    continue
                block, rest = rest + head + newline, tail
                yield line, block
                line += block.count(b"\n")
    except (OSError, EOFError, zlib.error) as problem:
        raise unreadable(path, problem, expected=_EXPECTED) from None
    if rest:
        yield line, rest + b"\n"


def _open(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


def _parse(block: bytes, path: Path, first_line: int) -> pl.DataFrame:
    """Read a block. polars fills short lines up without a word, so the tabs are counted first."""
    block = block.replace(b"\r\n", b"\n")
    problem: Exception = ValueError("some line is malformed")
    if block.count(b"\t") == (len(_TYPES) - 1) * block.count(b"\n"):
        try:
            table = pl.read_csv(block, separator="\t", has_header=False, schema=_TYPES, quote_char=None)
            if table["label"].is_in([0, 1]).fill_null(False).all():
                return table
        except pl.exceptions.PolarsError as found:
            problem = found
    _refuse(block, path, first_line, problem)


def _refuse(block: bytes, path: Path, first_line: int, problem: Exception) -> NoReturn:
    """Say which line of a block is wrong, and how; ``problem`` where no line looks wrong."""
    for number, line in enumerate(block.removesuffix(b"\n").split(b"\n"), start=first_line):
        values = line.decode("utf-8", "replace").split("\t")
        if len(values) != len(_TYPES):
            raise DataError(f"{path}, line {number} has {len(values)} of {len(_TYPES)} columns; expected {_EXPECTED}")
        if values[0] not in ("0", "1"):
            raise DataError(f"{path}, line {number}: the label is {values[0]!r}, not 0 or 1; expected {_EXPECTED}")
        for name, value in zip(_NUMBERS, values[1:], strict=False):
            if value and not value.removeprefix("-").isdecimal():
                raise DataError(f"{path}, line {number}: {name} is {value!r}, no whole number; expected {_EXPECTED}")
    raise unreadable(path, problem, expected=_EXPECTED)


def _schema() -> dict[str, Any]:
    return {
        "label": "label",
        "features": [
            *({"name": n, "kind": "numeric", "transforms": ["log1p"], "missing": "mask"} for n in _NUMBERS),
            *({"name": n, "kind": "categorical"} for n in _CATEGORIES),
        ],
    }
