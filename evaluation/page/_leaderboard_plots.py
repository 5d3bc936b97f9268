"""Plots of a leaderboard: every run with its entry's mean, and quality against speed and size."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import quantiles
from typing import TYPE_CHECKING

from common.text import printable
from evaluation.leaderboard.board import Board
from evaluation.leaderboard.entry import Entry
from evaluation.leaderboard.reference import Beside
from evaluation.leaderboard.summary import Summary
from evaluation.page._meanings import title_of
from evaluation.page._scale import Scale
from evaluation.page._svg import BEFORE, RATE, ROWS, SOFT, Key, Plot, draw, stand_in
from evaluation.page._text import number
from evaluation.report.names import direction

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

METRICS = ("auc", "logloss")
"""The metrics that a leaderboard shows."""

_MOST = 40  # entries in a plot
_ROW, _FRAME, _LEAST = 23.0, 62.0, 110.0  # heights
_LABEL = 16.0  # room for a name beside a plot
_LONGEST = 26  # letters of a name
_LANE = 0.3  # of a row, that runs are drawn below their mean
_FAR = 5.0  # interquartile ranges from the middle half of the entries: what lies further is at the plot's end


@dataclass(frozen=True)
class _Point:
    """An entry in a plot of quality against something."""

    name: str
    x: float
    quality: Summary


def leaderboard_plots(board: Board, published: Sequence[Beside], split: str, place: int) -> list[Plot]:
    """The plots of a board.

    Args:
        board: The board.
        published: Published figures beside it.
        split: Whose metrics are shown.
        place: Which board of the page this is, for ids.
    """
    plots = [_runs(f"runs-{place}-{metric}", board, published, split, metric) for metric in METRICS]
    shown = board.entries[:_MOST]
    if len(shown) == 1:
        return plots
    speeds = [(entry, entry.samples_per_second) for entry in shown]
    sizes = [(entry, float(entry.parameters[1])) for entry in shown]
    return [
        *plots,
        _against(f"speed-{place}", "training speed", "samples/s (log scale)", speeds, split),
        _against(f"size-{place}", "size", "parameters (log scale)", sizes, split),
    ]


def _runs(name: str, board: Board, published: Sequence[Beside], split: str, metric: str) -> Plot:
    entries = board.entries[:_MOST]
    found = [entry.summary(split, metric) for entry in entries]
    figures = [
        [some.published for some in published if (some.entry, some.metric) == (entry.name, metric)] for entry in entries
    ]
    label = f"{title_of(metric)} on {split}"
    title = label if len(entries) == len(board.entries) else f"{label}, the first {len(entries)}"
    scale = _scale(found, figures)
    if scale is None:
        reason = next((some.reason for some in found if some.reason), f"no run has a {metric}")
        return Plot(name, title, "", None, reason=reason)
    reading = (
        "Each small dot is a run, and the large one above them the mean of their entry: further "
        f"{'right' if direction(metric) == 'higher' else 'left'} is better, and entries whose intervals overlap widely "
        f"are not told apart{_beyond(found, scale)}."
    )
    texts = [printable(entry.name, longest=_LONGEST) for entry in entries]

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        for row, (some, references) in enumerate(zip(found, figures, strict=True)):
            _entry(axes, row, some, references, scale)
        scale.apply(axes, "x")
        axes.set_ylim(len(entries) - 0.3, -0.6)
        axes.set_yticks(range(len(entries)), labels=[stand_in(row, text) for row, text in enumerate(texts)])
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", visible=False)
        axes.set(xlabel=f"{label} (no unit)" if metric == "auc" else f"{label} (nats)")

    height = _FRAME + max(_ROW * len(entries), _LEAST)
    alt = f"{label} by entry, runs and means: {_listed(zip(texts, found, strict=True))}."
    svg = draw(name, alt, paint, height=height, texts=texts)
    return Plot(name, title, reading, svg, _keys(found, published=any(figures)))


def _entry(axes: "Axes", row: int, some: Summary, references: Sequence[float], scale: Scale) -> None:
    """One line of a plot of runs."""
    if some.mean is None:
        axes.text(0.01, row, "undefined", color=SOFT, va="center", transform=axes.get_yaxis_transform())
        return
    if not scale.low <= some.mean <= scale.high:
        low = some.mean < scale.low
        end, place, side = (0.02, 0.05, "left") if low else (0.98, 0.95, "right")
        axes.plot(end, row, "<" if low else ">", color=ROWS, transform=axes.get_yaxis_transform())
        text = number(some.mean)
        axes.text(place, row, text, color=SOFT, va="center", ha=side, transform=axes.get_yaxis_transform())
        return
    if some.interval is not None:
        low_end, high_end = scale.nearest(some.interval.low), scale.nearest(some.interval.high)
        width = 1.0 if some.over_rows else 3.4
        axes.hlines(row, low_end, high_end, color=ROWS, linewidth=width, alpha=0.6)
    if some.std is not None:
        values = [value for value in some.values if value is not None and scale.low <= value <= scale.high]
        axes.plot(values, [row + _LANE] * len(values), "o", color=ROWS, markersize=3.4, markeredgewidth=0, alpha=0.75)
    axes.plot(some.mean, row, "o", color=ROWS, markersize=7)
    seen = [value for value in references if scale.low <= value <= scale.high]
    axes.plot(seen, [row] * len(seen), "s", color=RATE, fillstyle="none", markersize=7, markeredgewidth=1.4)


def _against(name: str, what: str, x_label: str, places: Sequence[tuple[Entry, float | None]], split: str) -> Plot:
    """Quality against something that costs; entries of which it is not known are left out."""
    title = f"AUC against {what}"
    points = [
        _Point(printable(entry.name, longest=_LONGEST), x, quality)
        for entry, x in places
        if x is not None and x > 0 and (quality := entry.summary(split, "auc")).mean is not None
    ]
    y_scale = _scale([point.quality for point in points], [])
    x_scale = Scale.around([point.x for point in points], [], logarithmic=True)
    if x_scale is None or y_scale is None:
        return Plot(name, title, "", None, reason=f"no entry has both an AUC and a known {what}")
    faster = what == "training speed"
    reading = (
        "Each point is an entry with its interval: further "
        f"{'right trains faster' if faster else 'left is smaller'}, and an entry is worth its cost where no "
        f"{'faster' if faster else 'smaller'} one lies above it{_beyond([point.quality for point in points], y_scale)}."
    )
    height = _FRAME + max(_LABEL * len(points), 220.0)

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        ordered = sorted(enumerate(points), key=lambda pair: pair[1].quality.mean or 0.0)
        wanted = [y_scale.place(point.quality.mean or 0.0) for _, point in ordered]
        labels = spread(wanted, _LABEL / (height - _FRAME))
        for (index, point), place in zip(ordered, labels, strict=True):
            y = y_scale.nearest(point.quality.mean or 0.0)
            interval = point.quality.interval
            if interval is not None and y == point.quality.mean:
                low, high = y_scale.nearest(interval.low), y_scale.nearest(interval.high)
                axes.vlines(
                    point.x, low, high, color=ROWS, linewidth=1.0 if point.quality.over_rows else 2.4, alpha=0.6
                )
            shape = "o" if y == point.quality.mean else "v" if y == y_scale.low else "^"
            axes.plot(point.x, y, shape, color=ROWS, markersize=7, clip_on=False)
            axes.annotate(
                stand_in(index, point.name),
                (point.x, y),
                (1.04, place),
                textcoords="axes fraction",
                va="center",
                arrowprops={"arrowstyle": "-", "color": BEFORE, "linewidth": 0.7, "shrinkA": 1, "shrinkB": 4},
            )
        x_scale.apply(axes, "x")
        axes.set_xticks(x_scale.ticks(), labels=[_short(tick) for tick in x_scale.ticks()])
        y_scale.apply(axes, "y")
        axes.set(xlabel=x_label, ylabel=f"AUC on {split} (no unit)")

    alt = f"{title}: " + "; ".join(f"{point.name} {number(point.x)}" for point in points) + "."
    svg = draw(name, alt, paint, height=height, texts=[point.name for point in points])
    return Plot(name, title, reading, svg, _keys([point.quality for point in points]))


def spread(places: Sequence[float], gap: float) -> list[float]:
    """Move places along 0 to 1 as little as it takes to lie a gap apart.

    Args:
        places: In ascending order.
        gap: The least distance; all fit with it.
    """
    found: list[float] = []
    for place in places:
        found.append(max(place, found[-1] + gap) if found else place)
    end = 1.0
    for index in reversed(range(len(found))):
        found[index] = min(found[index], end)
        end = found[index] - gap
    return found


def _scale(found: Sequence[Summary], references: Sequence[Sequence[float]]) -> Scale | None:
    """An axis for runs, means and published figures, without the few that lie far from all others."""
    means = [some.mean for some in found if some.mean is not None]
    near = _near(means)
    runs = [
        value
        for some in found
        if some.mean is not None and near(some.mean)
        for value in some.values
        if value is not None
    ]
    published = [value for values in references for value in values if near(value)]
    return Scale.around(
        [*runs, *published], [some.interval for some in found if some.interval and near(some.mean or 0.0)]
    )


def _near(means: Sequence[float]) -> Callable[[float], bool]:
    """Whether a value lies near the middle half of the means; all do where there are few or where these agree."""
    if len(means) < 4:
        return lambda value: True
    low, _, high = quantiles(means, n=4, method="inclusive")
    reach = _FAR * (high - low)
    return lambda value: not reach or low - reach <= value <= high + reach


def _beyond(found: Sequence[Summary], scale: Scale) -> str:
    """What a reader has to know where an entry lies outside of the plot."""
    beyond = any(some.mean is not None and scale.nearest(some.mean) != some.mean for some in found)
    return "; a triangle is an entry that lies beyond the edge" if beyond else ""


def _keys(found: Sequence[Summary], *, published: bool = False) -> tuple[Key, ...]:
    keys = [Key("rows", "mean", "point")]
    several = any(some.interval is not None and not some.over_rows for some in found)
    keys += [Key("rows", "95\u00a0% interval over runs", "thick")] if several else []
    keys += [Key("rows", "one run: over rows", "thin")] if any(some.over_rows for some in found) else []
    return (*keys, *([Key("rate", "published", "hollow")] if published else []))


def _short(count: float) -> str:
    """A count in few letters: 800, 30k, 1.5M."""
    for unit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= unit:
            return f"{count / unit:g}{letter}"
    return f"{count:g}"


def _listed(found: Iterable[tuple[str, Summary]]) -> str:
    return "; ".join(f"{name} {'undefined' if some.mean is None else number(some.mean)}" for name, some in found)
