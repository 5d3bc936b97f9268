"""A prepared set, opened: its fitted schema, its splits, its rows shard by shard."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import polars as pl
from pydantic import ValidationError

from common.errors import DataError, did_you_mean
from common.settings import Settings
from features.fitted import FittedSchema

FORMAT = 1
FILE = "prepared.json"


class Shard(Settings):
    """A shard: its file's name in the split's folder, and its rows."""

    file: str
    rows: int


class PreparedSplit(Settings):
    """A split: its rows, how many have label 1, and its shards in order."""

    rows: int
    positives: int
    shards: tuple[Shard, ...]


class PreparedDocument(Settings):
    """What ``prepared.json`` holds.

    Attributes:
        format: Version of the format.
        schema_digest: Digest of the fitted schema beside it.
        splits: The splits by name.
        columns: The summary of every feature (features.summary).
        sampled_rows: Rows in which the summary's top values were counted.
    """

    format: int = FORMAT
    schema_digest: str
    splits: dict[Literal["train", "valid", "test"], PreparedSplit]
    columns: tuple[dict[str, Any], ...]
    sampled_rows: int


class PreparedSet:
    """What ``plexrank prepare`` wrote.

    Args:
        folder: Its folder.

    Raises:
        DataError: It is missing, unfinished, of another format, or lacks a shard.
        SchemaError: Its ``schema.json`` is damaged.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / FILE
        try:
            document = PreparedDocument.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            raise DataError(f"{folder} is no prepared set (it has no {FILE}); run plexrank prepare") from None
        except (OSError, ValidationError) as problem:
            reason = problem.errors()[0]["msg"] if isinstance(problem, ValidationError) else problem.strerror
            raise DataError(f"{path} cannot be read ({reason}); prepare the data again") from None
        if document.format != FORMAT:
            found = document.format
            raise DataError(f"{path} has format {found}, this plexrank reads {FORMAT}; prepare the data again")
        self.folder = folder
        self.fitted = FittedSchema.load(folder)
        self._splits: dict[str, PreparedSplit] = dict(document.splits.items())
        if self.fitted.digest != document.schema_digest:
            raise DataError(f"{folder} holds the schema of another prepared set; prepare the data again")

    def rows(self, split: str) -> int:
        """Rows of a split.

        Raises:
            DataError: There is no such split.
        """
        return self._split(split).rows

    def shards(self, split: str, columns: list[str] | None = None) -> Iterator[pl.DataFrame]:
        """A split's rows in order, a frame a shard.

        Args:
            split: ``train``, ``valid`` or ``test``.
            columns: Columns to read, all by default.

        Raises:
            DataError: A shard is missing, damaged, or has another number of rows than were written.
        """
        for shard in self._split(split).shards:
            path = self.folder / split / shard.file
            try:
                frame = pl.read_parquet(path, columns=columns)
            except (OSError, pl.exceptions.PolarsError) as problem:
                reason = str(problem).strip().splitlines()[0].rstrip(".;:")
                raise DataError(f"shard {path} cannot be read: {reason}; prepare the data again") from None
            if frame.height != shard.rows:
                raise DataError(f"shard {path} has {frame.height} rows, not {shard.rows}; prepare the data again")
            yield frame

    def _split(self, split: str) -> PreparedSplit:
        if split not in self._splits:
            raise DataError(f"{self.folder} has no split {split!r}; {did_you_mean(split, self._splits)}")
        return self._splits[split]
