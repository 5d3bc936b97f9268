"""Preparation: raw files to a prepared set, batch by batch.

A prepared set is a folder::

    schema.json  vocabulary/NAME.parquet     the fitted schema (features.fitted)
    prepared.json                            splits, their shards and rows, and the summary of every feature
    train/part-00000.parquet ...             tokens, numerics, label, group, time, kept columns
    valid/...  test/...

It is written under a temporary name and renamed when whole. What is fitted is fitted on training rows only.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from common.errors import ConfigError, DataError, SchemaError
from common.files import atomic_folder, refuse_existing, write_json
from features.fitted import FittedSchema, Fitter
from features.prepared import FILE, PreparedDocument, PreparedSplit, Shard
from features.schema import Schema
from features.sources import RawFile, expand
from features.split import SPLITS, FileSplit, Fractions, RowSplit, Split, split_by_time
from features.summary import Summary
from features.tokens import token_expr
from features.typed import GROUP, LABEL, ROW, Place, refuse_large, typed_rows

_SHARD_ROWS = 262_144

Progress = Callable[[str, int, int], None]
"""Called with the phase, the rows done and the rows there are."""


@dataclass(frozen=True)
class Inputs:
    """Patterns of the raw files.

    Attributes:
        files: Files to split; all train where ``valid`` or ``test`` are given.
        valid: Files that validate.
        test: Files that test.
    """

    files: Sequence[str]
    valid: Sequence[str] = ()
    test: Sequence[str] = ()


def prepare(
    schema: Schema,
    inputs: Inputs,
    output: Path,
    *,
    fractions: Fractions | None = None,
    by_time: bool = False,
    seed: int = 0,
    overwrite: bool = False,
    progress: Progress = lambda phase, done, total: None,
) -> PreparedDocument:
    """Prepare raw files.

    Args:
        schema: What their columns are.
        inputs: Which files.
        output: Folder to create.
        fractions: Shares of the splits, 0.8, 0.1, 0.1 by default; refused where files are given a split.
        by_time: Split by the schema's timestamp rather than row by row.
        seed: Of the split by row.
        overwrite: Replace an existing output.
        progress: Told how far it is.

    Returns:
        The content of ``prepared.json``.

    Raises:
        ConfigError: The options contradict each other, or the output exists.
        SchemaError: A file lacks a column, or a column has an impossible type.
        DataError: A file or a value is wrong, no row trains, or a numeric feature has no value.
    """
    refuse_existing(output, overwrite=overwrite)
    sources = _sources(schema, inputs, fractions, by_time, seed)
    total = sum(file.rows for file, _ in sources)
    fitter = Fitter(schema)
    if fitter.needed:
        for _, typed, split in _typed_batches(sources, schema):
            fitter.update(typed.filter(split == 0))
            progress("fit", _done(typed), total)
    fitted = fitter.fitted()

    with atomic_folder(output, overwrite=overwrite) as folder:
        summary = Summary(schema)
        values = dict.fromkeys((feature.name for feature in schema.numeric), 0)
        shards = {name: _ShardWriter(folder / name) for name in SPLITS}
        for place, typed, split in _typed_batches(sources, schema):
            summary.update(typed)
            for name, column in typed.filter(split == 0).select(values.keys()).to_dict().items():
                values[name] += column.count()
            encoded = _encoded(fitted, typed, place)
            for index, name in enumerate(SPLITS):
                shards[name].add(encoded.filter(split == index))
            progress("encode", _done(typed), total)
        splits = {name: writer.finish() for name, writer in shards.items()}
        if splits["train"].rows == 0:
            raise DataError("not one row trains; mend the split, or give more rows")
        empty = [name for name, count in values.items() if count == 0]
        if empty:
            raise DataError(f"numeric feature {empty[0]!r} has no value in any training row; mend it, or remove it")
        fitted.save(folder)
        document = PreparedDocument(
            schema_digest=fitted.digest,
            splits=splits,
            columns=tuple(summary.columns()),
            sampled_rows=summary.sampled,
        )
        write_json(folder / FILE, document.model_dump(mode="json"))
    return document


def _sources(
    schema: Schema, inputs: Inputs, fractions: Fractions | None, by_time: bool, seed: int
) -> list[tuple[RawFile, Split]]:
    """Open every file and decide how its rows are split."""
    given = bool(inputs.valid or inputs.test)
    if given and (fractions is not None or by_time):
        raise ConfigError("--valid and --test already split the rows; drop --split and --split-by")
    opened = {
        name: [RawFile(path, schema.columns) for path in expand(patterns)]
        for name, patterns in zip(SPLITS, (inputs.files, inputs.valid, inputs.test), strict=True)
    }
    files = [file for some in opened.values() for file in some]
    _check_kept(schema, files)
    for i, file in enumerate(files):
        if file.path.resolve() in (other.path.resolve() for other in files[:i]):
            raise ConfigError(f"{file.path} is given to two splits; give it to one")
    if not any(file.rows for file in files):
        raise DataError(f"{', '.join(str(file.path) for file in files)}: not one row; give files with rows")
    if given:
        return [(file, FileSplit(SPLITS.index(name))) for name, some in opened.items() for file in some]
    fractions = fractions or Fractions(0.8, 0.1, 0.1)
    if not by_time:
        return [(file, RowSplit(fractions, seed)) for file in opened["train"]]
    if schema.timestamp is None:
        raise ConfigError("a split by time needs the schema's timestamp; add it, or split by row")
    by_cuts = split_by_time([file for file in opened["train"] if file.rows], schema, fractions)
    return [(file, by_cuts) for file in opened["train"]]


def _check_kept(schema: Schema, files: list[RawFile]) -> None:
    """Kept columns stay as they are, so every file must hold them alike."""
    for name in schema.keep:
        for file in files[1:]:
            if file.dtypes[name] != files[0].dtypes[name]:
                raise SchemaError(
                    f"{file.path}: kept column {name!r} is {file.dtypes[name]}, but {files[0].dtypes[name]} in "
                    f"{files[0].path}; write it alike, or drop it from keep"
                )


def _typed_batches(
    sources: list[tuple[RawFile, Split]], schema: Schema
) -> Iterator[tuple[Place, pl.DataFrame, pl.Series]]:
    """Yield where rows come from, the typed rows with ``_row``, and their split."""
    done = 0
    for file, split in sources:
        for first, raw in file.batches():
            place = Place(str(file.path), first)
            typed = typed_rows(raw, schema, place)
            typed = typed.with_columns(pl.int_range(done, done + raw.height, dtype=pl.Int64).alias(ROW))
            done += raw.height
            yield place, typed, split.assign(typed)


def _done(typed: pl.DataFrame) -> int:
    """Rows of the input up to the end of a batch."""
    return int(typed[ROW][-1]) + 1


def _encoded(fitted: FittedSchema, typed: pl.DataFrame, place: Place) -> pl.DataFrame:
    """Encode the features, and the group as its token; refuse a number that float32 cannot hold."""
    encoded = fitted.encode(typed)
    for feature in fitted.schema.numeric:
        infinite = encoded[feature.name].is_infinite()
        if infinite.any():
            refuse_large(place, int(infinite.arg_max() or 0), feature.name)
    if fitted.schema.group is not None:
        encoded = encoded.with_columns(token_expr(pl.col(GROUP)).alias(GROUP))
    others = [c for c in encoded.columns if c not in (ROW, LABEL)]
    return encoded.select(ROW, LABEL, *others)


class _ShardWriter:
    """Gathers rows of one split into zstd Parquet shards of equal size."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._folder.mkdir()
        self._pending: list[pl.DataFrame] = []
        self._pending_rows = 0
        self._positives = 0
        self._shards: list[Shard] = []

    def add(self, rows: pl.DataFrame) -> None:
        self._pending.append(rows)
        self._pending_rows += rows.height
        self._positives += int(rows[LABEL].sum())
        while self._pending_rows >= _SHARD_ROWS:
            self._write(_SHARD_ROWS)

    def finish(self) -> PreparedSplit:
        if self._pending_rows:
            self._write(self._pending_rows)
        rows = sum(shard.rows for shard in self._shards)
        return PreparedSplit(rows=rows, positives=self._positives, shards=tuple(self._shards))

    def _write(self, rows: int) -> None:
        whole = pl.concat(self._pending)
        name = f"part-{len(self._shards):05d}.parquet"
        whole.head(rows).write_parquet(self._folder / name, compression="zstd", compression_level=3)
        self._shards.append(Shard(file=name, rows=rows))
        self._pending = [whole.slice(rows)]
        self._pending_rows = whole.height - rows
