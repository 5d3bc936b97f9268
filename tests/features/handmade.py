"""A prepared set written by hand: any shards, and rows that say which they are."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from common.files import write_json
from features.datasets.batch import Batch
from features.datasets.prepared import FILE, SCHEMA_DIGEST, PreparedDocument, PreparedSet, PreparedSplit, Shard
from features.encoding.fitted import FittedSchema
from features.encoding.typed import GROUP, LABEL, ROW
from features.schema import parse_schema

SCHEMA: dict[str, Any] = {
    "label": "y",
    "group": "id",
    "features": [
        {"name": "id", "kind": "categorical"},
        {"name": "age", "kind": "numeric"},
        {"name": "past", "kind": "sequence", "of": "id"},
    ],
}


def write_prepared(folder: Path, shards: Sequence[int], document: dict[str, Any] = SCHEMA) -> PreparedSet:
    """Write shards of so many rows as the training split. Every value of a row follows from its ``_row``."""
    fitted = FittedSchema(parse_schema(document, source="test"), {}, {}, {})
    (folder / "train").mkdir(parents=True)
    fitted.save(folder)
    files, start = [], 0
    for i, rows in enumerate(shards):
        row = np.arange(start, start := start + rows)
        frame = pl.DataFrame(
            {
                ROW: row,
                LABEL: pl.Series(row % 2, dtype=pl.UInt8),
                "id": row,
                "age": pl.Series(row / 2, dtype=pl.Float32),
                "past": pl.Series([[r] * (r % 4) for r in row.tolist()], dtype=pl.List(pl.Int64)),
                GROUP: row // 10,
            }
        )
        path = folder / "train" / f"part-{i:05d}.parquet"
        frame.write_parquet(path, metadata={SCHEMA_DIGEST: fitted.digest}, row_group_size=64)
        files.append(Shard(file=path.name, rows=rows))
    split = PreparedSplit(rows=start, positives=start // 2, shards=tuple(files))
    made = PreparedDocument(
        schema_digest=fitted.digest,
        splits={"train": split, "valid": PreparedSplit(rows=0, positives=0, shards=())},
        columns=({"name": "past", "mean_length": 1.5},),
        sampled_rows=0,
    )
    write_json(folder / FILE, made.model_dump(mode="json"))
    return PreparedSet(folder)


def rows_of(batch: Batch) -> list[int]:
    """The rows of a batch of such a set, each checked to be whole."""
    features = batch.sparse.to_dict()
    rows: list[int] = features["id"].values().tolist()
    assert batch.label is not None
    assert batch.group is not None
    assert batch.label.tolist() == [row % 2 for row in rows]
    assert batch.group.tolist() == [row // 10 for row in rows]
    assert batch.dense[:, 0].tolist() == [row / 2 for row in rows]
    assert [past.tolist() for past in features["past"].to_dense()] == [[row] * (row % 4) for row in rows]
    return rows


def bytes_of(batch: Batch) -> list[bytes]:
    """All that a batch holds."""
    tensors = [batch.dense, batch.sparse.values(), batch.sparse.lengths(), batch.label, batch.group]
    return [tensor.numpy().tobytes() for tensor in tensors if tensor is not None]
