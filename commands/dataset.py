"""plexrank dataset: your download of a public data set, made ready for prepare."""

import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer

from commands._console import console, progress_bar


def dataset(
    name: Annotated[Literal["frappe", "movielens", "criteo"], typer.Argument(help="Which data set.")],
    source: Annotated[Path, typer.Option(help="Your download: its unpacked folder; for criteo also the text file.")],
    output: Annotated[Path, typer.Option(help="Folder to create: schema.yaml and parquet files.")],
    task: Annotated[
        Literal["autoint", "user-movie", "sequence"] | None,
        typer.Option(
            help="movielens only. autoint: by what users and films are like. user-movie: also by who they are. "
            "sequence: also by the films that users liked before."
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUTPUT if it exists.")] = False,
) -> None:
    """Turn a public data set that you downloaded into input files and a ready schema.

    Nothing is fetched: each set has its terms, which its schema.yaml repeats. frappe wants train, valid and test
    (.parquet or .csv, the split of AFN and BARS); movielens the folder ml-1m; criteo train.txt of the Kaggle challenge.

    Example: plexrank dataset movielens --source ~/Downloads/ml-1m --output data/movielens --task user-movie
    """
    from common.errors import ConfigError
    from features.loaders import criteo, frappe, movielens

    if task is not None and name != "movielens":
        raise ConfigError(f"--task {task} belongs to movielens; {name} has one task only, leave the option out")
    if name == "frappe":
        made = frappe.load(source, output, overwrite=overwrite)
        train, valid, test = map(str, made.rows)
        inputs = ["--input", train, "--valid", valid, "--test", test]
    elif name == "movielens":
        made = movielens.load(source, output, task=task or "user-movie", overwrite=overwrite)
        inputs = ["--input", *map(str, made.rows)]
        if task == "sequence":
            inputs += ["--split-by", "time"]
    else:
        with progress_bar() as bar:
            bar_task = bar.add_task("read", total=None, note="rows")
            made = criteo.load(
                source, output, overwrite=overwrite, progress=lambda rows: bar.advance(bar_task, advance=rows)
            )
        inputs = ["--input", str(output / "log")]
    for path, rows in made.rows.items():
        console.print(f"Wrote {path}: {rows:,} rows.", soft_wrap=True)
    command = ["plexrank", "prepare", "--schema", str(made.schema), *inputs, "--output", f"{output}-prepared"]
    console.print(f"Wrote {made.schema}.", soft_wrap=True)
    console.print(f"Next: {shlex.join(command)}", soft_wrap=True, highlight=False)
