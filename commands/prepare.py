"""plexrank prepare: raw logs to a prepared set."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape

from commands._console import MAX_SEED, console, phases, table

if TYPE_CHECKING:
    from features.datasets.prepared import PreparedDocument
    from features.encoding.fitted import FittedSchema
    from features.preparation.engine import Engine
    from features.schema import Schema


def prepare(
    input: Annotated[
        list[str], typer.Option(help="csv, tsv or parquet files: a path, a quoted glob, or a folder. Repeatable.")
    ],
    output: Annotated[Path, typer.Option(help="Folder to create.")],
    schema: Annotated[Path | None, typer.Option(help="The schema.yaml that says what the columns are.")] = None,
    schema_from: Annotated[
        Path | None,
        typer.Option(help="Instead: a prepared set, an artifact or a --fit-only folder, to encode with as it is."),
    ] = None,
    grow: Annotated[
        Path | None,
        typer.Option(help="An earlier prepared set: its vocabularies keep their ids, new values follow after them."),
    ] = None,
    refit: Annotated[bool, typer.Option("--refit", help="With --grow, fit means and edges anew too.")] = False,
    fit_only: Annotated[
        bool, typer.Option("--fit-only", help="Write the fitted schema only, for a later --schema-from.")
    ] = False,
    valid: Annotated[list[str] | None, typer.Option(help="Files that validate; --input then only trains.")] = None,
    test: Annotated[list[str] | None, typer.Option(help="Files that test.")] = None,
    split: Annotated[
        str | None, typer.Option(help="Shares of train, valid and test rows.", show_default="0.8,0.1,0.1")
    ] = None,
    split_by: Annotated[
        Literal["row", "time", "group"] | None,
        typer.Option(
            help="row: each row drawn on its own. time: the earliest train, the latest test. group: all rows of a "
            "group (the schema's) on one side.",
            show_default="row",
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Of the split by row or group.", min=0, max=MAX_SEED, show_default="0")
    ] = None,
    on_bad_rows: Annotated[
        Literal["error", "skip", "quarantine"],
        typer.Option(
            help="error: stop at the first. skip: leave them out, and count them. quarantine: also write them to "
            "OUTPUT/quarantine with their reasons."
        ),
    ] = "error",
    engine: Annotated[
        Literal["local", "ray"],
        typer.Option(help="local: threads of this machine. ray: a Ray cluster (the extra 'ray')."),
    ] = "local",
    workers: Annotated[
        int | None,
        typer.Option(help="Parts in work at once, each of 100 to 400 MB.", min=1, show_default="one a core, at most 8"),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUTPUT if it exists.")] = False,
) -> None:
    """Turn raw logs into tokens and numbers, split, ready to train on.

    Files are read piece by piece, so they may be larger than memory. What is fitted (vocabularies, means, edges) is
    fitted on training rows only. Broken off, the same command goes on where it stopped.

    Example: plexrank prepare --schema log/schema.yaml --input 'log/*.parquet' --output prepared

    The next day, with yesterday's ids: plexrank prepare --grow prepared --input 'log2/*.parquet' --output prepared2
    """
    from common.errors import ConfigError
    from features.preparation.plan import Inputs, SplitSettings
    from features.preparation.prepare import fit
    from features.preparation.prepare import prepare as run
    from features.preparation.split import Fractions

    declared, old = _schema(schema, schema_from, grow)
    if refit and old is None:
        raise ConfigError("--refit belongs to --grow; a set that does not grow is always fitted anew")
    settings = None
    if split is not None or split_by is not None or seed is not None:
        fractions = Fractions.parse(split) if split is not None else Fractions()
        settings = SplitSettings(fractions, split_by or "row", seed or 0)
    inputs = Inputs(input, valid or (), test or ())
    common: dict[str, Any] = {
        "split": settings,
        "on_bad_rows": on_bad_rows,
        "grow": old,
        "refit": refit,
        "engine": _engine(engine, workers),
        "overwrite": overwrite,
    }
    if fit_only:
        from features.schema import Schema

        if not isinstance(declared, Schema):
            raise ConfigError("--schema-from is fitted already; drop it or --fit-only")
        with phases() as progress:
            fit(declared, inputs, output, progress=progress, **common)
        console.print(f"Wrote {output}. Next: plexrank prepare --schema-from {output} ...", soft_wrap=True)
        return
    with phases() as progress:
        document = run(declared, inputs, output, progress=progress, **common)
    _report(document, output, on_bad_rows)


def _schema(
    path: Path | None, fitted: Path | None, grow: Path | None
) -> "tuple[Schema | FittedSchema, FittedSchema | None]":
    """What to prepare with, and the fitted schema that grows."""
    from common.errors import ConfigError
    from features.encoding.fitted import FittedSchema
    from features.schema import load_schema

    if fitted is not None:
        if path is not None or grow is not None:
            raise ConfigError("--schema-from is used as it is; drop --schema and --grow, or --schema-from")
        return FittedSchema.load(fitted), None
    old = FittedSchema.load(grow) if grow is not None else None
    if path is not None:
        return load_schema(path), old
    if old is None:
        raise ConfigError("no schema; give --schema SCHEMA.yaml, --schema-from DIR or --grow DIR")
    return old.schema, old


def _engine(name: str, workers: int | None) -> "Engine":
    if name == "local":
        from features.preparation.engine import LocalEngine

        return LocalEngine(workers)
    from features.preparation.ray_engine import RayEngine

    return RayEngine(workers)


def _report(document: "PreparedDocument", output: Path, on_bad_rows: str) -> None:
    splits = [
        (name, f"{s.rows:,}", f"{s.positives / s.rows:.5f}" if s.rows else "-", str(len(s.shards)))
        for name, s in document.splits.items()
    ]
    console.print(table("Splits", ("split", "rows", "label rate", "shards"), splits))
    console.print(table("Features", _HEADERS, [_feature(column) for column in document.columns]))
    console.print(f"Top values were counted in {document.sampled_rows:,} rows; ~ marks an estimate.")
    if document.bad_rows:
        where = f"; they are in {output}/quarantine" if on_bad_rows == "quarantine" else ""
        console.print(f"[bold yellow]{document.bad_rows:,} bad rows were left out[/]{where}.", soft_wrap=True)
    console.print(
        f"Wrote {output}. Next: name it as [bold]data[/] in a run file and run plexrank train --config RUN.yaml"
    )


_HEADERS = ("feature", "kind", "missing", "distinct", "values")


def _feature(column: dict[str, Any]) -> tuple[str, ...]:
    distinct, values = "", []
    if "distinct" in column:
        distinct = f"{'' if column['distinct_exact'] else '~'}{column['distinct']:,}"
    if "top" in column:
        values.append(", ".join(f"{escape(top['value']) or repr('')} {top['share']:.1%}" for top in column["top"]))
    if "min" in column:
        mean = "" if column["mean"] is None else f", mean {column['mean']:.4g}"
        values.append(f"{column['min']:.4g} .. {column['max']:.4g}{mean}")
    if "mean_length" in column:
        values.append(f"mean length {column['mean_length']:.1f}")
    return column["name"], column["kind"], f"{column['missing']:,}", distinct, "; ".join(values)
