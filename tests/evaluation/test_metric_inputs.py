"""Bad inputs: every metric refuses them with one sentence that names the first bad row."""

from collections.abc import Callable
from functools import partial
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
from evaluation.metrics.ranking import ndcg
from evaluation.report.measure import evaluate
from evaluation.undefined import UndefinedMetric

LABELS, SCORES = [0, 1, 0], np.array([0.1, 0.9, 0.2])


def _gauc(labels: Any, scores: Any) -> Any:
    return gauc(labels, scores, [1, 1, 1])


def _ndcg(labels: Any, scores: Any) -> Any:
    return ndcg(labels, scores, [1, 1, 1], k=2)


RANKING: list[Callable[[Any, Any], Any]] = [auc, pr_auc, _gauc, _ndcg, evaluate]
PROBABILISTIC: list[Callable[[Any, Any], Any]] = [
    logloss,
    normalised_entropy,
    brier,
    calibration_ratio,
    calibration_error,
]


def _message(metric: Callable[..., Any], *inputs: Any) -> str:
    with pytest.raises(DataError) as caught:
        metric(*inputs)
    assert not isinstance(caught.value, UndefinedMetric)
    return str(caught.value)


@pytest.mark.parametrize("metric", RANKING + PROBABILISTIC)
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([], "there are no rows to evaluate; give at least one"),
        (np.zeros((3, 1)), "labels must be one-dimensional, got shape (3, 1); give one value a row"),
        (1, "labels must be one-dimensional, got shape (); give one value a row"),
        (["0", "1", "0"], "labels must be booleans, integers or floats, got <U1; convert them to 0 and 1"),
        ([0, None, 1], "labels must be booleans, integers or floats, got object; convert them to 0 and 1"),
        ([0, 2, 3], "label 2 in row 1 (counted from 0) is neither 0 nor 1; write a click as 1, no click as 0"),
        ([0, 1, -1], "label -1 in row 2 (counted from 0) is neither 0 nor 1; write a click as 1, no click as 0"),
        ([0.5, 1, 0], "label 0.5 in row 0 (counted from 0) is neither 0 nor 1; write a click as 1, no click as 0"),
        ([0, 1, np.nan], "label nan in row 2 (counted from 0) is neither 0 nor 1; write a click as 1, no click as 0"),
    ],
)
def test_bad_labels(metric: Callable[..., Any], labels: Any, message: str) -> None:
    assert _message(metric, labels, SCORES) == message


@pytest.mark.parametrize(("metrics", "name"), [(RANKING, "score"), (PROBABILISTIC, "prediction")])
@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (np.zeros(2), "{}s have 2 rows but labels have 3; give both for the same rows"),
        (np.zeros((3, 2)), "{}s must be one-dimensional, got shape (3, 2); give one value a row"),
        ([0, 1, 0], "{}s must be float32 or float64, got int64; convert them"),
        (np.zeros(3, np.float16), "{}s must be float32 or float64, got float16; convert them"),
        ([0.1, np.nan, np.inf], "{} nan in row 1 (counted from 0) is not finite; {mend}"),
        (np.array([0.1, 0.2, -np.inf], np.float32), "{} -inf in row 2 (counted from 0) is not finite; {mend}"),
    ],
)
def test_bad_scores(metrics: list[Callable[..., Any]], name: str, scores: Any, message: str) -> None:
    expected = message.format(name, mend="mend the model or the file it comes from")
    for metric in metrics:
        assert _message(metric, LABELS, scores) == expected


@pytest.mark.parametrize("metric", PROBABILISTIC)
@pytest.mark.parametrize(
    ("bad", "shown"), [(1.5, "1.5"), (-0.25, "-0.25"), (np.nextafter(1.0, 2.0), "1.0000000000000002")]
)
def test_predictions_that_are_no_probabilities(metric: Callable[..., Any], bad: float, shown: str) -> None:
    expected = f"prediction {shown} in row 1 (counted from 0) is outside 0 to 1; give probabilities, not logits"
    assert _message(metric, LABELS, np.array([0.5, bad, 7.0])) == expected


def test_ranking_takes_scores_of_any_range() -> None:
    assert auc(LABELS, SCORES * 1e9 - 5).value == gauc(LABELS, SCORES * 1e9 - 5, [1, 1, 1]).value == 1.0


@pytest.mark.parametrize("metric", [auc, *PROBABILISTIC, pr_auc, evaluate])
@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1, 2], "weights have 2 rows but labels have 3; give both for the same rows"),
        ([[1, 2, 3]], "weights must be one-dimensional, got shape (1, 3); give one value a row"),
        (["1", "2", "3"], "weights must be integers or floats, got <U1; convert them"),
        ([1.0, 1.0, np.nan], "weight nan in row 2 (counted from 0) is not finite; mend the file it comes from"),
        (
            [1.0, 1.0, 1e61],
            "weight 1e+61 in row 2 (counted from 0) is too extreme to compute with; scale the weights to around 1",
        ),
        (
            [1.0, 1e-61, 1.0],
            "weight 1e-61 in row 1 (counted from 0) is too extreme to compute with; scale the weights to around 1",
        ),
        ([1.0, -0.5, 1.0], "weight -0.5 in row 1 (counted from 0) is negative; give 0 to leave a row out"),
    ],
)
def test_bad_weights(metric: Callable[..., Any], weights: Any, message: str) -> None:
    assert _message(partial(metric, weights=weights), LABELS, SCORES) == message


@pytest.mark.parametrize("metric", [gauc, evaluate])
@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([1, 2], "groups have 2 rows but labels have 3; give both for the same rows"),
        (np.ones((3, 1), int), "groups must be one-dimensional, got shape (3, 1); give one value a row"),
        ([1.0, 2.0, np.nan], "groups must be integers, got float64; encode them as tokens first"),
        (["a", "b", "a"], "groups must be integers, got <U1; encode them as tokens first"),
    ],
)
def test_bad_groups(metric: Callable[..., Any], groups: Any, message: str) -> None:
    assert _message(metric, LABELS, SCORES, groups) == message


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint64, np.float16, np.float32, np.longdouble])
def test_weights_of_any_number_type(dtype: Any) -> None:
    if dtype is bool:
        with pytest.raises(DataError, match="weights must be integers or floats, got bool; convert them"):
            auc(LABELS, SCORES, np.ones(3, dtype))
        return
    assert auc(LABELS, SCORES, np.array([1, 2, 3], dtype)) == auc(LABELS, SCORES, [1.0, 2.0, 3.0])


@pytest.mark.parametrize("weight", [1e-60, 1e60])
def test_the_most_extreme_weights(weight: float) -> None:
    for metric in (auc, pr_auc, logloss, normalised_entropy, brier, calibration_ratio, calibration_error):
        weights = np.full(3, weight)
        assert metric(LABELS, SCORES, weights).value == pytest.approx(metric(LABELS, SCORES).value)
    assert auc([0, 1], SCORES[:2], [1e-60, 1e60]).value == 1
