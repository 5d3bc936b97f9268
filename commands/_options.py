"""Options that evaluate and compare have in common."""

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import typer

from commands._console import TABLE_HELP, TablePrecision

_SCORING, _COLUMNS, _INTERVALS, _OUTPUT = "An artifact's rows", "Columns", "Slices and intervals", "Output"

Data: TypeAlias = Annotated[
    Path | None, typer.Option(help="A prepared set for an artifact to score.", rich_help_panel=_SCORING)
]
Split: TypeAlias = Annotated[
    str, typer.Option(help="Which rows of it: train, valid or test.", rich_help_panel=_SCORING)
]
Table: TypeAlias = Annotated[TablePrecision, typer.Option("--table", help=TABLE_HELP, rich_help_panel=_SCORING)]

Label: TypeAlias = Annotated[str, typer.Option(help="0 or 1 a row.", rich_help_panel=_COLUMNS)]
Score: TypeAlias = Annotated[str, typer.Option(help="What the model predicts.", rich_help_panel=_COLUMNS)]
Group: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="Whose rows belong together, such as the user's: for GAUC and --bootstrap.",
        rich_help_panel=_COLUMNS,
        show_default="an artifact's schema says it",
    ),
]
Weight: TypeAlias = Annotated[str | None, typer.Option(help="How much a row counts.", rich_help_panel=_COLUMNS)]
Key: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        help="What tells rows apart, to match models by; repeatable. Without it rows match by order.",
        rich_help_panel=_COLUMNS,
    ),
]

By: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(help="Judge each value of this column apart; repeatable.", rich_help_panel=_INTERVALS),
]
Slices: TypeAlias = Annotated[
    int, typer.Option(min=1, help="Values of a column to judge: the largest.", rich_help_panel=_INTERVALS)
]
Level: TypeAlias = Annotated[float, typer.Option(help="Confidence level of intervals.", rich_help_panel=_INTERVALS)]
Bootstrap: TypeAlias = Annotated[
    int,
    typer.Option(
        min=0,
        help="Draw whole groups so many times (200), for intervals that know that a user's rows belong together.",
        rich_help_panel=_INTERVALS,
    ),
]
Seed: TypeAlias = Annotated[int, typer.Option(min=0, help="Of the bootstrap.", rich_help_panel=_INTERVALS)]

Json: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--json", help="Write all numbers as json to this file; - prints them instead.", rich_help_panel=_OUTPUT
    ),
]
Page: TypeAlias = Annotated[
    Path | None, typer.Option(help="Write a page with plots to this .html file.", rich_help_panel=_OUTPUT)
]
Memory: TypeAlias = Annotated[
    int,
    typer.Option(
        min=16, help="Memory for rows, in MiB; what is more goes to temporary files.", rich_help_panel=_OUTPUT
    ),
]

Request: TypeAlias = Annotated[
    str | None,
    typer.Option(help="What candidates of one answer share: for NDCG, MRR, hit rate.", rich_help_panel=_COLUMNS),
]
Time: TypeAlias = Annotated[
    str | None,
    typer.Option(help="When it was, for metrics over time: dates, or seconds since 1970.", rich_help_panel=_COLUMNS),
]
Truth: TypeAlias = Annotated[
    str | None,
    typer.Option(help="The true click probability; its AUC is the attainable one.", rich_help_panel=_COLUMNS),
]
Span: TypeAlias = Annotated[
    Literal["hour", "day", "week"], typer.Option(help="What a point over time covers.", rich_help_panel=_INTERVALS)
]
K: TypeAlias = Annotated[int, typer.Option(min=1, help="Of NDCG@k and hit rate@k.", rich_help_panel=_INTERVALS)]
