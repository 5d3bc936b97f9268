"""plexrank histories: a log with what each user had done before each row."""

import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer

from commands._console import console, phases, table


def histories(
    input: Annotated[
        list[str],
        typer.Option(
            help="csv, tsv or parquet files in the order of time: a path, a quoted glob, or a folder. Repeatable."
        ),
    ],
    output: Annotated[Path, typer.Option(help="Folder to create.")],
    user: Annotated[str, typer.Option(help="Column of the user.")],
    item: Annotated[str, typer.Option(help="Column of the item.")],
    time_column: Annotated[str, typer.Option("--time", help="Column of the time.")],
    where: Annotated[
        list[str] | None,
        typer.Option(
            help="What makes a row a behaviour, one that later rows have in their history: click=1, kind!=view, "
            "rating>=4. Repeatable, all must hold; without it every row is one."
        ),
    ] = None,
    name: Annotated[
        str, typer.Option(help="Column to make; NAME_length beside it counts the behaviours before the cut.")
    ] = "history",
    max_length: Annotated[int, typer.Option(help="The most items of a history: the most recent ones.", min=1)] = 50,
    since: Annotated[
        str | None, typer.Option(help="Write only rows from this time on; earlier ones still are in histories.")
    ] = None,
    on_bad_rows: Annotated[
        Literal["error", "skip", "quarantine"],
        typer.Option(
            help="error: stop at the first. skip: leave them out, and count them. quarantine: also write them to "
            "OUTPUT/quarantine.jsonl with their reasons."
        ),
    ] = "error",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUTPUT if it exists.")] = False,
) -> None:
    """Add to each row of a log what its user had done before: the items of earlier behaviours, most recent last.

    Earlier is strictly before the row's own time, so no row sees itself, its own moment or the future. The log must be
    sorted by time. Memory grows with the number of users, not of rows.

    Example: plexrank histories --input 'log/*.parquet' --user user_id --item ad_id --time time --where click=1
    --name recent_ads --output log-histories
    """
    from features.histories.histories import History, write_histories

    history = History(user, item, time_column, tuple(where or ()), name, max_length)
    with phases() as progress:
        made = write_histories(
            input, output, history, since=since, on_bad_rows=on_bad_rows, overwrite=overwrite, progress=progress
        )
    facts = [
        ("rows written", f"{made.rows:,}"),
        ("with an empty history", f"{made.empty:,}"),
        (f"with more than {max_length} behaviours before", f"{made.cut:,}"),
        ("behaviours in the log", f"{made.behaviours:,}"),
        ("bad rows left out", f"{made.bad_rows:,}"),
    ]
    console.print(table(str(output), ("histories", "count"), facts))
    feature = f"{{name: {name}, kind: sequence, entity: user, of: {item}, max_length: {max_length}}}"
    # markup off: rich takes what stands in brackets for a style.
    console.print(
        f"For the schema: {feature}, and keep: [{history.length}]", soft_wrap=True, highlight=False, markup=False
    )
    command = ["plexrank", "prepare", "--schema", "SCHEMA.yaml", "--input", str(output), "--split-by", "time"]
    console.print(f"Next: {shlex.join([*command, '--output', f'{output}-prepared'])}", soft_wrap=True, highlight=False)
