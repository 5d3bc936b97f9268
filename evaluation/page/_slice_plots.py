"""Plots of slices: forest plots of a column's values, and curves over time."""

import math
from typing import TYPE_CHECKING

from common.text import cells, printable
from evaluation.page._forest import Line, forest, scale_of
from evaluation.page._svg import BEFORE, HIGH, ROWS, WIDTH, Key, Plot, draw, stand_in
from evaluation.page._text import level, number
from evaluation.report.report import Report
from evaluation.report.slices import Slice, SliceTable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST = 20  # slices in a forest plot
_LETTER = 7.5  # room for a letter below the axis of time
_TITLES = {"auc": "AUC", "calibration_ratio": "Calibration"}
_LABELS = {"auc": "AUC (no unit)", "calibration_ratio": "predicted / observed (log scale)"}


def line_of(some: Slice, metric: str, name: str) -> Line:
    """A slice's metric as a line of a forest plot."""
    found = some.metric(metric)
    return Line(name, found.value, found.interval, some.simultaneous.get(metric), metric in some.flagged)


def reference_of(report: Report, metric: str) -> float | None:
    """What a slice's metric is held against: 1 for a calibration ratio, else that of all rows."""
    return 1.0 if metric == "calibration_ratio" else report.metric(metric).value


def slice_plots(table: SliceTable, report: Report, number_: int) -> list[Plot]:
    """Forest plots of AUC and calibration.

    Args:
        table: The slices.
        report: Of all rows.
        number_: Which table of the page this is, for ids.
    """
    shown = table.slices[:_MOST]
    column = printable(table.column)
    which = "" if len(shown) == len(table.slices) else f", the {len(shown)} largest"
    plots = []
    for metric, title in _TITLES.items():
        name = f"slices-{number_}-{metric.replace('_', '-')}"
        alt, flagged = _alt(title, table, metric), any(metric in some.flagged for some in shown)
        reference = reference_of(report, metric)
        svg = forest(
            name,
            alt,
            [line_of(some, metric, some.value) for some in shown],
            reference=reference,
            x_label=_LABELS[metric],
            y_label=table.column,
            logarithmic=metric == "calibration_ratio",
        )
        reading = (
            f"Each row is a value of {column}: where even its thin line, which allows for how many values are looked "
            "at, stays off the dashed line, the value differs from "
            f"{'1' if metric == 'calibration_ratio' else 'all rows'}."
        )
        keys = _keys(table, metric, reference, flagged=flagged)
        reason = None if svg else f"{title} is undefined for every value of {column}"
        plots.append(Plot(name, f"{title} by {column}{which}", reading, svg, keys if svg else (), reason))
    return plots


def time_plots(table: SliceTable, report: Report) -> list[Plot]:
    """AUC and calibration over time."""
    plots = []
    for metric, title in _TITLES.items():
        name = f"time-{metric.replace('_', '-')}"
        svg = _over_time(name, table, metric, reference_of(report, metric))
        reading = (
            "The band is the interval of each span of time on its own: of many spans, some leave the dashed line by "
            "chance, but those that are flagged differ even so; a gap is a span without a value."
        )
        flagged = any(metric in some.flagged for some in table.slices)
        keys = _keys(table, metric, reference_of(report, metric), flagged=flagged, band=True)
        reason = None if svg else f"{title} is undefined for every span of time"
        plots.append(Plot(name, f"{title} over time", reading, svg, keys if svg else (), reason))
    return plots


def _over_time(name: str, table: SliceTable, metric: str, reference: float | None) -> str | None:
    logarithmic = metric == "calibration_ratio"
    lines = [line_of(some, metric, some.value) for some in table.slices]
    scale = scale_of(lines, reference, logarithmic=logarithmic)
    if scale is None:
        return None
    texts = [printable(line.name, longest=20) for line in lines]
    # As many names as fit side by side, the first always among them.
    every = max(1, math.ceil(len(lines) * _LETTER * (2 + max(map(cells, texts))) / (WIDTH - 80)))

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        if reference is not None:
            axes.axhline(reference, color=BEFORE, linewidth=1.2, linestyle=(0, (5, 4)))
        unknown = [line.value is None or (logarithmic and line.value <= 0) for line in lines]
        values = [math.nan if no else scale.nearest(line.value or 0.0) for no, line in zip(unknown, lines, strict=True)]
        lows = [math.nan if line.interval is None else scale.nearest(line.interval.low) for line in lines]
        highs = [math.nan if line.interval is None else scale.nearest(line.interval.high) for line in lines]
        places = list(range(len(lines)))
        axes.fill_between(places, lows, highs, color=ROWS, alpha=0.2, linewidth=0)
        # A span between two gaps has no band; its own line shows its interval.
        axes.vlines(places, lows, highs, color=ROWS, linewidth=1, alpha=0.5)
        axes.plot(places, values, "o-", color=ROWS, markersize=4, linewidth=1.6)
        for place, line in enumerate(lines):
            if line.flagged:
                axes.plot(place, values[place], "D", color=HIGH, markersize=7)
        scale.apply(axes, "y")
        axes.set_xticks(places[::every], labels=[stand_in(place, texts[place]) for place in places[::every]])
        axes.set_xlim(-0.5, len(lines) - 0.5)
        axes.set(xlabel="time (start of each span, UTC)", ylabel=_LABELS[metric])

    return draw(name, _alt(_TITLES[metric], table, metric), paint, texts=texts)


def _keys(
    table: SliceTable, metric: str, reference: float | None, *, flagged: bool, band: bool = False
) -> tuple[Key, ...]:
    keys = [Key("rows", f"{level(table.level)} interval", "area" if band else "thick")]
    if not band:
        keys.append(Key("rows", "of all values at once", "thin"))
    if reference is not None:
        text = "calibrated, 1" if metric == "calibration_ratio" else f"all rows, {number(reference)}"
        keys.append(Key("before", text, "dashed"))
    if flagged:
        keys.append(Key("high", "flagged", "diamond"))
    return tuple(keys)


def _alt(title: str, table: SliceTable, metric: str) -> str:
    known = [
        (some.metric(metric).value or 0.0, some.value) for some in table.slices if some.metric(metric).value is not None
    ]
    if not known:
        return f"{title}: undefined."
    (low, lowest), (high, highest) = min(known), max(known)
    flagged = sum(metric in some.flagged for some in table.slices)
    return (
        f"{title} of {len(known)} values of {printable(table.column)}, from {number(low)} ({printable(lowest)}) to "
        f"{number(high)} ({printable(highest)}); {flagged} flagged."
    )
