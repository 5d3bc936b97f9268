"""plexrank prepare: raw logs to a prepared set."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from commands._console import console, progress_bar, table


def prepare(
    schema: Annotated[Path, typer.Option(help="The schema.yaml that says what the columns are.")],
    input: Annotated[
        list[str], typer.Option(help="csv, tsv or parquet files: a path, a quoted glob, or a folder. Repeatable.")
    ],
    output: Annotated[Path, typer.Option(help="Folder to create.")],
    valid: Annotated[list[str] | None, typer.Option(help="Files that validate; --input then only trains.")] = None,
    test: Annotated[list[str] | None, typer.Option(help="Files that test.")] = None,
    split: Annotated[
        str | None, typer.Option(help="Shares of train, valid and test rows.", show_default="0.8,0.1,0.1")
    ] = None,
    split_by: Annotated[
        str, typer.Option(help="row: each row drawn on its own. time: the earliest train, the latest test.")
    ] = "row",
    seed: Annotated[int, typer.Option(help="Of the split by row.", min=0)] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUTPUT if it exists.")] = False,
) -> None:
    """Turn raw logs into tokens and numbers, split, ready to train on.

    Files are read batch by batch, so they may be larger than memory. What is fitted (vocabularies, means) is fitted on
    training rows only.

    Example: plexrank prepare --schema log/schema.yaml --input 'log/*.parquet' --output prepared
    """
    from common.errors import ConfigError
    from features.prepare import Inputs
    from features.prepare import prepare as run
    from features.schema import load_schema
    from features.split import Fractions

    if split_by not in ("row", "time"):
        raise ConfigError(f"--split-by {split_by!r} is neither row nor time")
    fractions = Fractions.parse(split) if split is not None else None
    started = time.perf_counter()
    with progress_bar() as bar:
        tasks: dict[str, Any] = {}

        def show(phase: str, done: int, total: int) -> None:
            if phase not in tasks:
                tasks[phase] = bar.add_task(phase, total=total, note="")
            speed = done / max(time.perf_counter() - started, 1e-9)
            bar.update(tasks[phase], completed=done, note=f"rows, {speed:,.0f}/s")

        document = run(
            load_schema(schema),
            Inputs(input, valid or (), test or ()),
            output,
            fractions=fractions,
            by_time=split_by == "time",
            seed=seed,
            overwrite=overwrite,
            progress=show,
        )
    splits = [
        (name, f"{s.rows:,}", f"{s.positives / s.rows:.5f}" if s.rows else "-", str(len(s.shards)))
        for name, s in document.splits.items()
    ]
    console.print(table("Splits", ("split", "rows", "label rate", "shards"), splits))
    console.print(table("Features", _HEADERS, [_feature(column) for column in document.columns]))
    console.print(f"Top values were counted in {document.sampled_rows:,} rows; ~ marks an estimate.")
    console.print(
        f"Wrote {output}. Next: name it as [bold]data[/] in a run file and run plexrank train --config RUN.yaml"
    )


_HEADERS = ("feature", "kind", "missing", "distinct", "values")


def _feature(column: dict[str, Any]) -> tuple[str, ...]:
    distinct, values = "", ""
    if "distinct" in column:
        distinct = f"{'' if column['distinct_exact'] else '~'}{column['distinct']:,}"
        values = ", ".join(f"{top['value'] or repr('')} {top['share']:.1%}" for top in column["top"])
    elif "min" in column:
        values = f"{column['min']:.4g} .. {column['max']:.4g}"
        if column["mean"] is not None:
            values += f", mean {column['mean']:.4g}"
    if "mean_length" in column:
        values += f"; mean length {column['mean_length']:.1f}"
    return column["name"], column["kind"], f"{column['missing']:,}", distinct, values
