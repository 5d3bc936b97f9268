"""What is said of a file that cannot be read, whatever it is written in."""

from pathlib import Path

from common.errors import DataError


def unreadable(path: Path, problem: object) -> DataError:
    """A file that is gone, damaged, or no csv or Parquet at all."""
    reason = (str(problem).strip() or type(problem).__name__).splitlines()[0].rstrip(".;:")
    return DataError(f"{path} cannot be read: {reason}; fetch or write it again")


def changed(path: Path) -> DataError:
    """A file that is not what it was when it was cut into pieces."""
    return DataError(f"{path} changed while it was read; start again when it is written")
