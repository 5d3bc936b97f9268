"""What the commands print with: one console, progress bars, tables."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

if TYPE_CHECKING:
    import polars as pl

console = Console()
errors = Console(stderr=True, soft_wrap=True)


@contextmanager
def progress_bar() -> Iterator[Progress]:
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
    ) as progress:
        yield progress


def shown(frames: Iterable["pl.DataFrame"], rows: int) -> Iterator["pl.DataFrame"]:
    """Pass frames on, and show how many of all rows have been scored."""
    with progress_bar() as bar:
        task = bar.add_task("score", total=rows, note="rows")
        for frame in frames:
            bar.advance(task, frame.height)
            yield frame


def table(title: str, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A table; the first column is text, the others are numbers."""
    made = Table(title=title, title_justify="left")
    for i, header in enumerate(headers):
        made.add_column(header, justify="left" if i == 0 else "right", overflow="fold")
    for row in rows:
        made.add_row(*row)
    return made
