"""Texts and shares as people read them."""

import unicodedata
from itertools import accumulate


def printable(text: str, *, longest: int = 60) -> str:
    """A text as it can be shown anywhere: control characters escaped, quoted where it is blank, cut where long.

    Args:
        text: Any text.
        longest: Widest that may be left, in Latin letters.
    """
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[: longest + 1])
    if not shown.strip():
        return repr(shown)
    if cells(shown) <= longest:
        return shown
    widths = accumulate(map(cells, shown))
    return shown[: sum(width < longest for width in widths)] + "\u2026"


def cells(text: str) -> int:
    """How many Latin letters a text is wide; a letter of Chinese, Japanese or Korean is two."""
    return sum(2 if unicodedata.east_asian_width(c) in "FW" else 1 for c in text)


def percent(share: float) -> str:
    """A share in per cent, in three digits: 12.3 %, 0.04 %. What is not quite none or all does not read as such."""
    if not share:
        return "0 %"
    if share < 1e-4:
        return "< 0.01 %"
    if 0.9995 <= share < 1:
        return "> 99.9 %"
    return f"{share * 100:#.3g}".removesuffix(".") + " %"
