"""Forest plots: estimates with their intervals, one below the other on one axis."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.text import printable
from evaluation.interval import Interval
from evaluation.page._scale import Scale
from evaluation.page._svg import BEFORE, HIGH, ROWS, SOFT, draw, stand_in

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ROW, _FRAME, _LEAST = 23.0, 62.0, 110.0


@dataclass(frozen=True)
class Line:
    """One estimate of a forest plot.

    Attributes:
        name: What it is of; any text.
        value: None where it is undefined.
        interval: Its own.
        simultaneous: The wider one that holds with all the others at once.
        flagged: Whether it is to be marked.
    """

    name: str
    value: float | None
    interval: Interval | None = None
    simultaneous: Interval | None = None
    flagged: bool = False


def scale_of(lines: Sequence[Line], reference: float | None, *, logarithmic: bool) -> Scale | None:
    """An axis for estimates and what they are held against; None where no estimate can be shown on it."""
    points = [line.value for line in lines if line.value is not None and (line.value > 0 or not logarithmic)]
    intervals = [some for line in lines for some in (line.interval, line.simultaneous) if some is not None]
    if not points:
        return None
    return Scale.around([*points, *([] if reference is None else [reference])], intervals, logarithmic=logarithmic)


def forest(
    name: str,
    alt: str,
    lines: Sequence[Line],
    *,
    reference: float | None,
    x_label: str,
    y_label: str,
    logarithmic: bool = False,
    longest: int = 20,
) -> str | None:
    """Draw estimates with their intervals.

    Args:
        name: The plot's id.
        alt: What it shows, in words.
        lines: From the top down.
        reference: Where the dashed line is.
        x_label: What is estimated, with its unit.
        y_label: What the names are; any text.
        logarithmic: Whether equal lengths are equal ratios.
        longest: Widest that a name may be, in Latin letters.

    Returns:
        The svg; None where no estimate can be shown.
    """
    scale = scale_of(lines, reference, logarithmic=logarithmic)
    if scale is None:
        return None
    texts = [*(printable(line.name, longest=longest) for line in lines), printable(y_label, longest=40)]

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        if reference is not None:
            axes.axvline(reference, color=BEFORE, linewidth=1.2, linestyle=(0, (5, 4)))
        for row, line in enumerate(lines):
            colour = HIGH if line.flagged else ROWS
            for interval, width in ((line.simultaneous, 1.0), (line.interval, 3.4)):
                if interval is not None:
                    low, high = scale.nearest(interval.low), scale.nearest(interval.high)
                    axes.hlines(row, low, high, color=colour, linewidth=width, alpha=0.75)
            if line.value is None or (logarithmic and line.value <= 0):
                text = "undefined" if line.value is None else f"{line.value:g}"
                axes.text(0.01, row, text, color=SOFT, va="center", transform=axes.get_yaxis_transform())
            else:
                axes.plot(scale.nearest(line.value), row, "D" if line.flagged else "o", color=colour, markersize=6.5)
        scale.apply(axes, "x")
        axes.set_ylim(len(lines) - 0.4, -0.6)
        axes.set_yticks(range(len(lines)), labels=[stand_in(row, text) for row, text in enumerate(texts[:-1])])
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", visible=False)
        axes.set(xlabel=x_label, ylabel=stand_in(len(lines), texts[-1]))

    return draw(name, alt, paint, height=_FRAME + max(_ROW * len(lines), _LEAST), texts=texts)
