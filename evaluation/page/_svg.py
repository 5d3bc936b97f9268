"""A plot as inline svg that takes its colours and its font from the page."""

import html
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Colours that stand for the page's variables until the svg is written: one svg serves the light page and the dark.
INK, SOFT, LINE, BEFORE, ROWS, RATE, HIGH = (f"#00000{index}" for index in range(1, 8))
_VARIABLES = {INK: "ink", SOFT: "soft", LINE: "line", BEFORE: "before", ROWS: "rows", RATE: "rate", HIGH: "high"}

WIDTH = 420.0
"""Width of a plot in its own units, in which letters are 12 high."""

_HEIGHT = 300.0
_POINTS_AN_INCH = 72
_STYLE = {
    "svg.fonttype": "none",  # text stays text
    "text.parse_math": False,
    "text.color": INK,
    "font.size": 12,
    "axes.edgecolor": BEFORE,
    "axes.labelcolor": INK,
    "axes.labelsize": 12,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.useoffset": False,
    "grid.color": LINE,
    "xtick.color": BEFORE,
    "ytick.color": BEFORE,
    "xtick.labelcolor": SOFT,
    "ytick.labelcolor": SOFT,
    "xtick.labelsize": 12,
    "ytick.labelsize": 12,
    "lines.linewidth": 2,
}


@dataclass(frozen=True)
class Key:
    """What a colour of a plot stands for.

    Attributes:
        colour: One of the page's variables, such as ``rows``.
        text: What it stands for.
        shape: One of ``line``, ``thin``, ``thick``, ``dashed``, ``area``, ``point``, ``hollow`` or ``diamond``.
    """

    colour: str
    text: str
    shape: str = "line"


@dataclass(frozen=True)
class Plot:
    """A figure of the page.

    Attributes:
        name: Its id on the page.
        title: What it shows.
        reading: One sentence that says how to read it.
        svg: The drawing; None where the data leaves it undefined.
        keys: The legend.
        reason: Why there is no drawing.
    """

    name: str
    title: str
    reading: str
    svg: str | None
    keys: tuple[Key, ...] = ()
    reason: str | None = None


def draw(
    name: str, alt: str, paint: "Callable[[Figure], None]", *, height: float = _HEIGHT, texts: Sequence[str] = ()
) -> str:
    """Paint a figure and write it as svg.

    Args:
        name: The plot's id; makes the ids inside its own.
        alt: What it shows, in words, for those who do not see it.
        paint: Paints on an empty figure.
        height: In the units of ``WIDTH``.
        texts: What ``stand_in(0)``, ``stand_in(1)``, ... stand for.

    Returns:
        The same text for the same painting.
    """
    import matplotlib.style
    from matplotlib.figure import Figure

    # On top of matplotlib's defaults, so that a user's own settings change nothing.
    with matplotlib.style.context(["default", {**_STYLE, "svg.hashsalt": name}]):
        figure = Figure(figsize=(WIDTH / _POINTS_AN_INCH, height / _POINTS_AN_INCH), layout="constrained")
        paint(figure)
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return _inline(file.getvalue(), alt, height, texts)


def stand_in(index: int, text: str) -> str:
    """A text about as wide as another, to paint in its place.

    What comes from the data may need letters that matplotlib's font lacks, of which it warns; the page has them.
    """
    wide = "".join(c if c.isascii() else "W" for c in text)
    mark = f"#{index:03}"
    return wide[len(mark) :] + mark


def _inline(svg: str, alt: str, height: float, texts: Sequence[str]) -> str:
    """Leave of a file what belongs into a page."""
    # The first defs hold a rule that would reach the whole page; it is in page.css, for plots alone.
    body = svg[svg.index("</defs>") + len("</defs>") :]
    body = re.sub(r'<g id="[^"]*"', "<g", body)  # numbered anew in each file, and nothing refers to them
    body = re.sub(r" font-family: [^;]*;", "", body)
    body = body.replace("xlink:href", "href")
    for colour, variable in _VARIABLES.items():
        body = body.replace(colour, f"var(--{variable})")
    body = re.sub(r">[^<>]*#(\d{3})<", lambda match: f">{html.escape(texts[int(match[1])])}<", body)
    return f'<svg class="drawn" viewBox="0 0 {WIDTH:g} {height:g}" role="img" aria-label="{html.escape(alt)}">{body}'
