"""A comparison as the page shows it: a matrix of each metric, a plot, differences by slice."""

from dataclasses import dataclass
from typing import Literal

from common.text import printable
from evaluation.page._forest import Line, forest, scale_of
from evaluation.page._mini import Mini, mini
from evaluation.page._svg import Key, Plot
from evaluation.page._text import level, number
from evaluation.report.comparison import Comparison, Difference
from evaluation.report.names import direction

_LESS = " \u2212 "
_LONGEST = 12  # letters of a model's name beside the plot


@dataclass(frozen=True)
class Cell:
    """A difference, and what it says of the first model.

    Attributes:
        difference: The difference.
        says: ``better`` or ``worse`` where its interval leaves out 0, else nothing.
        mini: Its interval, drawn small, where it is one of a list.
    """

    difference: Difference
    says: Literal["better", "worse", ""]
    mini: Mini | None = None


@dataclass(frozen=True)
class Matrix:
    """One metric's differences between all models.

    Attributes:
        metric: The metric's name.
        cells: By the first model and the second.
    """

    metric: str
    cells: dict[tuple[str, str], Cell]


@dataclass(frozen=True)
class SliceRow:
    """The difference on the rows that have a value of a column."""

    column: str
    value: str
    cell: Cell


def matrices(comparison: Comparison) -> list[Matrix]:
    """The matrix of each metric, in the order in which the metrics come."""
    found: dict[str, dict[tuple[str, str], Cell]] = {}
    for some in comparison.differences:
        found.setdefault(some.metric, {})[some.first, some.second] = Cell(some, _says(some))
    return [Matrix(metric, cells) for metric, cells in found.items()]


def slice_rows(comparison: Comparison) -> list[SliceRow]:
    """The differences by slice, on one axis a metric."""
    scales = {
        metric: scale_of(
            [_line(some) for _, _, some in comparison.slices if some.metric == metric], 0.0, logarithmic=False
        )
        for metric in {some.metric for _, _, some in comparison.slices}
    }
    return [
        SliceRow(column, value, Cell(some, _says(some), mini(_line(some), scales[some.metric], 0.0)))
        for column, value, some in comparison.slices
    ]


def comparison_plot(comparison: Comparison) -> Plot:
    """A forest plot of the AUC's paired differences, each pair once, the live model always the second."""
    others = [name for name in comparison.names if name != comparison.live]
    order = {name: place for place, name in enumerate([*others, comparison.live])}
    pairs = [some for some in comparison.differences if some.metric == "auc" and order[some.first] < order[some.second]]
    title = "Differences of AUC"
    reading = (
        "Each row is the first model's AUC less the second's on the same rows: an interval that stays right of the "
        "dashed line says that the first orders better, left of it the second."
    )
    lines = [
        Line(
            _LESS.join(printable(name, longest=_LONGEST) for name in (some.first, some.second)),
            some.value,
            some.interval,
        )
        for some in pairs
    ]
    known = [
        f"{some.first} less {some.second} {number(some.value, signed=True)}" for some in pairs if some.value is not None
    ]
    svg = forest(
        "differences",
        f"Differences of AUC: {printable(', '.join(known), longest=400)}.",
        lines,
        reference=0.0,
        x_label="difference of AUC (no unit)",
        y_label="first less second",
        longest=2 * _LONGEST + len(_LESS),
    )
    reason = next((some.reason for some in pairs if some.reason), "the models have no AUC to compare")
    if svg is None:
        return Plot("differences", title, reading, None, reason=reason)
    levels = {some.interval.level for some in pairs if some.interval is not None}
    keys = (Key("rows", f"paired {' and '.join(map(level, sorted(levels)))} interval", "thick"),) if levels else ()
    return Plot("differences", title, reading, svg, (*keys, Key("before", "no difference", "dashed")))


def _says(some: Difference) -> Literal["better", "worse", ""]:
    better = direction(some.metric)
    if some.interval is None or some.interval.holds(0.0) or better == "near 1":
        return ""
    return "better" if (some.interval.low > 0) == (better == "higher") else "worse"


def _line(some: Difference) -> Line:
    return Line("", some.value, some.interval)
