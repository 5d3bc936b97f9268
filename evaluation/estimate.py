"""What a metric's function answers: a value, its interval, and what both rest on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from evaluation.interval import Interval, normal_interval, two_sided_p

Detail: TypeAlias = Mapping[str, int | float | str]

ALIKE = "all rows contribute alike, so nothing tells how far the value may be off"
"""Why there is no interval where the standard error is 0."""


@dataclass(frozen=True)
class Estimate:
    """A metric's value on some rows.

    Attributes:
        value: The value.
        interval: Its confidence interval; None where there is none.
        reason: Why there is no interval; None when there is one, or when the metric never has one.
        detail: What the value rests on, such as counts of groups: numbers and texts by name.
    """

    value: float
    interval: Interval | None = None
    reason: str | None = None
    detail: Detail = field(default_factory=dict)


@dataclass(frozen=True)
class PairedDifference:
    """How much one model's metric differs from another's on the same rows.

    Attributes:
        value: The first model's metric less the second's.
        interval: Its confidence interval; None where there is none.
        p_value: Two-sided, that so great a difference comes by chance; None where there is none.
        reason: Why there is no interval.
    """

    value: float
    interval: Interval | None = None
    p_value: float | None = None
    reason: str | None = None


def is_alike(value: float, error: float) -> bool:
    """Whether a standard error is 0 up to rounding, so that nothing is known of how far a value may be off."""
    return error <= 1e-12 * abs(value)


def normal_difference(value: float, error: float, level: float, method: str, *, alike: str = ALIKE) -> PairedDifference:
    """A difference with its normal interval and test, or with the reason why it has neither.

    Two models that do not differ in any row have the interval from 0 to 0 and the p-value 1.

    Args:
        value: The difference.
        error: Its standard error, at least 0.
        level: Confidence level.
        method: What the standard error is.
        alike: The reason where it is 0 but the difference is not.
    """
    if value and is_alike(value, error):
        return PairedDifference(value, reason=alike)
    return PairedDifference(value, normal_interval(value, error, level, method), two_sided_p(value, error))
