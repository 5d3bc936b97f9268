"""Rules that a model must keep before it goes live."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import model_validator

from common.errors import ConfigError, did_you_mean
from common.settings import Settings, read_mapping, validate
from common.text import printable
from evaluation.report.comparison import Comparison, Difference
from evaluation.report.evaluation import Evaluation
from evaluation.report.metric import Metric
from evaluation.report.names import direction


class Rule(Settings):
    """One rule of a rule file: a metric, where it is looked at, and a demand.

    Attributes:
        metric: The metric, such as ``auc``.
        at_least: The least value allowed.
        at_most: The greatest value allowed.
        versus_other: Against the other model (``--compare``): ``better`` wants the interval of the difference wholly
            on the better side, ``not_worse`` wants it not wholly on the worse side, ``within`` wants its worse end no
            further than ``margin`` (non-inferiority).
        margin: How much worse ``within`` allows.
        by: Whether ``at_least`` and ``at_most`` hold for the value, or for the whole interval.
        column: Look at the slices of this column instead of at all rows.
        value: The one slice to look at; every slice of the column without it.
    """

    metric: str
    at_least: float | None = None
    at_most: float | None = None
    versus_other: Literal["better", "not_worse", "within"] | None = None
    margin: float | None = None
    by: Literal["value", "interval"] = "value"
    column: str | None = None
    value: str | None = None

    @model_validator(mode="after")
    def _whole(self) -> "Rule":
        demands = [self.at_least is not None or self.at_most is not None, self.versus_other is not None]
        if sum(demands) != 1:
            raise ValueError("a rule needs at_least or at_most or both, or else versus_other")
        if (self.versus_other == "within") != (self.margin is not None):
            raise ValueError("margin belongs to versus_other: within, and is needed there")
        if self.margin is not None and self.margin < 0:
            raise ValueError("margin must be at least 0")
        if self.value is not None and self.column is None:
            raise ValueError("value needs the column it is a value of")
        try:
            better = direction(self.metric)
        except ConfigError as problem:
            raise ValueError(str(problem)) from None
        if self.versus_other is not None and better == "near 1":
            raise ValueError(f"{self.metric} has no better side; use at_least and at_most")
        return self


class Rules(Settings):
    """A rule file."""

    rules: tuple[Rule, ...]


@dataclass(frozen=True)
class Outcome:
    """What became of one rule.

    Attributes:
        rule: The rule as a sentence, such as ``auc is at least 0.75``.
        passed: Whether it is kept.
        found: What was found, as text, such as ``0.74210 (0.73900 to 0.74520)``.
    """

    rule: str
    passed: bool
    found: str

    def to_json_dict(self) -> dict[str, Any]:
        """The outcome in types that strict JSON knows."""
        return asdict(self)


def load_rules(path: Path) -> Rules:
    """Read a rule file.

    Raises:
        ConfigError: It is missing, names an unknown metric or key, or asks for nothing.
    """
    return validate(Rules, read_mapping(path, ConfigError), source=str(path), error=ConfigError)


def require_measured(rules: Rules, columns: Collection[str], *, compared: bool) -> None:
    """Refuse rules on slices or differences that are not made; may be asked before anything is.

    Args:
        rules: The rules.
        columns: Columns whose slices are made.
        compared: Whether the model is compared with another.

    Raises:
        ConfigError: A rule looks at slices of another column, or at another model.
    """
    for rule in rules.rules:
        if rule.versus_other is not None and not compared:
            raise ConfigError(f"a rule holds {rule.metric} against another model, and none is given; add --compare")
        if rule.column is not None and rule.column not in columns:
            raise ConfigError(f"a rule looks at slices of {rule.column!r}, which are not made; add --by {rule.column}")


def judge(rules: Rules, evaluation: Evaluation, comparison: Comparison | None) -> tuple[Outcome, ...]:
    """Hold a model against rules.

    A metric without a value, or without the interval a rule asks for, fails it: what is not known is not passed.

    Args:
        rules: The rules.
        evaluation: The model.
        comparison: With another model: the model is its first name, the other its second. None where there is none.

    Raises:
        ConfigError: A rule looks at what was not measured: a column without slices, another model, a metric.
    """
    require_measured(rules, {table.column for table in evaluation.slices}, compared=comparison is not None)
    return tuple(outcome for rule in rules.rules for outcome in _outcomes(rule, evaluation, comparison))


def _outcomes(rule: Rule, evaluation: Evaluation, comparison: Comparison | None) -> Iterable[Outcome]:
    if comparison is not None and rule.versus_other is not None:
        for place, difference in _differences(rule, comparison):
            yield _versus(rule, place, difference)
    else:
        for place, metric in _metrics(rule, evaluation):
            yield _bounded(rule, place, metric)


def _metrics(rule: Rule, evaluation: Evaluation) -> Iterable[tuple[str, Metric]]:
    if rule.column is None:
        return [("", _named(rule.metric, evaluation.report.metrics))]
    places = [
        (f" where {rule.column} is {printable(some.value)}", _named(rule.metric, some.metrics))
        for table in evaluation.slices
        if table.column == rule.column
        for some in table.slices
        if rule.value in (None, some.value)
    ]
    return places or [(_absent(rule), Metric(rule.metric, None, reason="there are no such rows"))]


def _differences(rule: Rule, comparison: Comparison) -> Iterable[tuple[str, Difference]]:
    first, second = comparison.names[:2]

    def fits(difference: Difference) -> bool:
        return (difference.metric, difference.first, difference.second) == (rule.metric, first, second)

    if rule.column is None:
        found = [("", some) for some in comparison.differences if fits(some)]
        if not found:
            known = {some.metric for some in comparison.differences}
            raise ConfigError(f"models are not compared by {rule.metric!r}; {did_you_mean(rule.metric, known)}")
        return found
    of_column = [(value, some) for column, value, some in comparison.slices if column == rule.column and fits(some)]
    if not of_column:
        known = {some.metric for _, _, some in comparison.slices}
        raise ConfigError(f"slices are not compared by {rule.metric!r}; {did_you_mean(rule.metric, known)}")
    places = [
        (f" where {rule.column} is {printable(value)}", some)
        for value, some in of_column
        if rule.value in (None, value)
    ]
    absent = Difference(rule.metric, first, second, None, reason="there are no such rows")
    return places or [(_absent(rule), absent)]


def _named(name: str, metrics: Sequence[Metric]) -> Metric:
    # A rule may leave out the k that a report's name has: ndcg for ndcg@10.
    for metric in metrics:
        if name in (metric.name, metric.name.partition("@")[0]):
            return metric
    raise ConfigError(
        f"a rule looks at {name!r}, which was not measured there; {did_you_mean(name, [m.name for m in metrics])}"
    )


def _absent(rule: Rule) -> str:
    return f" where {rule.column} is {printable(rule.value or '')}"


def _bounded(rule: Rule, place: str, metric: Metric) -> Outcome:
    bounds = [
        *([f"at least {rule.at_least:g}"] if rule.at_least is not None else []),
        *([f"at most {rule.at_most:g}"] if rule.at_most is not None else []),
    ]
    whose = f"the interval of {metric.name}" if rule.by == "interval" else metric.name
    sentence = f"{whose}{place} is {' and '.join(bounds)}"
    value, interval = metric.as_text()
    found = f"{value} ({interval})" if interval else value
    if metric.value is None:
        return Outcome(sentence, False, found)
    low = high = metric.value
    if rule.by == "interval":
        if metric.interval is None:
            return Outcome(sentence, False, f"{value}, and no interval: {metric.reason or 'this metric has none'}")
        low, high = metric.interval.low, metric.interval.high
    passed = (rule.at_least is None or low >= rule.at_least) and (rule.at_most is None or high <= rule.at_most)
    return Outcome(sentence, passed, found)


def _versus(rule: Rule, place: str, difference: Difference) -> Outcome:
    assert rule.versus_other is not None
    margin = rule.margin or 0.0
    demand = {
        "better": "is shown to be better than",
        "not_worse": "is not shown to be worse than",
        "within": f"is at most {margin:g} worse than",
    }[rule.versus_other]
    sentence = f"{difference.metric}{place} {demand} that of {difference.second}"
    if difference.value is None or difference.interval is None:
        return Outcome(sentence, False, f"undefined ({difference.reason or 'no interval'})")
    low, high = difference.interval.low, difference.interval.high
    if direction(difference.metric) == "lower":
        low, high = -high, -low
    passed = {"better": low > 0, "not_worse": high >= 0, "within": low >= -margin}
    return Outcome(sentence, passed[rule.versus_other], difference.as_text())
