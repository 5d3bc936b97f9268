"""A gate passes what keeps every rule, and nothing that is not known."""

import dataclasses
from pathlib import Path

import pytest
import yaml

from common.errors import ConfigError
from evaluation.interval import Interval
from evaluation.report.comparison import Comparison, Difference
from evaluation.report.curves import ClassHistogram, Curves
from evaluation.report.evaluation import Evaluation
from evaluation.report.gate import Outcome, judge, load_rules, require_measured
from evaluation.report.metric import Metric
from evaluation.report.report import Report
from evaluation.report.slices import Slice, SliceTable


def _interval(low: float, high: float) -> Interval:
    return Interval(low, high, 0.95, "by hand")


def _slice(value: str, auc: Metric) -> Slice:
    return Slice(value, 10, 0.5, 0.5, (auc,), {}, ())


EVALUATION = Evaluation(
    "by hand",
    Report(
        100, 50, 0.5, 0.5,
        (
            Metric("auc", 0.75, _interval(0.74, 0.76)),
            Metric("logloss", 0.5, None, "it is one row"),
            Metric("gauc", None, reason="no group has rows of both classes"),
            Metric("ndcg@10", 0.3, _interval(0.2, 0.4)),
        ),
    ),
    Curves(None, None, ClassHistogram((0.0, 1.0), False, (1.0,), (1.0,)), None, None),
    (
        SliceTable(
            "country",
            (
                _slice("de", Metric("auc", 0.8, _interval(0.7, 0.9))),
                _slice("fr", Metric("auc", None, reason="all labels are 0")),
            ),
            0, 0.95,
        ),
    ),
)  # fmt: skip


def _compared(metric: str, value: float, low: float, high: float) -> Comparison:
    difference = Difference(metric, "new", "old", value, _interval(low, high), 0.5)
    slices = (("country", "de", difference),)
    return Comparison(("new", "old"), (difference,), slices, "old", "old", "old stays live.")


def _judged(folder: Path, *rules: dict[str, object], comparison: Comparison | None = None) -> tuple[Outcome, ...]:
    path = folder / "rules.yaml"
    path.write_text(yaml.safe_dump({"rules": list(rules)}))
    return judge(load_rules(path), EVALUATION, comparison)


@pytest.mark.parametrize(
    ("rule", "passed"),
    [
        ({"metric": "auc", "at_least": 0.75}, True),
        ({"metric": "auc", "at_least": 0.7501}, False),
        ({"metric": "auc", "at_most": 0.75}, True),
        ({"metric": "auc", "at_least": 0.7, "at_most": 0.74}, False),
        ({"metric": "auc", "at_least": 0.745, "by": "interval"}, False),
        ({"metric": "auc", "at_least": 0.74, "at_most": 0.76, "by": "interval"}, True),
        ({"metric": "logloss", "at_most": 0.6}, True),
        ({"metric": "logloss", "at_most": 0.6, "by": "interval"}, False),
        ({"metric": "gauc", "at_least": 0.0}, False),
        ({"metric": "ndcg", "at_least": 0.25}, True),
        ({"metric": "ndcg@10", "at_least": 0.35}, False),
        ({"metric": "auc", "at_least": 0.75, "column": "country", "value": "de"}, True),
        ({"metric": "auc", "at_least": 0.75, "column": "country", "value": "es"}, False),
    ],
)
def test_bounds(tmp_path: Path, rule: dict[str, object], passed: bool) -> None:
    (outcome,) = _judged(tmp_path, rule)
    assert outcome.passed == passed


def test_without_a_value_every_slice_is_judged(tmp_path: Path) -> None:
    of_de, of_fr = _judged(tmp_path, {"metric": "auc", "at_least": 0.5, "column": "country"})
    assert (of_de.passed, of_fr.passed) == (True, False)
    assert "where country is fr" in of_fr.rule
    assert of_fr.found == "undefined (all labels are 0)"


def test_an_outcome_says_what_was_asked_and_found(tmp_path: Path) -> None:
    (outcome,) = _judged(tmp_path, {"metric": "auc", "at_least": 0.7, "at_most": 0.8, "by": "interval"})
    assert outcome == Outcome(
        "the interval of auc is at least 0.7 and at most 0.8", True, "0.75000 (0.74000 to 0.76000)"
    )


@pytest.mark.parametrize(
    ("metric", "low", "high", "passed"),
    [
        # better, not_worse, within a margin of .01
        ("auc", 0.001, 0.003, (True, True, True)),
        ("auc", -0.001, 0.003, (False, True, True)),
        ("auc", -0.02, 0.003, (False, True, False)),
        ("auc", -0.003, -0.001, (False, False, True)),
        ("auc", -0.03, -0.02, (False, False, False)),
        ("logloss", 0.001, 0.003, (False, False, True)),
        ("logloss", -0.003, -0.001, (True, True, True)),
        ("logloss", -0.001, 0.02, (False, True, False)),
    ],
)
def test_against_another_model(
    tmp_path: Path, metric: str, low: float, high: float, passed: tuple[bool, bool, bool]
) -> None:
    rules: list[dict[str, object]] = [
        {"metric": metric, "versus_other": "better"},
        {"metric": metric, "versus_other": "not_worse"},
        {"metric": metric, "versus_other": "within", "margin": 0.01},
    ]
    comparison = _compared(metric, (low + high) / 2, low, high)
    assert tuple(o.passed for o in _judged(tmp_path, *rules, comparison=comparison)) == passed
    in_slice = [{**rule, "column": "country"} for rule in rules]
    assert tuple(o.passed for o in _judged(tmp_path, *in_slice, comparison=comparison)) == passed


def test_a_difference_without_interval_does_not_pass(tmp_path: Path) -> None:
    difference = Difference("auc", "new", "old", None, reason="all labels are 0")
    comparison = Comparison(("new", "old"), (difference,), (), "old", "old", "old stays live.")
    (outcome,) = _judged(tmp_path, {"metric": "auc", "versus_other": "not_worse"}, comparison=comparison)
    assert outcome == Outcome("auc is not shown to be worse than that of old", False, "undefined (all labels are 0)")


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"metric": "auk", "at_least": 0.5}, "there is no metric 'auk'; did you mean 'auc'?"),
        ({"metric": "auc"}, "needs at_least or at_most or both, or else versus_other"),
        ({"metric": "auc", "at_least": 0.5, "versus_other": "better"}, "or else versus_other"),
        ({"metric": "auc", "atleast": 0.5}, "unknown key 'atleast'"),
        ({"metric": "auc", "at_least": "high"}, "at_least"),
        ({"metric": "auc", "versus_other": "within"}, "margin belongs to"),
        ({"metric": "auc", "versus_other": "within", "margin": -0.1}, "margin must be at least 0"),
        ({"metric": "calibration_ratio", "versus_other": "better"}, "has no better side"),
        ({"metric": "auc", "at_least": 0.5, "value": "de"}, "value needs the column"),
        ({"metric": "auc", "at_least": 0.5, "column": "city"}, "add --by city"),
        ({"metric": "logloss", "at_least": 0.5, "column": "country"}, "not measured there"),
        ({"metric": "mrr", "at_least": 0.5}, "'mrr', which was not measured there"),
        ({"metric": "auc", "versus_other": "better"}, "none is given; add --compare"),
    ],
)
def test_a_wrong_rule_is_refused(tmp_path: Path, rule: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError) as problem:
        _judged(tmp_path, rule)
    assert words in str(problem.value)


def test_a_rule_that_was_not_compared_is_refused(tmp_path: Path) -> None:
    comparison = _compared("auc", 0.1, 0.0, 0.2)
    with pytest.raises(ConfigError, match="models are not compared by 'brier'"):
        _judged(tmp_path, {"metric": "brier", "versus_other": "better"}, comparison=comparison)
    with pytest.raises(ConfigError, match="add --by city"):
        _judged(tmp_path, {"metric": "auc", "versus_other": "better", "column": "city"}, comparison=comparison)


def test_rules_on_what_will_not_be_measured_are_refused_beforehand(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text("rules: [{metric: auc, at_least: 0.5, column: city}, {metric: auc, versus_other: better}]")
    rules = load_rules(path)
    require_measured(rules, ["city"], compared=True)
    with pytest.raises(ConfigError, match="add --by city"):
        require_measured(rules, ["country"], compared=True)
    with pytest.raises(ConfigError, match="add --compare"):
        require_measured(rules, ["city"], compared=False)


def test_a_rule_shows_a_slice_in_one_line(tmp_path: Path) -> None:
    odd = SliceTable("country", (_slice("a\nb", Metric("auc", 0.8)), _slice("", Metric("auc", 0.8))), 0, 0.95)
    path = tmp_path / "rules.yaml"
    path.write_text("rules: [{metric: auc, at_least: 0.5, column: country}]")
    outcomes = judge(load_rules(path), dataclasses.replace(EVALUATION, slices=(odd,)), None)
    assert [outcome.rule for outcome in outcomes] == [
        "auc where country is a\\nb is at least 0.5",
        "auc where country is '' is at least 0.5",
    ]
