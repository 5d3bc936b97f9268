"""The report on one set of predictions: every metric, for people and for machines."""

from dataclasses import dataclass
from typing import Any

from evaluation.report.metric import Metric


@dataclass(frozen=True)
class Report:
    """What a set of predictions is worth.

    Attributes:
        rows: Rows evaluated, without those of weight 0.
        positives: Rows whose label is 1, or the sum of their weights.
        label_rate: Share of label 1.
        mean_score: Mean prediction; equal to the label rate when the model is calibrated on the whole.
        metrics: In a fixed order, each there even when undefined.
    """

    rows: int
    positives: int | float
    label_rate: float
    mean_score: float
    metrics: tuple[Metric, ...]

    def metric(self, name: str) -> Metric:
        """The metric of a name.

        Raises:
            KeyError: There is none.
        """
        return {metric.name: metric for metric in self.metrics}[name]

    def to_json_dict(self) -> dict[str, Any]:
        """The report in types that strict JSON knows: no NaN, undefined values are null beside their reason.

        Returns:
            The report's fields; ``metrics`` maps each name to ``{value, interval, reason, detail}``.
        """
        return {
            "rows": self.rows,
            "positives": self.positives,
            "label_rate": self.label_rate,
            "mean_score": self.mean_score,
            "metrics": {metric.name: metric.to_json_dict() for metric in self.metrics},
        }

    def table_rows(self) -> list[tuple[str, str, str, str]]:
        """The report as formatted text for the command line: a name, a value, its interval and what it rests on."""
        return [
            ("rows", f"{self.rows:,}", "", ""),
            ("positives", f"{self.positives:,}", "", ""),
            ("label_rate", f"{self.label_rate:.5f}", "", ""),
            ("mean_score", f"{self.mean_score:.5f}", "", ""),
            *((metric.name, *metric.as_text(), metric.rests_on()) for metric in self.metrics),
        ]
