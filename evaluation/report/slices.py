"""A model judged apart on each value of a column, and over time."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from evaluation.interval import Interval
from evaluation.report.metric import Metric


@dataclass(frozen=True)
class Slice:
    """The rows that have one value of a column.

    Attributes:
        value: The value, as text.
        rows: Rows, without those of weight 0.
        label_rate: Share of label 1 (by weight).
        mean_score: Mean score (by weight).
        metrics: ``auc``, ``logloss`` and ``calibration_ratio``, each there even when undefined.
        simultaneous: Intervals by metric that hold for all slices of the table at once (Bonferroni).
        flagged: Metrics whose simultaneous interval leaves out what is expected: for ``auc`` the value of all rows,
            for ``calibration_ratio`` 1.
    """

    value: str
    rows: int
    label_rate: float
    mean_score: float
    metrics: tuple[Metric, ...]
    simultaneous: Mapping[str, Interval]
    flagged: tuple[str, ...]

    def metric(self, name: str) -> Metric:
        """The metric of a name.

        Raises:
            KeyError: There is none.
        """
        return {metric.name: metric for metric in self.metrics}[name]

    def to_json_dict(self) -> dict[str, Any]:
        """The slice in types that strict JSON knows."""
        return {
            "value": self.value,
            "rows": self.rows,
            "label_rate": self.label_rate,
            "mean_score": self.mean_score,
            "metrics": {metric.name: metric.to_json_dict() for metric in self.metrics},
            "simultaneous": {name: asdict(interval) for name, interval in self.simultaneous.items()},
            "flagged": list(self.flagged),
        }


@dataclass(frozen=True)
class SliceTable:
    """The slices of a column.

    Attributes:
        column: The column.
        slices: The largest first; of a time column, in order of time.
        left_out: Values that are not shown, for there were too many.
        level: Of the intervals, each and all at once.
    """

    column: str
    slices: tuple[Slice, ...]
    left_out: int
    level: float

    def to_json_dict(self) -> dict[str, Any]:
        """The table in types that strict JSON knows."""
        return {
            "column": self.column,
            "level": self.level,
            "left_out": self.left_out,
            "slices": [some.to_json_dict() for some in self.slices],
        }
