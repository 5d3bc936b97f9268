"""What a log tells of a policy that did not write it: the estimates, and how far to trust them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy.typing as npt

from evaluation.counterfactual.doubly_robust import doubly_robust_of
from evaluation.counterfactual.ips import ips_of
from evaluation.counterfactual.logged_rows import LABEL, RAW, LoggedRows
from evaluation.counterfactual.snips import snips_of
from evaluation.estimate import Estimate
from evaluation.interval import LEVEL, logit_interval

_EFFECTIVE_SHARE = 0.1
_EFFECTIVE_CLICKS = 30
_ALARM_LEVEL = 0.99
# Probabilities written with three digits may add up to so much less than 1, or more.
_ROUNDING = 1e-3


@dataclass(frozen=True)
class CounterfactualReport:
    """The click rate that a target policy would have had on the requests of a log.

    Attributes:
        rows: Rows of the log.
        logged_rate: The click rate of the policy that wrote the log.
        estimates: The target policy's, by estimator: ``ips``, ``snips`` and, given predictions, ``doubly_robust``.
        effective_rows: So many rows of equal weight would tell as much (Kish).
        effective_clicks: The same of the clicked rows alone.
        mean_weight: Of the weights before clipping: 1, up to noise, where all is as it should be.
        largest_share: The share of all weight that the heaviest row has.
        clip: The greatest weight allowed; None where any was.
        clipped: Rows whose weight was cut down to it.
        warnings: Why to doubt the estimates, a sentence each.
    """

    rows: int
    logged_rate: Estimate
    estimates: Mapping[str, Estimate]
    effective_rows: float
    effective_clicks: float
    mean_weight: Estimate
    largest_share: float
    clip: float | None
    clipped: int
    warnings: tuple[str, ...]

    def to_json_dict(self) -> dict[str, Any]:
        """The report in types that strict JSON knows: its fields, an estimate as ``{value, interval, reason}``."""
        return {
            "rows": self.rows,
            "logged_rate": _as_json(self.logged_rate),
            "estimates": {name: _as_json(estimate) for name, estimate in self.estimates.items()},
            "effective_rows": self.effective_rows,
            "effective_clicks": self.effective_clicks,
            "mean_weight": _as_json(self.mean_weight),
            "largest_share": self.largest_share,
            "clip": self.clip,
            "clipped": self.clipped,
            "warnings": list(self.warnings),
        }

    def table_rows(self) -> list[tuple[str, str, str]]:
        """The report without its warnings as formatted text: a name, a value and its interval a row."""
        share = f"{self.effective_rows / self.rows:.1%} of the rows"
        return [
            ("rows", f"{self.rows:,}", ""),
            ("logged_rate", *_as_text(self.logged_rate)),
            *((name, *_as_text(estimate)) for name, estimate in self.estimates.items()),
            ("effective_rows", f"{self.effective_rows:,.0f}", share),
            ("effective_clicks", f"{self.effective_clicks:,.1f}", ""),
            ("mean_weight", *_as_text(self.mean_weight)),
            ("largest_share", f"{self.largest_share:.5f}", ""),
            *([("clipped", f"{self.clipped:,}", f"to {self.clip:g}")] if self.clip is not None else []),
        ]


def counterfactual(
    labels: npt.ArrayLike,
    propensities: npt.ArrayLike,
    target_probabilities: npt.ArrayLike,
    predicted: npt.ArrayLike | None = None,
    predicted_target: npt.ArrayLike | None = None,
    *,
    clip: float | None = None,
    level: float = LEVEL,
) -> CounterfactualReport:
    """Estimate the click rate of a target policy from a log of another policy.

    What the logging policy never shows cannot be learned from its log: candidates that the target policy would show and
    the logging policy would not are in no row, and only a mean weight below 1 hints at them.

    Args:
        labels: 1 where the shown candidate was clicked, else 0, shape ``(rows,)``.
        propensities: Probability, above 0 and up to 1, with which the logging policy showed it, shape ``(rows,)``.
        target_probabilities: Probability with which the target policy would have shown it, shape ``(rows,)``.
        predicted: A reward model's click probability of the shown candidate, made without this row's label.
        predicted_target: That model's mean click probability over the target policy's choice for this request.
        clip: The greatest weight allowed; None allows any.
        level: Confidence level of the intervals.

    Returns:
        The report, with ``doubly_robust`` where there are predictions.

    Raises:
        UndefinedMetric: All target probabilities are 0.
        ConfigError: The clip or the level is out of range.
        DataError: The inputs break one of the rules above.
    """
    log = LoggedRows.of(labels, propensities, target_probabilities, predicted, predicted_target, clip=clip)
    return counterfactual_of(log, level=level)


def counterfactual_of(log: LoggedRows, *, level: float = LEVEL) -> CounterfactualReport:
    """The same of rows already gathered.

    Raises:
        UndefinedMetric: There are no rows, or all target probabilities are 0.
    """
    estimates = {"ips": ips_of(log, level=level), "snips": snips_of(log, level=level)}
    if log.predicted:
        estimates["doubly_robust"] = doubly_robust_of(log, level=level)
    return CounterfactualReport(
        rows=log.rows,
        logged_rate=log.estimate(
            log.mean(LABEL), LABEL, method="variance of rows", level=level, interval=logit_interval
        ),
        estimates=estimates,
        effective_rows=log.effective_rows,
        effective_clicks=log.effective_clicks,
        mean_weight=log.estimate(log.mean(RAW), RAW, method="variance of rows", level=level),
        largest_share=log.largest_share,
        clip=log.clip,
        clipped=log.clipped,
        warnings=tuple(_warnings(log)),
    )


def _warnings(log: LoggedRows) -> list[str]:
    found = []
    share = log.effective_rows / log.rows
    if share < _EFFECTIVE_SHARE:
        found.append(
            f"The weights make {log.rows:,} rows worth {log.effective_rows:,.0f} ({share:.1%}): the target policy is "
            "far from the one that wrote the log, and a few rows decide the estimates."
        )
    if log.effective_clicks < _EFFECTIVE_CLICKS:
        found.append(
            f"The estimates rest on {log.effective_clicks:,.1f} effective clicks; below {_EFFECTIVE_CLICKS} their "
            "intervals are rough."
        )
    mean = log.estimate(log.mean(RAW), RAW, method="variance of rows", level=_ALARM_LEVEL)
    is_noise = mean.interval is not None and mean.interval.holds(1)
    if abs(mean.value - 1) > _ROUNDING and not is_noise:
        found.append(
            f"The mean weight is {mean.value:.4f} where 1 is due: the propensities are wrong, or the target policy "
            "would show what the log's policy never does."
        )
    if log.clipped:
        found.append(
            f"{log.clipped:,} of {log.rows:,} weights were cut down to {log.clip:g}: the estimates lean away from what "
            "those rows tell, and the intervals do not know it."
        )
    return found


def _as_json(estimate: Estimate) -> dict[str, Any]:
    interval = None if estimate.interval is None else asdict(estimate.interval)
    return {"value": estimate.value, "interval": interval, "reason": estimate.reason}


def _as_text(estimate: Estimate) -> tuple[str, str]:
    return f"{estimate.value:.5f}", estimate.interval.as_text() if estimate.interval else estimate.reason or ""
