"""plexrank profile: what a prepared set holds, and how far it has moved."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from commands._console import console, progress_bar, table

if TYPE_CHECKING:
    from features.profile.feature import FeatureProfile
    from features.profile.findings import Finding
    from features.profile.profile import Profile

_TOP = 3
_COLOURS = {"high": "bold red", "medium": "yellow", "low": "blue"}


def profile(
    data: Annotated[Path, typer.Argument(metavar="DIR", help="A prepared set.")],
    against: Annotated[
        Path | None, typer.Option(help="Another prepared set, such as yesterday's: drift from its training rows.")
    ] = None,
    split: Annotated[str, typer.Option(help="Which rows to describe: train, valid or test.")] = "train",
    output: Annotated[
        Path | None, typer.Option(help="The page to write, replaced if it exists.", show_default="DIR-profile.html")
    ] = None,
    json_: Annotated[
        Path | None,
        typer.Option("--json", help="Write what was measured as json to this file; - prints it instead of all else."),
    ] = None,
) -> None:
    """Describe a prepared set: print tables, and write a page with plots.

    Each split's label rate; each feature's missing rate, values, label rate by value, and how well it orders the labels
    alone; what looks like a mistake or gives the label away; with --against, how far each feature has moved (PSI).

    Example: plexrank profile today --against yesterday --output today.html
    """
    from common.errors import ConfigError
    from common.files import write_json, write_text
    from features.datasets.prepared import PreparedSet
    from features.profile.findings import findings
    from features.profile.page import page
    from features.profile.profile import profile as measure

    whole = data.resolve()
    path = output or whole.with_name(f"{whole.name}-profile.html")
    if path.suffix != ".html":
        raise ConfigError(f"{path} is no .html; name it so")
    for file in (path, *([] if json_ is None else [json_])):
        if file.is_dir():
            raise ConfigError(f"{file} is a folder; name a file")
        if not file.parent.is_dir():
            raise ConfigError(f"{file.parent} is no folder; create it, or choose another")
    prepared = PreparedSet(data)
    reference = None if against is None else PreparedSet(against)
    with progress_bar() as bar:
        task = bar.add_task("measure", total=None, note="")

        def show(what: str, done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, note=what)

        measured = measure(prepared, split=split, against=reference, progress=show)
    found = findings(measured)
    document = {**asdict(measured), "findings": [asdict(finding) for finding in found]}
    if json_ == Path("-"):
        print(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))
        if output is not None:
            write_text(path, page(measured, found))
        return
    write_text(path, page(measured, found))
    _print(measured, found)
    if json_ is not None:
        write_json(json_, document)
        console.print(f"Wrote {json_}.", soft_wrap=True, markup=False)
    console.print(f"Wrote {path}. Open it in a browser.", soft_wrap=True, markup=False)


def _print(measured: "Profile", found: Sequence["Finding"]) -> None:
    from common.text import percent

    rows = [
        (name, f"{label.rows:,}", percent(label.rate or 0.0), f"{percent(label.low)} to {percent(label.high)}")
        for name, label in measured.splits.items()
    ]
    console.print(table(escape(measured.folder), ("split", "rows", "label rate", "95 % interval"), rows))
    others = [name for name in measured.splits if name != "train"]
    drifts = {} if measured.drift is None else {drift.name: drift for drift in measured.drift.features}
    headers = ["feature", "kind", "missing", "distinct", "AUC alone", *(f"unseen in {name}" for name in others)]
    headers += [*(["PSI"] if drifts else []), "values"]
    lines = []
    for feature in measured.features:
        line = [feature.name, feature.kind, percent(feature.missing_share)]
        line.append("many" if feature.distinct is None else f"{feature.distinct:,}")
        line.append("-" if feature.auc is None else f"{feature.auc:.3f}")
        for name in others:
            unseen = feature.splits[name].unseen
            line.append("-" if unseen is None else percent(unseen))
        if drifts:
            psi = drifts[feature.name].psi if feature.name in drifts else None
            line.append("-" if psi is None else f"{psi:.3f}")
        lines.append([*line, escape(_values(feature))])
    console.print(table(f"Features of the {measured.split} rows", headers, lines))
    if found:
        console.print("What to look at")
    for finding in found:
        about = f"[bold]{finding.feature}[/]: " if finding.feature else ""
        colour = _COLOURS[finding.severity]
        console.print(
            f"  [{colour}]{finding.severity:<6}[/] {about}{escape(finding.text)}", soft_wrap=True, highlight=False
        )


def _values(feature: "FeatureProfile") -> str:
    """The most frequent values, or the extent of the numbers."""
    from common.text import percent, printable
    from features.profile.text import number

    if feature.numbers is not None:
        numbers = feature.numbers
        mean = "" if numbers.mean is None else f", mean {number(numbers.mean)}"
        return f"{number(numbers.minimum)} .. {number(numbers.maximum)}{mean}"
    top = [bar for bar in feature.top if bar.name.role in ("value", "hash")][:_TOP]
    return ", ".join(f"{printable(bar.name.text)} {percent(bar.share)}" for bar in top)
