"""A metric over runs: mean, sample standard deviation, interval."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, stdev
from typing import Any

from evaluation.estimate import is_alike
from evaluation.interval import LEVEL, Interval, quantile
from evaluation.report.metric import Metric


@dataclass(frozen=True)
class Summary:
    """A metric over the runs of an entry.

    Attributes:
        values: Of each run; None where it is undefined.
        mean: Their mean; None where one is undefined.
        std: Their sample standard deviation, over ``runs - 1``; None of one run.
        interval: Of several runs that of the mean over seeds, by Student's t; of one run its own over rows, as its
            report has it. The two answer different questions: how much another seed would change, and how much other
            rows would. Its ``method`` says which it is.
        reason: Why a mean or an interval is missing.
    """

    values: tuple[float | None, ...]
    mean: float | None
    std: float | None = None
    interval: Interval | None = None
    reason: str | None = None

    @classmethod
    def of(cls, metrics: Sequence[Metric]) -> "Summary":
        """Summarise one metric of some runs.

        The interval is ``mean ± t(.95, n - 1) std / sqrt(n)`` with t as :func:`evaluation.interval.quantile` has it,
        which for two runs makes the level 94.4 instead of 95 %.

        Args:
            metrics: One a run, at least one.
        """
        values = tuple(metric.value for metric in metrics)
        known = [value for value in values if value is not None]
        if len(known) < len(values):
            return cls(values, None, reason=next(metric.reason for metric in metrics if metric.value is None))
        mean, runs = fmean(known), len(known)
        if runs == 1:
            interval = metrics[0].interval
            return cls(values, mean, None, interval, metrics[0].reason or (None if interval else "one run"))
        std = stdev(known)
        if is_alike(mean, std):
            return cls(values, mean, std, reason="all runs are equal")
        reach = quantile(LEVEL, runs - 1) * std / math.sqrt(runs)
        return cls(values, mean, std, Interval(mean - reach, mean + reach, LEVEL, f"Student's t over {runs} runs"))

    @property
    def over_rows(self) -> bool:
        """Whether the interval is that of one run over rows, and not one over seeds."""
        return self.interval is not None and self.std is None

    def to_json_dict(self) -> dict[str, Any]:
        """The summary in types that strict JSON knows."""
        return {
            "mean": self.mean,
            "std": self.std,
            "interval": None if self.interval is None else asdict(self.interval),
            "reason": self.reason,
        }
