"""Raw files: which ones a pattern names, what columns they have, and their rows in batches."""

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from common.errors import DataError, SchemaError, did_you_mean

BATCH_ROWS = 131_072
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
    """One raw file, opened and checked for its columns.

    Args:
        path: A ``.csv``, ``.tsv`` (either may end in ``.gz``) or ``.parquet`` file. Every csv and tsv column is read
            as text: what a value means is the schema's business, not a guess from the first hundred rows.
        columns: Columns that must be there; only these are read.

    Raises:
        DataError: The file is empty, unreadable or of an unknown kind.
        SchemaError: A column is missing.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path = path
        kind = _kind(path)
        if kind is None:
            raise DataError(f"{path} is neither csv, tsv nor parquet; convert it, or rename it to say what it is")
        try:
            if path.stat().st_size == 0:
                raise DataError(f"{path} is empty; remove it, or fetch it again")
            scan = (
                pl.scan_parquet(path, glob=False)
                if kind == ".parquet"
                else pl.scan_csv(path, glob=False, separator=_SEPARATORS[kind], infer_schema=False)
            )
            present = scan.collect_schema()
            missing = [c for c in columns if c not in present]
            if missing:
                raise SchemaError(f"{path} has no column {missing[0]!r}; {did_you_mean(missing[0], present)}")
            self.dtypes = {column: present[column] for column in columns}
            # A csv is read whole: told to skip columns, polars would also skip over rows with too many fields.
            self._scan = scan.select(columns) if kind == ".parquet" else scan
            self._columns = list(columns)
            self.rows = int(scan.select(pl.len()).collect(engine="streaming").item())
        except (OSError, pl.exceptions.PolarsError) as problem:
            raise _unreadable(path, problem) from None

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[tuple[int, pl.DataFrame]]:
        """The file's rows in order.

        Args:
            columns: Fewer columns to read.

        Yields:
            Position of the batch's first row in the file, from 0, and the batch.

        Raises:
            DataError: The file turns out to be damaged.
        """
        first = 0
        scan = self._scan if columns is None else self._scan.select(columns)
        try:
            for frame in scan.collect_batches(chunk_size=BATCH_ROWS, maintain_order=True, engine="streaming"):
                if frame.height:
                    yield first, frame.select(columns or self._columns)
                    first += frame.height
        except (OSError, pl.exceptions.PolarsError) as problem:
            raise _unreadable(self.path, problem) from None


def _kind(path: Path) -> str | None:
    """``.csv``, ``.tsv`` or ``.parquet``, or None."""
    suffix = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    return suffix if suffix in _SEPARATORS or path.suffix == ".parquet" else None


def _unreadable(path: Path, problem: Exception) -> DataError:
    reason = str(problem).strip().splitlines()[0].rstrip(".;:")
    return DataError(f"{path} cannot be read: {reason}; fetch or write it again")
