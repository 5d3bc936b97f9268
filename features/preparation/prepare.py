"""Preparation: raw files to a prepared set, in parts of flat memory.

A prepared set is a folder::

    schema.json  vocabulary/NAME.parquet     the fitted schema (features.encoding.fitted)
    prepared.json                            splits, their shards and rows, and the summary of every feature
    train/part-00000.parquet ...             tokens, numerics, label, group, time, kept columns
    valid/...  test/...
    quarantine/part-00000.jsonl ...          bad rows, where they are to be kept

It is written under a temporary name and renamed when whole; a run that was broken off is gone on with. What is fitted
is fitted on training rows only.
"""

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import TypeVar

from common.errors import ConfigError, DataError
from common.files import atomic_folder, refuse_existing, resumable_folder, sha256_json, write_json
from common.versions import plexrank_version
from features.datasets.prepared import FILE, FORMAT, PreparedDocument, PreparedSplit, Shard
from features.encoding.fitted import FittedSchema
from features.encoding.fitter import Fitter, no_value
from features.preparation.engine import Engine, LocalEngine
from features.preparation.plan import Inputs, Part, Plan, Progress, SplitSettings, make_plan
from features.preparation.split import SPLITS, GroupSplit, RowSplit, Split, TimeHistogram, TimeSplit
from features.preparation.summary import Summary
from features.preparation.work import (
    RECORDS,
    EncodeJob,
    Job,
    OnBadRows,
    PartRecord,
    count_times,
    encode_part,
    finished,
    fit_part,
)
from features.schema import Schema

_FITTED, _SPLIT = f"{RECORDS}/fitted", f"{RECORDS}/split.json"


def _quiet(phase: str, done: int, total: int) -> None:
    """Tell nobody."""


def prepare(
    schema: Schema | FittedSchema,
    inputs: Inputs,
    output: Path,
    *,
    split: SplitSettings | None = None,
    on_bad_rows: OnBadRows = "error",
    grow: FittedSchema | None = None,
    refit: bool = False,
    engine: Engine | None = None,
    overwrite: bool = False,
    progress: Progress = _quiet,
) -> PreparedDocument:
    """Prepare raw files.

    A run that was killed, interrupted, or met a full disk is gone on with by the same call; the result is the same to
    the byte.

    Args:
        schema: What their columns are. A fitted one is used as it is.
        inputs: Which files.
        output: Folder to create.
        split: How rows are split; refused where files are given a split.
        on_bad_rows: ``error`` raises at the first; ``skip`` leaves them out and counts them; ``quarantine`` also
            writes them to ``quarantine/``.
        grow: A fitted schema of the same declaration, whose vocabularies keep their ids and get new values.
        refit: With ``grow``, fit its statistics and edges anew.
        engine: What runs the work; threads of this process by default.
        overwrite: Replace an existing output.
        progress: Told how far it is.

    Returns:
        The content of ``prepared.json``.

    Raises:
        ConfigError: The options contradict each other, or the output exists.
        SchemaError: A file lacks a column, or a column has an impossible type.
        DataError: A file or a value is wrong, no row trains, or a numeric feature has no value.
        DiskError: The output cannot be written.
    """
    refuse_existing(output, overwrite=overwrite)
    fitted = schema if isinstance(schema, FittedSchema) else None
    declared = schema.schema if isinstance(schema, FittedSchema) else schema
    _check(declared, inputs, split)
    engine = engine or LocalEngine()
    plan = make_plan(declared, inputs, progress)
    job = Job(declared, plan.dates, None, on_bad_rows, grow, refit)
    key = _key(plan, job, None if inputs.split else split or SplitSettings(), fitted)
    with resumable_folder(output, key, overwrite=overwrite) as folder:
        (folder / RECORDS).mkdir(exist_ok=True)
        if not inputs.split:
            job = replace(job, split=_resumed_split(folder, job, split or SplitSettings(), plan, engine, progress))
        fitted = fitted or _resumed_fit(folder, job, plan, engine, progress)
        document = _encode(EncodeJob(job, fitted, folder, plan.rows), plan, engine, progress)
        fitted.save(folder)
        write_json(folder / FILE, document.model_dump(mode="json"))
        shutil.rmtree(folder / RECORDS)
    return document


def fit(
    schema: Schema,
    inputs: Inputs,
    output: Path,
    *,
    split: SplitSettings | None = None,
    on_bad_rows: OnBadRows = "error",
    grow: FittedSchema | None = None,
    refit: bool = False,
    engine: Engine | None = None,
    overwrite: bool = False,
    progress: Progress = _quiet,
) -> FittedSchema:
    """Fit a schema on the training rows of raw files and write it, for a later :func:`prepare` to use.

    The arguments and errors are those of :func:`prepare`; ``output`` then holds ``schema.json`` and the vocabularies.

    Returns:
        The fitted schema.
    """
    refuse_existing(output, overwrite=overwrite)
    _check(schema, inputs, split)
    engine = engine or LocalEngine()
    plan = make_plan(schema, inputs, progress)
    job = Job(schema, plan.dates, None, on_bad_rows, grow, refit)
    if not inputs.split:
        job = replace(job, split=_find_split(job, split or SplitSettings(), plan, engine, progress))
    fitted = _fit(job, plan, engine, progress)
    with atomic_folder(output, overwrite=overwrite) as folder:
        fitted.save(folder)
    return fitted


def _check(schema: Schema, inputs: Inputs, split: SplitSettings | None) -> None:
    if inputs.split and split is not None:
        raise ConfigError("--valid and --test already split the rows; drop --split and --split-by")
    if split is not None and split.by == "time" and schema.timestamp is None:
        raise ConfigError("a split by time needs the schema's timestamp; add it, or split by row")
    if split is not None and split.by == "group" and schema.group is None:
        raise ConfigError("a split by group needs the schema's group; add it, or split by row")


def _key(plan: Plan, job: Job, split: SplitSettings | None, fitted: FittedSchema | None) -> str:
    """Digest of all that the result depends on."""
    return sha256_json(
        {
            "format": FORMAT,
            "plexrank": plexrank_version(),
            "parts": [part.rows for part in plan.parts],
            "schema": job.schema.model_dump(mode="json"),
            "fitted": fitted and fitted.digest,
            "grow": job.grow and job.grow.digest,
            "refit": job.refit,
            "split": split and asdict(split),
            "on_bad_rows": job.on_bad_rows,
            "files": plan.files,
        }
    )


def _find_split(job: Job, settings: SplitSettings, plan: Plan, engine: Engine, progress: Progress) -> Split:
    if settings.by == "row":
        return RowSplit(settings.fractions, settings.seed)
    if settings.by == "group":
        return GroupSplit(settings.fractions, settings.seed)
    histogram = TimeHistogram()
    with closing(engine.map(count_times, job, plan.parts)) as found:
        for some in _counted("times", plan.parts, found, progress):
            histogram.merge(some)
    if histogram.constant:
        raise DataError(f"all rows have the same {job.schema.timestamp!r}; split by row instead")
    return histogram.split(settings.fractions)


def _resumed_split(
    folder: Path, job: Job, settings: SplitSettings, plan: Plan, engine: Engine, progress: Progress
) -> Split:
    """The split, its times read from where an earlier run left them."""
    path = folder / _SPLIT
    if path.exists():
        return TimeSplit(**json.loads(path.read_text(encoding="utf-8")))
    split = _find_split(job, settings, plan, engine, progress)
    if isinstance(split, TimeSplit):
        write_json(path, asdict(split))
    return split


def _fit(job: Job, plan: Plan, engine: Engine, progress: Progress) -> FittedSchema:
    fitter = Fitter(job.schema, grow=job.grow, refit=job.refit)
    if fitter.learns_from is not None:
        # Files that validate or test are not read for it at all.
        parts = [part for part in plan.parts if any(portion.split in (0, None) for portion in part.portions)]
        with closing(engine.map(fit_part, job, parts)) as found:
            for some in _counted("fit", parts, found, progress):
                fitter.merge(some)
    return fitter.fitted()


def _resumed_fit(folder: Path, job: Job, plan: Plan, engine: Engine, progress: Progress) -> FittedSchema:
    """The fitted schema, read from where an earlier run left it."""
    path = folder / _FITTED
    if path.exists():
        return FittedSchema.load(path)
    fitted = _fit(job, plan, engine, progress)
    partial = path.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    fitted.save(partial)
    os.replace(partial, path)
    return fitted


def _encode(job: EncodeJob, plan: Plan, engine: Engine, progress: Progress) -> PreparedDocument:
    """Encode every part that no earlier run finished, and gather what is known of all."""
    for name in SPLITS:
        (job.folder / name).mkdir(exist_ok=True)
    kept = {part.index: record for part in plan.parts if (record := finished(job.folder, part)) is not None}
    todo = [part for part in plan.parts if part.index not in kept]
    gathered = _Gathered(job)
    with closing(engine.map(encode_part, job, todo)) as fresh:
        records = (kept.pop(part.index) if part.index in kept else next(fresh) for part in plan.parts)
        for record in _counted("encode", plan.parts, records, progress):
            gathered.add(record)
    return gathered.document()


class _Gathered:
    """What the parts' records add up to."""

    def __init__(self, job: EncodeJob) -> None:
        self._job = job
        self._summary = Summary(job.fitted, job.rows)
        self._shards: dict[str, list[Shard]] = {name: [] for name in SPLITS}
        self._positives: dict[str, int] = dict.fromkeys(SPLITS, 0)
        self._present: dict[str, int] = {}
        self._bad_rows = 0

    def add(self, record: PartRecord) -> None:
        self._bad_rows += record.bad_rows
        self._summary.merge(Summary.from_json(self._job.fitted, self._job.rows, record.summary))
        for name, shard in record.shards.items():
            self._shards[name].append(Shard(file=shard.file, rows=shard.rows))
            self._positives[name] += shard.positives
        for name, present in record.present.items():
            self._present[name] = self._present.get(name, 0) + present

    def document(self) -> PreparedDocument:
        splits = {
            name: PreparedSplit(
                rows=sum(shard.rows for shard in self._shards[name]),
                positives=self._positives[name],
                shards=tuple(self._shards[name]),
            )
            for name in SPLITS
        }
        if splits["train"].rows == 0:
            raise DataError("not one row trains; mend the split, or give more rows")
        empty = [name for name, present in self._present.items() if present == 0]
        if empty:
            raise no_value(self._job.fitted.schema.feature(empty[0]))
        return PreparedDocument(
            schema_digest=self._job.fitted.digest,
            splits=splits,
            columns=tuple(self._summary.columns()),
            sampled_rows=self._summary.sampled,
            bad_rows=self._bad_rows,
        )


Some = TypeVar("Some")


def _counted(phase: str, parts: Sequence[Part], results: Iterable[Some], progress: Progress) -> Iterator[Some]:
    """Pass on the results for parts, and tell how far the phase is."""
    done, total = 0, sum(part.rows for part in parts)
    progress(phase, done, total)
    for part, result in zip(parts, results, strict=True):
        yield result
        done += part.rows
        progress(phase, done, total)
