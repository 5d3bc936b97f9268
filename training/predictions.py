"""Predictions: an artifact's scores of a prepared set, shard by shard, beside what is known of each row."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from common.errors import DataError
from features.datasets.prepared import PreparedSet
from features.encoding.encoded import EncodedRows
from features.encoding.typed import GROUP, KEEP, LABEL, ROW
from kernels.lookup.quantized import TablePrecision
from training.artifact import Artifact


def predictions(artifact: Artifact, prepared: PreparedSet, split: str) -> Iterator[pl.DataFrame]:
    """Score a split.

    Args:
        artifact: The model.
        prepared: The prepared set.
        split: ``train``, ``valid`` or ``test``.

    Yields:
        A frame a shard, its rows in order: the kept columns under their own names, ``row`` (position in the raw
        input), ``label``, ``group`` where the schema has one, and ``score`` (Float64).

    Raises:
        ArtifactError: The set was prepared with another fitted schema than the artifact's.
        DataError: The split has no rows, or a shard is damaged.
    """
    prepared.check_reader("the artifact", artifact.fitted.digest)
    if not prepared.rows(split):
        raise DataError(f"{prepared.folder} has no {split} rows; choose another --split")
    schema = prepared.fitted.schema
    for frame in prepared.shards(split):
        yield frame.select(
            *(pl.col(KEEP + name).alias(name) for name in schema.keep),
            pl.col(ROW).alias("row"),
            pl.col(LABEL).alias("label"),
            *([pl.col(GROUP).alias("group")] if schema.group is not None else []),
            pl.Series("score", artifact.score(EncodedRows.of(frame, schema))),
        )


def open_both(artifact: Path, data: Path, *, table: TablePrecision = "fp32") -> tuple[Artifact, PreparedSet]:
    """Load an artifact, its table in some precision, and open a prepared set.

    Raises:
        ArtifactError: The artifact is missing or damaged.
        DataError: The set is missing or damaged.
    """
    return Artifact.load(artifact, table=table), PreparedSet(data)
