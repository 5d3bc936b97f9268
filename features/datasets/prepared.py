"""A prepared set, opened: its fitted schema, its splits, its rows shard by shard."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import polars as pl
from pydantic import ValidationError

from common.errors import ArtifactError, DataError, did_you_mean
from common.settings import Settings
from features.datasets.shards import Shards
from features.encoding.fitted import FittedSchema

FORMAT = 1
FILE = "prepared.json"
SCHEMA_DIGEST = "plexrank.schema_digest"
"""Key under which a shard's Parquet metadata holds the fitted schema's digest."""


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
        columns: The summary of every feature (features.preparation.summary).
        sampled_rows: Rows in which the summary's top values were counted.
        bad_rows: Rows of the raw files that were left out because a value of theirs was wrong.
    """

    format: int = FORMAT
    schema_digest: str
    splits: dict[Literal["train", "valid", "test"], PreparedSplit]
    columns: tuple[dict[str, Any], ...]
    sampled_rows: int
    bad_rows: int = 0


class PreparedSet:
    """What ``plexrank prepare`` wrote.

    Args:
        folder: Its folder.

    Attributes:
        document: Its ``prepared.json``.
        fitted: The fitted schema that encoded it.

    Raises:
        DataError: It is missing, unfinished, or of another format.
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
        self.document = document
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

    def check_reader(self, name: str, schema_digest: str) -> None:
        """Refuse to be read by an artifact of another schema.

        Args:
            name: What the reader is called in the message.
            schema_digest: Of the fitted schema that it reads.

        Raises:
            ArtifactError: It is another than this set's.
        """
        if schema_digest != self.fitted.digest:
            raise ArtifactError(
                f"{self.folder} was prepared with schema {self.fitted.digest[:12]}, {name} reads "
                f"{schema_digest[:12]}: ids would not agree; give the data the model was trained on"
            )

    def reader(self, split: str) -> Shards:
        """A split's shards, to read rows from.

        Raises:
            DataError: There is no such split.
        """
        files = [(self.folder / split / shard.file, shard.rows) for shard in self._split(split).shards]
        return Shards(files, self.fitted.schema, {SCHEMA_DIGEST: self.fitted.digest})

    def shards(self, split: str, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """A split's rows in order, a frame a shard.

        Args:
            split: ``train``, ``valid`` or ``test``.
            columns: Columns to read, all by default.

        Raises:
            DataError: There is no such split, or a shard cannot be read (:meth:`features.datasets.shards.Shards.read`).
        """
        reader = self.reader(split)
        return (reader.read(shard, columns=columns) for shard in range(len(reader.rows)))

    def _split(self, split: str) -> PreparedSplit:
        if split not in self._splits:
            raise DataError(f"{self.folder} has no split {split!r}; {did_you_mean(split, self._splits)}")
        return self._splits[split]
