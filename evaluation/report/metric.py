"""One metric of a report: a value with its interval, or the reason why there is none."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from evaluation.estimate import Detail, Estimate
from evaluation.interval import Interval
from evaluation.undefined import UndefinedMetric


@dataclass(frozen=True)
class Metric:
    """One metric's outcome.

    Attributes:
        name: The metric's name, such as ``auc``.
        value: Its value, or None when the data leaves it undefined.
        interval: Its confidence interval, or None.
        reason: Why there is no value, or no interval; None when nothing is missing.
        detail: What the value rests on, such as counts of groups.
    """

    name: str
    value: float | None
    interval: Interval | None = None
    reason: str | None = None
    detail: Detail = field(default_factory=dict)

    @classmethod
    def measure(cls, name: str, compute: Callable[[], Estimate]) -> "Metric":
        """Run a metric and keep the reason when it is undefined."""
        try:
            found = compute()
        except UndefinedMetric as problem:
            return cls(name, None, reason=str(problem))
        return cls(name, found.value, found.interval, found.reason, found.detail)

    def as_text(self) -> tuple[str, str]:
        """The value and its interval, formatted, or why they are missing."""
        if self.value is None:
            return "undefined", self.reason or ""
        return f"{self.value:.5f}", self.interval.as_text() if self.interval else self.reason or ""

    def rests_on(self) -> str:
        """The detail as text, such as ``groups used 600, groups one class 300``."""
        return ", ".join(f"{name.replace('_', ' ')} {_number(value)}" for name, value in self.detail.items())

    def to_json_dict(self) -> dict[str, Any]:
        """The metric without its name, in types that strict JSON knows."""
        return {
            "value": self.value,
            "interval": None if self.interval is None else asdict(self.interval),
            "reason": self.reason,
            "detail": dict(self.detail),
        }


def _number(value: int | float | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
