"""Models compared on the same rows: paired differences with intervals."""

from dataclasses import asdict, dataclass
from typing import Any

from evaluation.interval import Interval


@dataclass(frozen=True)
class Difference:
    """How much one model's metric differs from another's on the same rows.

    Attributes:
        metric: The metric's name.
        first: The model that is judged.
        second: The model it is held against.
        value: The first's value less the second's; None when undefined.
        interval: Of the difference; None when there is none.
        p_value: Two-sided, that so great a difference comes by chance; None when there is none.
        reason: Why something is None.
    """

    metric: str
    first: str
    second: str
    value: float | None
    interval: Interval | None = None
    p_value: float | None = None
    reason: str | None = None

    def as_text(self) -> str:
        """The difference and its interval, formatted; ``undefined`` where there is none."""
        if self.value is None:
            return "undefined"
        return f"{self.value:+.5f}" + (f" ({self.interval.as_text(signed=True)})" if self.interval else "")


@dataclass(frozen=True)
class Comparison:
    """Several models on the same rows.

    Attributes:
        names: The models, in the order given.
        differences: Of each ordered pair of models and each metric.
        slices: Differences by ``(column, value)``, with intervals that hold for all slices of a column at once.
        live: The model that serves now.
        best: The model that goes live, or stays so.
        verdict: One sentence: which one that is, and on what evidence.
    """

    names: tuple[str, ...]
    differences: tuple[Difference, ...]
    slices: tuple[tuple[str, str, Difference], ...]
    live: str
    best: str
    verdict: str

    def to_json_dict(self) -> dict[str, Any]:
        """The comparison in types that strict JSON knows."""
        return {
            "models": list(self.names),
            "differences": [asdict(difference) for difference in self.differences],
            "slices": [
                {"column": column, "slice": value, **asdict(difference)} for column, value, difference in self.slices
            ],
            "live": self.live,
            "best": self.best,
            "verdict": self.verdict,
        }
