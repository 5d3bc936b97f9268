"""A prepared set, opened: its fitted schema, its splits, its rows shard by shard."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from common.errors import DataError, did_you_mean
from features.fitted import FittedSchema
from features.prepare import FORMAT


class PreparedSet:
    """What ``plexrank prepare`` wrote.

    Args:
        folder: Its folder.

    Raises:
        DataError: It is missing, unfinished, of another format, or lacks a shard.
        SchemaError: Its ``schema.json`` is damaged.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / "prepared.json"
        try:
            document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            found, digest, self._splits = document["format"], document["schema_digest"], document["splits"]
        except FileNotFoundError:
            raise DataError(f"{folder} is no prepared set (it has no prepared.json); run plexrank prepare") from None
        except (OSError, ValueError, KeyError, TypeError) as problem:
            raise DataError(f"{path} cannot be read ({problem}); prepare the data again") from None
        if found != FORMAT:
            raise DataError(f"{path} has format {found!r}, this plexrank reads {FORMAT}; prepare the data again")
        self.folder = folder
        self.fitted = FittedSchema.load(folder)
        if self.fitted.digest != digest:
            raise DataError(f"{folder} holds the schema of another prepared set; prepare the data again")

    def rows(self, split: str) -> int:
        """Rows of a split.

        Raises:
            DataError: There is no such split.
        """
        return int(self._split(split)["rows"])

    def shards(self, split: str, columns: list[str] | None = None) -> Iterator[pl.DataFrame]:
        """A split's rows in order, a frame a shard.

        Args:
            split: ``train``, ``valid`` or ``test``.
            columns: Columns to read, all by default.

        Raises:
            DataError: A shard is missing, damaged, or has another number of rows than were written.
        """
        for shard in self._split(split)["shards"]:
            path = self.folder / split / shard["file"]
            try:
                frame = pl.read_parquet(path, columns=columns)
            except (OSError, pl.exceptions.PolarsError) as problem:
                reason = str(problem).strip().splitlines()[0].rstrip(".;:")
                raise DataError(f"shard {path} cannot be read: {reason}; prepare the data again") from None
            if frame.height != shard["rows"]:
                raise DataError(f"shard {path} has {frame.height} rows, not {shard['rows']}; prepare the data again")
            yield frame

    def _split(self, split: str) -> dict[str, Any]:
        if split not in self._splits:
            raise DataError(f"{self.folder} has no split {split!r}; {did_you_mean(split, self._splits)}")
        described: dict[str, Any] = self._splits[split]
        return described
