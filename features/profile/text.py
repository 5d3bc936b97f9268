"""Values, numbers and shares as people read them."""

from collections.abc import Sequence
from itertools import pairwise

_LONGEST = 60


def printable(text: str) -> str:
    """A text as it can be shown anywhere: control characters escaped, quoted where it is blank, cut where long."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    if not shown.strip():
        return repr(shown)
    return shown if len(shown) <= _LONGEST else shown[: _LONGEST - 1] + "\u2026"


def number(value: float) -> str:
    """A number in four digits, in full from 10,000 to a billion: 12, 0.0421, 65,535, 1.2e+09."""
    return f"{value:,.0f}" if 9999.5 <= abs(value) < 1e9 else f"{value:.4g}"


def interval(low: float, high: float) -> str:
    """The numbers from one to another, both included."""
    first, last = number(low), number(high)
    return first if first == last else f"{first} \u2013 {last}"


def percent(share: float) -> str:
    """A share in per cent, in three digits: 12.3 %, 0.04 %. What is not quite none or all does not read as such."""
    if not share:
        return "0 %"
    if share < 1e-4:
        return "< 0.01 %"
    if 0.9995 <= share < 1:
        return "> 99.9 %"
    return f"{share * 100:#.3g}".removesuffix(".") + " %"


def bucket_names(edges: Sequence[float]) -> list[str]:
    """What the buckets between edges hold; an edge belongs to the bucket above."""
    if not edges:
        return ["any number"]
    between = [f"{number(a)} \u2013 < {number(b)}" for a, b in pairwise(edges)]
    return [f"< {number(edges[0])}", *between, f"\u2265 {number(edges[-1])}"]
