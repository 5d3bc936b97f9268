"""Everything that is known of one model's predictions."""

from dataclasses import dataclass
from typing import Any

from evaluation.report.curves import Curves
from evaluation.report.report import Report
from evaluation.report.slices import SliceTable


@dataclass(frozen=True)
class Evaluation:
    """One model on one set of rows.

    Attributes:
        title: The model and the rows, in a line.
        report: The metrics.
        curves: What is drawn.
        slices: A table a column asked for.
        times: Slices by a span of time, where there is a time column.
    """

    title: str
    report: Report
    curves: Curves
    slices: tuple[SliceTable, ...] = ()
    times: SliceTable | None = None

    def to_json_dict(self) -> dict[str, Any]:
        """The numbers in types that strict JSON knows, without the curves."""
        return {
            **self.report.to_json_dict(),
            "slices": [table.to_json_dict() for table in self.slices],
            "times": None if self.times is None else self.times.to_json_dict(),
        }
