"""What a metric's function answers: a value, its interval, and what both rest on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from evaluation.interval import Interval

Detail: TypeAlias = Mapping[str, int | float | str]


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
