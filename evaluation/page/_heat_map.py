"""Heat maps: a number for each pair of names, the fuller its colour the greater."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from common.text import cells, printable
from evaluation.page._svg import INK, ROWS, SOFT, draw, stand_in

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LARGE = 14
"""More names than this need a drawing as broad as the page."""

_MOST_NUMBERS = 11  # names at which numbers in the cells can still be read
_LEVELS = 24
_FULL = 0.65  # opacity of the greatest: text on it stays readable
_FRAME, _CELLS = 90.0, 290.0
_GAP = 0.05  # between cells, as a share of one


def heat_map(
    name: str,
    alt: str,
    names: Sequence[str],
    values: npt.NDArray[np.float64],
    *,
    rows: str,
    columns: str,
    top: float | None = None,
) -> str:
    """Draw a square table of numbers.

    Args:
        name: The plot's id.
        alt: What it shows, in words.
        names: Of the rows, and of the columns; any text.
        values: ``[names, names]``, at least 0; NaN leaves a cell empty.
        rows: What a row is.
        columns: What a column is.
        top: What is drawn in the full colour; the greatest value by default.

    Returns:
        The svg.
    """
    count = len(names)
    size = max(3.6, min(12.0, 0.8 * _CELLS / count))
    texts = [*(printable(some, longest=16) for some in names), rows, columns]
    wide = max(map(cells, texts[:-2])) * 0.6 * size > _CELLS / count
    highest = float(np.nanmax(values, initial=0.0)) if top is None else top

    def paint(figure: "Figure") -> None:
        from matplotlib.patches import PathPatch
        from matplotlib.path import Path

        axes = figure.subplots()
        levels = np.ceil(_LEVELS * np.nan_to_num(values) / highest) if highest else np.zeros_like(values)
        for level in range(1, _LEVELS + 1):
            found = np.argwhere(np.minimum(levels, _LEVELS) == level)
            # One path a level: of a thousand cells, a path each would make the page large.
            squares = [_square(column, row) for row, column in found]
            if squares:
                path = Path.make_compound_path(*map(Path, squares))
                axes.add_patch(PathPatch(path, facecolor=ROWS, linewidth=0, alpha=_FULL * level / _LEVELS))
        if count <= _MOST_NUMBERS:
            for (row, column), value in np.ndenumerate(values):
                if not np.isnan(value):
                    shown = f"{value:.2f}" if highest < 10 else f"{value:.0f}"
                    axes.text(column, row, shown, ha="center", va="center", size=9, color=INK)
        ticks, labels = range(count), [stand_in(place, text) for place, text in enumerate(texts[:-2])]
        axes.set_xticks(ticks, labels=labels, rotation=90 if wide else 0, size=size)
        axes.set_yticks(ticks, labels=labels, size=size)
        axes.tick_params(length=0, labelcolor=SOFT)
        axes.set(xlim=(-0.5, count - 0.5), ylim=(count - 0.5, -0.5))
        axes.set_xlabel(stand_in(count + 1, columns), size=max(size, 7.0))
        axes.set_ylabel(stand_in(count, rows), size=max(size, 7.0))
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)

    return draw(name, alt, paint, height=_FRAME + _CELLS, texts=texts)


def _square(x: float, y: float) -> list[tuple[float, float]]:
    """The corners of a cell, the first once more."""
    half = 0.5 - _GAP
    return [
        (x - half, y - half),
        (x + half, y - half),
        (x + half, y + half),
        (x - half, y + half),
        (x - half, y - half),
    ]
