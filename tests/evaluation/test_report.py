"""The report: every metric, or the reason why it has no value, as text and as strict JSON."""

import json
import pickle
from typing import Any

import numpy as np
import pytest

from common.errors import DataError
from evaluation.metrics.auc import auc
from evaluation.metrics.brier import brier
from evaluation.metrics.calibration import calibration_ratio
from evaluation.metrics.calibration_error import calibration_error
from evaluation.metrics.gauc import gauc
from evaluation.metrics.logloss import logloss
from evaluation.metrics.normalised_entropy import normalised_entropy
from evaluation.metrics.pr_auc import pr_auc
from evaluation.metrics.ranking import hit_rate, mrr, ndcg
from evaluation.report.measure import evaluate, report_of
from evaluation.report.metric import Metric
from evaluation.state.grouped_rows import GroupedRows
from evaluation.state.score_distribution import ScoreDistribution

LABELS = np.array([1, 0, 0, 1, 0, 0], np.int8)
SCORES = np.array([0.75, 0.5, 0.25, 0.125, 0.25, 0.625], np.float32)
GROUPS = np.array([4, 4, 4, 9, 9, -1])
NAMES = [
    "auc", "pr_auc", "logloss", "normalised_entropy", "brier", "calibration_ratio", "ece", "ece_equal_width", "gauc",
]  # fmt: skip
GROUPED = ["gauc_positives", "gauc_plain"]


def test_report_holds_each_metrics_own_answer() -> None:
    report = evaluate(LABELS, SCORES, GROUPS)
    assert (report.rows, report.positives, report.label_rate) == (6, 2, 2 / 6)
    assert report.mean_score == 2.5 / 6
    assert [metric.name for metric in report.metrics] == NAMES + GROUPED
    answers = {
        "auc": auc(LABELS, SCORES),
        "pr_auc": pr_auc(LABELS, SCORES),
        "logloss": logloss(LABELS, SCORES),
        "normalised_entropy": normalised_entropy(LABELS, SCORES),
        "brier": brier(LABELS, SCORES),
        "calibration_ratio": calibration_ratio(LABELS, SCORES),
        "ece": calibration_error(LABELS, SCORES),
        "ece_equal_width": calibration_error(LABELS, SCORES, binning="width"),
        "gauc": gauc(LABELS, SCORES, GROUPS),
        "gauc_positives": gauc(LABELS, SCORES, GROUPS, weighting="positives"),
        "gauc_plain": gauc(LABELS, SCORES, GROUPS, weighting="plain"),
    }
    for name, answer in answers.items():
        found = report.metric(name)
        assert (found.value, found.interval, found.reason) == (answer.value, answer.interval, answer.reason)
        assert found.detail == answer.detail


def test_weights_reach_every_metric() -> None:
    weights = np.array([1, 2, 0.5, 3, 0, 1])
    report = evaluate(LABELS, SCORES, GROUPS, weights)
    assert (report.rows, report.positives) == (5, 4.0)
    assert report.label_rate == 4 / 7.5
    assert report.mean_score == pytest.approx(np.average(SCORES, weights=weights))
    assert report.metric("auc").value == auc(LABELS, SCORES, weights).value
    assert report.metric("gauc").value == gauc(LABELS, SCORES, GROUPS, weights).value


def test_no_rows_are_refused() -> None:
    with pytest.raises(DataError, match="there are no rows to evaluate"):
        report_of(ScoreDistribution())


def test_k_names_the_metrics_of_requests() -> None:
    report = report_of(ScoreDistribution.of(LABELS, SCORES), requests=GroupedRows.of(LABELS, SCORES, GROUPS), k=2)
    assert report.metric("ndcg@2").value == ndcg(LABELS, SCORES, GROUPS, k=2).value
    assert report.metric("mrr").value == mrr(LABELS, SCORES, GROUPS).value
    assert report.metric("hit_rate@2").value == hit_rate(LABELS, SCORES, GROUPS, k=2).value


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
    ratio = document["metrics"]["calibration_ratio"]
    assert list(ratio) == ["value", "interval", "reason", "detail"]
    assert (ratio["value"], ratio["interval"]["level"]) == (1.25, 0.95)
    assert document["metrics"]["gauc"] == {
        "value": None,
        "interval": None,
        "reason": "gauc needs a group for each row, and none is declared",
        "detail": {},
    }


def test_table_rows_are_formatted_text() -> None:
    labels = np.tile(LABELS, 300)
    # Each copy of the six rows has groups of its own.
    groups = np.tile(GROUPS, 300) + 100 * np.repeat(np.arange(300), 6)
    rows = {name: rest for name, *rest in evaluate(labels, np.tile(SCORES, 300), groups).table_rows()}
    assert rows["rows"] == ["1,800", "", ""]
    assert rows["label_rate"] == ["0.33333", "", ""]
    assert rows["calibration_ratio"][0] == "1.25000"
    interval = gauc(labels, np.tile(SCORES, 300), groups).interval
    assert interval is not None
    assert rows["gauc"][:2] == ["0.60000", f"{interval.low:.5f} to {interval.high:.5f}"]
    assert "groups used 600, groups one class 300" in rows["gauc"][2]


def test_table_rows_say_why_a_value_is_missing() -> None:
    rows = {name: rest for name, *rest in evaluate([1, 1], np.array([0.5, 0.5])).table_rows()}
    assert rows["auc"] == ["undefined", "auc needs rows of both classes, but all 2 labels are 1", ""]
    assert rows["calibration_ratio"][0] == "0.50000"


def test_a_report_travels_between_processes() -> None:
    report = evaluate(LABELS, SCORES, GROUPS)
    assert pickle.loads(pickle.dumps(report)) == report
