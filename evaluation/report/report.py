"""The report on one set of predictions: every metric, for people and for machines."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from evaluation._inputs import checked_labels, checked_probabilities
from evaluation.auc import auc
from evaluation.calibration import calibration_ratio
from evaluation.gauc import gauc
from evaluation.logloss import logloss
from evaluation.undefined import UndefinedMetric

Detail = Mapping[str, int | float | str]


@dataclass(frozen=True)
class Metric:
    """One metric's outcome.

    Attributes:
        name: The metric's name, such as ``auc``.
        value: Its value, or None when the data leaves it undefined.
        reason: Why there is no value; None when there is one.
        detail: What the value rests on, such as counts of groups.
    """

    name: str
    value: float | None
    reason: str | None = None
    detail: Detail = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """What a set of predictions is worth.

    Attributes:
        rows: Rows evaluated.
        positives: Rows whose label is 1.
        label_rate: ``positives / rows``.
        mean_score: Mean prediction; equal to the label rate when the model is calibrated on the whole.
        metrics: ``auc``, ``logloss``, ``gauc`` and ``calibration_ratio``, each there even when undefined.
    """

    rows: int
    positives: int
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
            The report's fields; ``metrics`` maps each name to ``{value, reason, detail}``.
        """
        return {
            "rows": self.rows,
            "positives": self.positives,
            "label_rate": self.label_rate,
            "mean_score": self.mean_score,
            "metrics": {m.name: {"value": m.value, "reason": m.reason, "detail": dict(m.detail)} for m in self.metrics},
        }

    def table_rows(self) -> list[tuple[str, str]]:
        """The report as formatted text, a name and a value a row, for the command line to render."""
        return [
            ("rows", f"{self.rows:,}"),
            ("positives", f"{self.positives:,}"),
            ("label_rate", f"{self.label_rate:.5f}"),
            ("mean_score", f"{self.mean_score:.5f}"),
            *((metric.name, _as_text(metric)) for metric in self.metrics),
        ]


def evaluate(labels: npt.ArrayLike, scores: npt.ArrayLike, groups: npt.ArrayLike | None = None) -> Report:
    """Compute every metric of a set of predictions.

    Args:
        labels: 0 or 1 a row, shape ``(rows,)``, of any boolean, integer or floating dtype.
        scores: Predicted probabilities of a 1, shape ``(rows,)``, float32 or float64.
        groups: Integers, shape ``(rows,)``, whose equal values form a group for ``gauc``; without them it is undefined.

    Returns:
        The report. A metric that the data leaves undefined is there without a value.

    Raises:
        DataError: The inputs break one of the rules above.
    """
    is_positive = checked_labels(labels)
    predictions = checked_probabilities(scores, is_positive.size)
    positives = int(is_positive.sum())

    def grouped() -> tuple[float, Detail]:
        if groups is None:
            raise UndefinedMetric("gauc needs a group for each row, and none is declared")
        detail = asdict(gauc(is_positive, predictions, groups))
        return detail.pop("value"), detail

    return Report(
        rows=is_positive.size,
        positives=positives,
        label_rate=positives / is_positive.size,
        mean_score=float(predictions.mean(dtype=np.float64)),
        metrics=(
            _measure("auc", lambda: (auc(is_positive, predictions), {})),
            _measure("logloss", lambda: (logloss(is_positive, predictions), {})),
            _measure("gauc", grouped),
            _measure("calibration_ratio", lambda: (calibration_ratio(is_positive, predictions), {})),
        ),
    )


def _measure(name: str, compute: Callable[[], tuple[float, Detail]]) -> Metric:
    """Run one metric and keep the reason when it is undefined."""
    try:
        value, detail = compute()
    except UndefinedMetric as problem:
        return Metric(name, None, reason=str(problem))
    return Metric(name, value, detail=detail)


def _as_text(metric: Metric) -> str:
    if metric.value is None:
        return f"undefined: {metric.reason}"
    text = f"{metric.value:.5f}"
    if metric.name == "gauc":
        text += (
            f" ({metric.detail['groups_used']:,} groups; {metric.detail['groups_one_class']:,} of one class left out)"
        )
    return text
