"""plexrank leaderboard: many finished runs side by side."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.markup import escape

from commands._console import console, errors, table

if TYPE_CHECKING:
    from evaluation.leaderboard.board import Board
    from evaluation.leaderboard.leaderboard import Leaderboard
    from evaluation.leaderboard.reference import Beside
    from evaluation.leaderboard.summary import Summary


_METRICS = ("auc", "logloss")


def leaderboard(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUNS...",
            help="Finished runs: output folders of plexrank train, folders above them, or quoted globs.",
        ),
    ],
    split: Annotated[Literal["valid", "test"], typer.Option(help="Whose AUC and logloss are shown.")] = "test",
    sort: Annotated[
        str,
        typer.Option(
            help="What comes first: auc, logloss or another metric of the split, valid_auc, name, parameters, "
            "samples_per_second, seconds."
        ),
    ] = "auc",
    by: Annotated[
        str | None,
        typer.Option(
            help="A key of the run file, like embedding.dim, whose equal values make an entry.",
            show_default="runs that differ only in seed",
        ),
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(help="A yaml or json file of published figures, shown beside the means.")
    ] = None,
    json_: Annotated[
        Path | None, typer.Option("--json", help="Write all numbers as json to this file; - prints them instead.")
    ] = None,
    page: Annotated[Path | None, typer.Option(help="Write a page with plots to this .html file.")] = None,
) -> None:
    """Put many runs side by side: mean, interval and spread over seeds, size and speed.

    Runs that differ only in seed are one entry, named as their folder is without the seed (runs/lr_2021 is lr). Their
    interval is Student's t over seeds; a single run has its own, which is over rows. Samples/s are the median over
    epochs, seconds those of training alone. Runs on different data get a table each. Unfinished runs are named and left
    out. An order by the test split describes; choose a model by --split valid.

    A file for --reference:  {references: [{name: lr, metrics: {auc: 0.9356, logloss: 0.3076}, source: "BARS, run 1"}]}

    Example: plexrank leaderboard runs --page leaderboard.html

    Example: plexrank leaderboard "runs/frappe_*" --reference published.yaml --sort logloss

    Example: plexrank leaderboard runs --by embedding.dim --split valid --json -
    """
    from commands import _findings
    from common.errors import ConfigError
    from evaluation.leaderboard.leaderboard import Leaderboard, distinct
    from evaluation.leaderboard.reference import load_references, unmatched
    from evaluation.page.leaderboard import leaderboard_page
    from training.finished import find_runs, read_run

    _findings.check_outputs(json_, page)
    references = () if reference is None else load_references(reference)
    finished, unfinished = find_runs(runs)
    left_out = [f"{folder} is left out: it is not finished (it has no artifact)" for folder in unfinished]
    found = [read_run(folder) for folder in finished]
    left_out += [
        f"{run.folder} is left out: it was not judged on {split} rows" for run in found if split not in run.reports
    ]
    # Of those alone: a search's trial, which no test row judged, does not stand for the run that was trained after it.
    judged, repeated = distinct([run for run in found if split in run.reports])
    left_out += [
        f"{run.folder} is left out: it repeats {other.folder}, run file and seed alike" for run, other in repeated
    ]
    for sentence in left_out:
        errors.print(f"[yellow]{escape(sentence)}[/]", highlight=False)
    if not judged:
        raise ConfigError(
            f"there is no finished run that was judged on {split} rows in {', '.join(runs)}; give output folders of "
            "plexrank train, or one above them"
        )
    made = Leaderboard.of(judged, split=split, sort=sort, by=by, references=references)
    for sentence in unmatched(references, [board for board, _ in made.boards]):
        errors.print(f"[yellow]{escape(sentence)}[/]", highlight=False)
    document = {**made.to_json_dict(), "left_out": left_out}
    if json_ == Path("-"):
        _findings.print_json(document)
    else:
        _show(made)
    _findings.write(document, json_, page, None if page is None else leaderboard_page(made, left_out))


def _show(made: "Leaderboard") -> None:
    """Print a table a board, and what to know of them."""
    for board, published in made.boards:
        _show_board(board, made.split, made.by or "entry")
        if published:
            _show_published(published, made.split)
    for note in made.notes:
        console.print(escape(note), soft_wrap=True, highlight=False)


def _show_board(board: "Board", split: str, of: str) -> None:
    """Print what the entries are worth and what they cost: two tables, so that each fits a narrow terminal."""
    valid = split != "valid"
    quality = [
        (
            escape(entry.name),
            str(len(entry.runs)),
            *(_summary(entry.summary(split, metric)) for metric in _METRICS),
            *([_number(entry.summary("valid", "auc").mean, ".5f")] if valid else []),
        )
        for entry in board.entries
    ]
    cost = [
        (
            escape(entry.name),
            entry.model,
            _ends(entry.parameters),
            _ends(entry.epochs),
            _number(entry.samples_per_second, ",.0f"),
            _number(entry.seconds, ",.0f"),
        )
        for entry in board.entries
    ]
    title = f"{board.data}, {board.rows[split]:,} {split} rows, schema {board.schema_digest[:12]}"
    headers = (of, "runs", *(f"{split} {metric}" for metric in _METRICS), *(["valid auc"] if valid else []))
    shown = table(escape(title), headers, quality)
    shown.show_lines = True
    console.print(shown)
    console.print(table("cost", (of, "model", "parameters", "epochs", "samples/s", "seconds"), cost))


def _show_published(published: "Sequence[Beside]", split: str) -> None:
    rows = [
        (
            escape(some.entry),
            f"{split} {some.metric}",
            _number(some.found.mean, ".5f"),
            f"{some.published:.5f}",
            _number(some.difference, "+.5f"),
            escape(some.source),
        )
        for some in published
    ]
    headers = ("entry", "metric", "mean here", "published", "difference", "source")
    console.print(table("beside published figures", headers, rows, numbers=False))


def _summary(some: "Summary") -> str:
    """The mean, its interval, and how much runs differ or what else the interval is over."""
    if some.mean is None:
        return f"undefined: {escape(some.reason or '')}"
    interval = escape(some.reason or "") if some.interval is None else some.interval.as_text()
    spread = "one run, over rows" if some.std is None else f"std {some.std:.5f}"
    return f"{some.mean:.5f}\n{interval}\n{spread}"


def _ends(ends: tuple[int, int]) -> str:
    low, high = ends
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _number(value: float | None, form: str) -> str:
    return "\u2013" if value is None else format(value, form)
