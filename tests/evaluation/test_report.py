"""The report: every metric, or the reason why it has no value, as text and as strict JSON."""

import json
from typing import Any

import numpy as np
import pytest

from evaluation.auc import auc
from evaluation.calibration import calibration_ratio
from evaluation.gauc import gauc
from evaluation.logloss import logloss
from evaluation.report import Metric, evaluate

LABELS = np.array([1, 0, 0, 1, 0, 0], np.int8)
SCORES = np.array([0.75, 0.5, 0.25, 0.125, 0.25, 0.625], np.float32)
GROUPS = np.array([4, 4, 4, 9, 9, -1])
NAMES = ["auc", "logloss", "gauc", "calibration_ratio"]


def test_report_holds_each_metrics_own_answer() -> None:
    report = evaluate(LABELS, SCORES, GROUPS)
    assert (report.rows, report.positives, report.label_rate) == (6, 2, 2 / 6)
    assert report.mean_score == 2.5 / 6
    assert [metric.name for metric in report.metrics] == NAMES
    assert report.metric("auc").value == auc(LABELS, SCORES)
    assert report.metric("logloss").value == logloss(LABELS, SCORES)
    assert report.metric("calibration_ratio").value == calibration_ratio(LABELS, SCORES) == 1.25
    assert report.metric("gauc").value == gauc(LABELS, SCORES, GROUPS, "impressions").value
    assert report.metric("gauc").detail == {
        "weighting": "impressions",
        "groups_used": 2,
        "groups_one_class": 1,
        "rows_used": 5,
        "rows_one_class": 1,
    }
    assert all(metric.reason is None for metric in report.metrics)


def test_undefined_metrics_keep_their_reason_and_leave_the_others() -> None:
    report = evaluate([0, 0], np.array([0.5, 0.5]), [1, 1])
    assert report.metric("auc") == Metric("auc", None, reason="auc needs rows of both classes, but all 2 labels are 0")
    assert report.metric("calibration_ratio").reason == "calibration_ratio needs a positive row, but all 2 labels are 0"
    assert report.metric("gauc").reason == "gauc needs a group with rows of both classes, but none of the 1 has them"
    assert report.metric("logloss").value == pytest.approx(np.log(2))


def test_without_groups_gauc_is_undefined() -> None:
    assert evaluate(LABELS, SCORES).metric("gauc") == Metric(
        "gauc", None, reason="gauc needs a group for each row, and none is declared"
    )


def test_a_metric_that_is_not_there() -> None:
    with pytest.raises(KeyError, match="ndcg"):
        evaluate(LABELS, SCORES).metric("ndcg")


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for inner in value.values() for leaf in _leaves(inner)]
    return [value]


@pytest.mark.parametrize(
    ("labels", "scores", "groups"),
    [
        (LABELS, SCORES, GROUPS),
        (LABELS, SCORES, None),
        (np.zeros(3, bool), np.zeros(3), np.arange(3, dtype=np.uint64)),
        (np.ones(3), np.zeros(3, np.float32), np.arange(3)),
    ],
)
def test_json_is_strict_and_comes_back_equal(labels: Any, scores: Any, groups: Any) -> None:
    document = evaluate(labels, scores, groups).to_json_dict()
    assert {type(leaf) for leaf in _leaves(document)} <= {int, float, str, type(None)}
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_json_holds_every_field() -> None:
    document = evaluate(LABELS, SCORES).to_json_dict()
    assert list(document) == ["rows", "positives", "label_rate", "mean_score", "metrics"]
    assert list(document["metrics"]) == NAMES
    assert document["rows"] == 6
    assert document["metrics"]["calibration_ratio"] == {"value": 1.25, "reason": None, "detail": {}}
    assert document["metrics"]["gauc"] == {
        "value": None,
        "reason": "gauc needs a group for each row, and none is declared",
        "detail": {},
    }


def test_table_rows_are_formatted_text() -> None:
    labels = np.tile(LABELS, 300)
    # Each copy of the six rows has groups of its own.
    groups = np.tile(GROUPS, 300) + 100 * np.repeat(np.arange(300), 6)
    assert evaluate(labels, np.tile(SCORES, 300), groups).table_rows() == [
        ("rows", "1,800"),
        ("positives", "600"),
        ("label_rate", "0.33333"),
        ("mean_score", "0.41667"),
        ("auc", "0.50000"),
        ("logloss", f"{logloss(LABELS, SCORES):.5f}"),
        ("gauc", "0.60000 (600 groups; 300 of one class left out)"),
        ("calibration_ratio", "1.25000"),
    ]


def test_table_rows_say_why_a_value_is_missing() -> None:
    rows = dict(evaluate([1, 1], np.array([0.5, 0.5])).table_rows())
    assert rows["auc"] == "undefined: auc needs rows of both classes, but all 2 labels are 1"
    assert rows["calibration_ratio"] == "0.50000"
