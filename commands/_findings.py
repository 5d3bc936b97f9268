"""How evaluate and compare show what they found: tables, json, a page, an exit code."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.markup import escape

from commands._console import console, errors, table
from common.errors import ConfigError
from common.text import printable

if TYPE_CHECKING:
    from evaluation.report.comparison import Comparison
    from evaluation.report.evaluation import Evaluation
    from evaluation.report.gate import Outcome
    from evaluation.report.report import Report
    from evaluation.report.slices import SliceTable

_LINES = 20  # of a table of slices, in the terminal
_BROKEN = 1  # exit code of a broken rule


def check_outputs(json_: Path | None, page: Path | None) -> None:
    """Refuse, before long work, files that cannot be written after it.

    Raises:
        ConfigError: A file is a folder, lies in none, or has the wrong ending.
    """
    for path, suffix in ((None if json_ == Path("-") else json_, ".json"), (page, ".html")):
        if path is None or (path.exists() and not path.is_dir() and not path.is_file()):  # a pipe or a device
            continue
        if path.is_dir():
            raise ConfigError(f"{path} is a folder; name a file")
        if path.suffix != suffix:
            raise ConfigError(f"{path} is no {suffix}; name it so")
        if not path.parent.is_dir():
            raise ConfigError(f"{path.parent} is no folder; create it, or choose another")
        if not os.access(path.parent, os.W_OK):
            raise ConfigError(f"{path.parent} cannot be written to; choose another folder")


def show_evaluation(evaluation: "Evaluation", level: float, more: Sequence[tuple[str, str, str, str]] = ()) -> None:
    """Print the metrics, with intervals of a level, and the slices."""
    console.print(
        table(
            escape(evaluation.title),
            ("metric", "value", f"{100 * level:g} % interval", "rests on"),
            [tuple(map(escape, row)) for row in (*evaluation.report.table_rows(), *more)],
        )
    )
    for some in (*evaluation.slices, *([] if evaluation.times is None else [evaluation.times])):
        _show_slices(some)


def show_reports(reports: "Mapping[str, Report]") -> None:
    """Print the metrics of several models side by side."""
    names = [metric.name for metric in next(iter(reports.values())).metrics]
    rows = [(name, *(_metric_cell(report.metric(name).as_text()) for report in reports.values())) for name in names]
    console.print(table("metrics", ("metric", *map(escape, reports)), rows))


def show_comparison(comparison: "Comparison") -> None:
    """Print the differences, the slices that differ, and the verdict."""
    found = {(d.metric, d.first, d.second): d for d in comparison.differences}
    metrics = list(dict.fromkeys(d.metric for d in comparison.differences))
    if len(comparison.names) == 2:
        second = comparison.live
        first = next(name for name in comparison.names if name != second)
        pairs = [(metric, found[metric, first, second]) for metric in metrics]
        lines = [
            (
                metric,
                escape(d.as_text() + (f" ({d.reason})" if d.reason else "")),
                "" if d.p_value is None else f"{d.p_value:.2g}",
            )
            for metric, d in pairs
        ]
        console.print(table(escape(f"{first} less {second}"), ("metric", "difference", "p"), lines))
    else:
        for metric in metrics:
            rows = [
                (
                    escape(first),
                    *("" if first == second else found[metric, first, second].as_text() for second in comparison.names),
                )
                for first in comparison.names
            ]
            console.print(table(f"{metric}: row less column", ("", *map(escape, comparison.names)), rows))
    differing = [
        (f"{column} {printable(value)}", f"{d.first} less {d.second}", d.metric, d.as_text())
        for column, value, d in comparison.slices
        if d.interval is not None and not d.interval.holds(0.0)
    ]
    if comparison.slices:
        shown = [tuple(map(escape, row)) for row in differing[:_LINES]]
        title = f"slices that differ: {len(differing):,} of {len(comparison.slices):,} looked at, chance allowed for"
        headers = ("slice", "models", "metric", "difference")
        console.print(table(title, headers, shown, numbers=False) if shown else title)
    console.print(escape(comparison.verdict), soft_wrap=True, highlight=False)


def show_outcomes(outcomes: "Sequence[Outcome]") -> None:
    """Print what became of each rule."""
    rows = [
        ("[green]kept[/]" if some.passed else "[bold red]broken[/]", escape(some.rule), escape(some.found))
        for some in outcomes
    ]
    console.print(table("gate", ("", "rule", "found"), rows, numbers=False))


def write(document: Mapping[str, Any], json_: Path | None, page: Path | None, html: str | None) -> None:
    """Write the json and the page that were asked for, and say so."""
    from common.files import write_json, write_text

    if json_ is not None and json_ != Path("-"):
        write_json(json_, document)
        errors.print(f"Wrote {json_}.", highlight=False)
    if page is not None and html is not None:
        write_text(page, html)
        errors.print(f"Wrote {page}.", highlight=False)


def print_json(document: Mapping[str, Any]) -> None:
    """Print strict json."""
    print(json.dumps(document, indent=2, allow_nan=False))


def exit_code(outcomes: "Sequence[Outcome]") -> None:
    """Exit with 1 where a rule is broken."""
    if not all(some.passed for some in outcomes):
        raise typer.Exit(_BROKEN)


def _show_slices(found: "SliceTable") -> None:
    rows = []
    for some in found.slices[:_LINES]:
        cells = [_metric_cell(some.metric(name).as_text()) for name in ("auc", "calibration_ratio")]
        flags = ", ".join(some.flagged)
        rows.append((escape(printable(some.value)), f"{some.rows:,}", f"{some.label_rate:.5f}", *cells, flags))
    more = len(found.slices) - len(rows)
    title = f"by {found.column}"
    title += f", {more:,} more are in --json and --report" if more else ""
    title += f", {found.left_out:,} are left out: give more --slices" if found.left_out else ""
    headers = (found.column, "rows", "label_rate", "auc", "calibration_ratio", "beyond chance")
    console.print(table(escape(title), tuple(map(escape, headers)), rows))


def _metric_cell(text: tuple[str, str]) -> str:
    value, interval = text
    return value if value == "undefined" or not interval else f"{value} ({interval})"
