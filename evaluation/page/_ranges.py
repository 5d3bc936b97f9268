"""Range plots: one number of several models, a line from the least to the greatest and a dot a model."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from common.text import printable
from evaluation.explanation.rashomon import Range
from evaluation.page._forest import Line, scale_of
from evaluation.page._svg import BEFORE, RATE, ROWS, draw, stand_in

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ROW, _FRAME, _LEAST = 23.0, 62.0, 110.0


def range_plot(
    name: str,
    alt: str,
    ranges: Sequence[Range],
    *,
    marked: int | None,
    x_label: str,
    y_label: str,
    longest: int = 20,
) -> str:
    """Draw ranges, one below the other on one axis that holds 0.

    Args:
        name: The plot's id.
        alt: What it shows, in words.
        ranges: From the top down; at least one.
        marked: Which of the models is drawn apart.
        x_label: What the number is, with its unit.
        y_label: What the names are.
        longest: Widest that a name may be, in Latin letters.

    Returns:
        The svg.
    """
    texts = [*(printable(some.name, longest=longest) for some in ranges), y_label]
    scale = scale_of([Line("", value) for some in ranges for value in some.values], 0.0, logarithmic=False)
    assert scale is not None

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        axes.axvline(0.0, color=BEFORE, linewidth=1.2, linestyle=(0, (5, 4)))
        for row, some in enumerate(ranges):
            axes.hlines(row, some.low, some.high, color=ROWS, linewidth=3.4, alpha=0.35)
            axes.plot(some.values, [row] * len(some.values), "o", color=ROWS, markersize=5, alpha=0.8)
            if marked is not None:
                axes.plot(some.values[marked], row, "D", color=RATE, markersize=6)
        scale.apply(axes, "x")
        axes.set_ylim(len(ranges) - 0.4, -0.6)
        axes.set_yticks(range(len(ranges)), labels=[stand_in(row, text) for row, text in enumerate(texts[:-1])])
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", visible=False)
        axes.set(xlabel=x_label, ylabel=stand_in(len(ranges), texts[-1]))

    return draw(name, alt, paint, height=_FRAME + max(_ROW * len(ranges), _LEAST), texts=texts)
