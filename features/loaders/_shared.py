"""What the loaders share: their summary, and reading a download whose every fault gets a sentence."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from common.errors import DataError


@dataclass(frozen=True)
class LoadSummary:
    """What a loader wrote.

    Attributes:
        schema: The ``schema.yaml``.
        rows: Rows of each file, in the order of their making.
    """

    schema: Path
    rows: dict[Path, int]


def read_table(path: Path, *, expected: str) -> pl.DataFrame:
    """Read a whole ``.parquet`` or ``.csv`` file.

    Args:
        path: File to read.
        expected: What it should have been, for the message.

    Raises:
        DataError: It is missing, empty or damaged.
    """
    try:
        return pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path)
    except (OSError, pl.exceptions.PolarsError) as problem:
        raise unreadable(path, problem, expected=expected) from None


def require_columns(frame: pl.DataFrame, columns: tuple[str, ...], path: Path, *, expected: str) -> pl.DataFrame:
    """Take columns by name, all of them integers.

    Raises:
        DataError: One is missing or holds something else.
    """
    for column in columns:
        if column not in frame.columns:
            raise DataError(f"{path} has no column {column!r}; expected {expected}")
        if not frame[column].dtype.is_integer():
            raise DataError(f"{path}: column {column!r} is {frame[column].dtype} and not integers; expected {expected}")
    return frame.select(columns)


def unreadable(path: Path, problem: Exception, *, expected: str) -> DataError:
    """The error for a file that is missing or damaged."""
    if isinstance(problem, FileNotFoundError):
        return DataError(f"{path} does not exist; expected {expected}")
    reason = (str(problem).strip().splitlines() or [type(problem).__name__])[0].rstrip(".;:")
    return DataError(f"{path} cannot be read ({reason}); expected {expected}")
