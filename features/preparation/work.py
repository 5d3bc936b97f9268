"""The work on one part: the same functions on one machine and on many."""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import xxhash

from common.files import atomic_file
from common.settings import Settings
from features.datasets.order import CHUNK_ROWS
from features.datasets.prepared import SCHEMA_DIGEST
from features.encoding.fitted import FittedSchema
from features.encoding.fitter import Fitter
from features.encoding.tokens import token_expr
from features.encoding.typed import GROUP, LABEL, ROW, only_numbers, refuse, row_text, timestamps, too_large, typed_rows
from features.preparation.plan import Part, Portion
from features.preparation.split import SPLITS, Split, TimeHistogram
from features.preparation.summary import Summary
from features.schema import Schema
from features.sources.piece import BadRow
from features.sources.raw_file import read

OnBadRows = Literal["error", "skip", "quarantine"]


@dataclass(frozen=True)
class Job:
    """What the work on every part needs to know.

    Attributes:
        schema: The declaration.
        dates: Whether a timestamp that is text holds dates.
        split: How rows are split; None where files are given a split, or nothing is split yet.
        on_bad_rows: What becomes of them.
        grow: The fitted schema whose vocabularies grow, if one does.
        refit: Whether its statistics are fitted anew.
    """

    schema: Schema
    dates: bool
    split: Split | None
    on_bad_rows: OnBadRows
    grow: FittedSchema | None = None
    refit: bool = False


@dataclass(frozen=True)
class EncodeJob:
    """What encoding needs besides.

    Attributes:
        job: The job.
        fitted: The fitted schema.
        folder: Where shards go; every worker sees it under this name.
        rows: Rows of the whole input.
    """

    job: Job
    fitted: FittedSchema
    folder: Path
    rows: int


class PartShard(Settings):
    """A part's shard of one split.

    Attributes:
        file: Its name in the split's folder.
        rows: Its rows.
        positives: Rows with label 1.
        checksum: xxh3-128 of its bytes, hexadecimal.
    """

    file: str
    rows: int
    positives: int
    checksum: str


class PartRecord(Settings):
    """What came of encoding a part; written when its shards are whole.

    Attributes:
        rows: Good rows.
        bad_rows: Bad rows.
        shards: Its shards by split; a split without rows has none.
        present: For each numeric or bucketized feature, how many training rows have a value.
        summary: The state of its summary.
    """

    rows: int
    bad_rows: int
    shards: dict[str, PartShard]
    present: dict[str, int]
    summary: dict[str, Any]


def count_times(job: Job, part: Part) -> TimeHistogram:
    """Count a part's rows by time, for a split by time."""
    assert job.schema.timestamp is not None
    name = job.schema.timestamp
    histogram = TimeHistogram()
    for portion in part.portions:
        found = read(portion.piece, [name])
        times = timestamps(found.frame[name], name, portion.piece.path, dates=job.dates)
        histogram.update(times.drop_nulls().to_numpy())
    return histogram


def fit_part(job: Job, part: Part) -> Fitter:
    """Learn from a part's training rows."""
    fitter = Fitter(job.schema, grow=job.grow, refit=job.refit)
    # Where a bad row ends it all, encoding will find those that are bad for the sake of another column.
    schema = fitter.learns_from if job.on_bad_rows == "error" else job.schema
    assert schema is not None
    for portion, typed, bad in _typed(job, part, schema):
        if bad and job.on_bad_rows == "error":
            raise refuse(bad[0], portion.piece.path)
        fitter.update(_in_split(typed, _splits(job, portion, typed), 0))
    fitter.compact()
    return fitter


def encode_part(job: EncodeJob, part: Part) -> PartRecord:
    """Encode a part, write its shards, and record them beside."""
    summary = Summary(job.fitted, job.rows)
    encoded: list[list[pl.DataFrame]] = [[] for _ in SPLITS]
    measured = [f.name for f in job.fitted.schema.features if f.kind in ("numeric", "bucketized")]
    present = dict.fromkeys(measured, 0)
    quarantined: list[dict[str, Any]] = []
    bad_rows = 0
    for portion, typed, bad in _typed(job.job, part, job.job.schema):
        rows, late = _encoded(job.fitted, typed, portion)
        if late:
            typed = typed.filter(~typed[ROW].is_in([portion.offset + row.position for row in late]))
            bad = sorted([*bad, *late], key=lambda row: row.position)
        if bad and job.job.on_bad_rows == "error":
            raise refuse(bad[0], portion.piece.path)
        bad_rows += len(bad)
        quarantined += [row.described(portion.piece.path) for row in bad]
        summary.update(typed, rows)
        splits = _splits(job.job, portion, typed)
        training = _in_split(typed.select(measured), splits, 0).count() if measured else pl.DataFrame()
        present = {name: present[name] + training[name].item() for name in measured}
        columns = [ROW, LABEL, *(c for c in rows.columns if c not in (ROW, LABEL))]
        for index, some in enumerate(encoded):
            some.append(_in_split(rows.select(columns), splits, index))
    if quarantined and job.job.on_bad_rows == "quarantine":
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in quarantined)
        _write(job.folder / "quarantine" / f"part-{part.index:05d}.jsonl", lines.encode())
    record = PartRecord(
        rows=summary.rows,
        bad_rows=bad_rows,
        shards={
            name: shard
            for name, some in zip(SPLITS, encoded, strict=True)
            if (shard := _write_shard(job, name, part, some)) is not None
        },
        present=present,
        summary=summary.to_json(),
    )
    _write(_record_path(job.folder, part), record.model_dump_json().encode())
    return record


def finished(folder: Path, part: Part) -> PartRecord | None:
    """The record of a part that an earlier run finished, its shards checked to the byte; None where there is none."""
    try:
        record = PartRecord.model_validate_json(_record_path(folder, part).read_bytes())
        for split, shard in record.shards.items():
            if xxhash.xxh3_128_hexdigest((folder / split / shard.file).read_bytes()) != shard.checksum:
                return None
    except (OSError, ValueError):
        return None
    return record


RECORDS = "records"
"""Folder of the parts' records, which goes when the set is whole."""


def _record_path(folder: Path, part: Part) -> Path:
    return folder / RECORDS / f"part-{part.index:05d}.json"


def _typed(job: Job, part: Part, schema: Schema) -> Iterator[tuple[Portion, pl.DataFrame, list[BadRow]]]:
    """Yield a part's typed rows, ``_row`` the position in the whole input, and the bad ones."""
    numbers = only_numbers(schema)
    for portion in part.portions:
        found = read(portion.piece, schema.columns, numbers)
        typed, bad = typed_rows(found, schema, portion.piece.path, dates=job.dates)
        if bad:  # once more, for their descriptions to have the text of the file
            found = read(portion.piece, schema.columns)
            typed, bad = typed_rows(found, schema, portion.piece.path, dates=job.dates)
        yield portion, typed.with_columns(pl.col(ROW) + portion.offset), bad


def _splits(job: Job, portion: Portion, typed: pl.DataFrame) -> pl.Series | int:
    """Index into ``SPLITS`` of each row, or of all."""
    if portion.split is not None:
        return portion.split
    return 0 if job.split is None else job.split.assign(typed)


def _in_split(rows: pl.DataFrame, splits: pl.Series | int, index: int) -> pl.DataFrame:
    if isinstance(splits, int):
        return rows if splits == index else rows.clear()
    return rows.filter(splits == index)


def _encoded(fitted: FittedSchema, typed: pl.DataFrame, portion: Portion) -> tuple[pl.DataFrame, list[BadRow]]:
    """Encode the features, and the group as its token; rows with a number that float32 cannot hold are bad."""
    encoded = fitted.encode(typed)
    if fitted.schema.group is not None:
        encoded = encoded.with_columns(token_expr(pl.col(GROUP)).alias(GROUP))
    bad: dict[int, BadRow] = {}
    numeric = {feature.name: feature for feature in fitted.schema.numeric}
    signs = encoded.select(pl.col(name).is_infinite().any() for name in numeric)
    for name in (column.name for column in signs if column.item()):
        feature, found = numeric[name], read(portion.piece, fitted.schema.columns)
        for index in np.flatnonzero(np.isinf(encoded[name].to_numpy())).tolist():
            position = int(typed[ROW][index]) - portion.offset
            raw = int(found.positions.search_sorted(position))
            reason = f"{too_large(feature.name)} after its transforms"
            bad.setdefault(index, BadRow(position, feature.source, reason, row_text(found.frame, raw)))
    if bad:
        encoded = encoded.filter(~pl.int_range(encoded.height, eager=True).is_in(list(bad)))
    return encoded, list(bad.values())


def _write_shard(job: EncodeJob, split: str, part: Part, frames: list[pl.DataFrame]) -> PartShard | None:
    rows = pl.concat(frames)
    if not rows.height:
        return None
    # To memory first: polars reports a full disk as a fault of the format.
    buffer = io.BytesIO()
    rows.write_parquet(
        buffer,
        compression="lz4",
        statistics=False,
        row_group_size=CHUNK_ROWS,
        metadata={SCHEMA_DIGEST: job.fitted.digest},
    )
    name = f"part-{part.index:05d}.parquet"
    content = buffer.getbuffer()
    _write(job.folder / split / name, content)
    return PartShard(
        file=name,
        rows=rows.height,
        positives=int(rows[LABEL].sum()),
        checksum=xxhash.xxh3_128_hexdigest(content),
    )


def _write(path: Path, content: bytes | memoryview) -> None:
    path.parent.mkdir(exist_ok=True)
    with atomic_file(path) as partial:
        partial.write_bytes(content)
