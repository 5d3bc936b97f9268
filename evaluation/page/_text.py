"""Values and numbers as people read them."""

from common import text
from evaluation.interval import Interval

MINUS = "\u2212"


def number(value: float, *, signed: bool = False) -> str:
    """A number to four decimals, or in four digits where it is small: 0.7421, 0.004213, 65,535, 1.2e+09.

    Args:
        value: The number.
        signed: Whether it is a difference: it then has its sign, and five digits after the point.
    """
    if signed:
        shown = f"{value:+.5f}" if not value or abs(value) >= 1e-5 else f"{value:+.2g}"
    elif 0.1 <= abs(value) < 1000:
        shown = f"{value:.4f}"
    elif 0 < abs(value) < 0.1:
        shown = f"{value:#.4g}"
    else:
        shown = f"{value:,.0f}" if abs(value) < 1e9 else f"{value:.4g}"
    return shown.replace("-", MINUS)


def ends(interval: Interval, *, signed: bool = False) -> str:
    """Both ends of an interval: 0.7390 to 0.7452."""
    return f"{number(interval.low, signed=signed)} to {number(interval.high, signed=signed)}"


def percent(share: float) -> str:
    """A share in per cent that is not broken over two lines."""
    return text.percent(share).replace(" ", "\u00a0")


def level(share: float) -> str:
    """A confidence level: 95 %, 99.5 %."""
    return f"{100 * share:.6g}\u00a0%"
