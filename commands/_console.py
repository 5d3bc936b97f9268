"""What the commands share: one console, progress bars, tables, what a seed may be."""

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

if TYPE_CHECKING:
    import polars as pl

console = Console()
errors = Console(stderr=True, soft_wrap=True)
MAX_SEED = 2**64 - 1

_UNITS = {"scan": "files", "measure": "metrics"}  # what a phase counts, where not rows

TablePrecision = Literal["fp32", "fp16", "int8"]
TABLE_HELP = "Numbers of the embedding table: as trained, or 2 bytes or 1 (and 4 a row) instead of 4; scores a bit off."


@contextmanager
def progress_bar(*, shown: bool = True) -> Iterator[Progress]:
    """A progress bar with counts, a free text in the field ``note``, time spent and time left, on stderr."""
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=errors,
        disable=not shown,
    ) as progress:
        yield progress


@contextmanager
def phases() -> Iterator[Callable[[str, int, int], None]]:
    """A bar for each phase of a run, with its speed.

    Yields:
        What the run calls with the phase, what is done and what there is: rows, or what else ``_UNITS`` says.
    """
    with progress_bar() as bar:
        tasks: dict[str, TaskID] = {}
        started: dict[str, tuple[float, int]] = {}

        def show(phase: str, done: int, total: int) -> None:
            if phase not in tasks:
                tasks[phase] = bar.add_task(escape(phase), total=total, note="")
                started[phase] = time.perf_counter(), done
            since, first = started[phase]
            speed = (done - first) / max(time.perf_counter() - since, 1e-9)
            bar.update(tasks[phase], completed=done, note=_UNITS.get(phase, f"rows, {speed:,.0f}/s"))

        yield show


def shown(frames: Iterable["pl.DataFrame"], rows: int) -> Generator["pl.DataFrame"]:
    """Pass frames on, and show how many of all rows have been scored; closing it ends the bar."""
    with progress_bar() as bar:
        task = bar.add_task("score", total=rows, note="rows")
        for frame in frames:
            bar.advance(task, frame.height)
            yield frame


def table(title: str, headers: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: bool = True) -> Table:
    """A table; the first column is text, and the others are numbers or not."""
    made = Table(title=title, title_justify="left")
    for i, header in enumerate(headers):
        made.add_column(header, justify="left" if i == 0 or not numbers else "right", overflow="fold")
    for row in rows:
        made.add_row(*row)
    return made
