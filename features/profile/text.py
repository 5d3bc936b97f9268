"""Numbers and ranges of them as people read them."""

from collections.abc import Sequence
from itertools import pairwise


def number(value: float) -> str:
    """A number in four digits, in full from 10,000 to a billion: 12, 0.0421, 65,535, 1.2e+09."""
    return f"{value:,.0f}" if 9999.5 <= abs(value) < 1e9 else f"{value:.4g}"


def interval(low: float, high: float) -> str:
    """The numbers from one to another, both included."""
    first, last = number(low), number(high)
    return first if first == last else f"{first} \u2013 {last}"


def bucket_names(edges: Sequence[float]) -> list[str]:
    """What the buckets between edges hold; an edge belongs to the bucket above."""
    if not edges:
        return ["any number"]
    between = [f"{number(a)} \u2013 < {number(b)}" for a, b in pairwise(edges)]
    return [f"< {number(edges[0])}", *between, f"\u2265 {number(edges[-1])}"]
