"""Logloss and Brier score against scikit-learn and against the formula."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, log_loss

from evaluation.estimate import Estimate
from evaluation.metrics.brier import brier, brier_of
from evaluation.metrics.logloss import logloss, logloss_of
from evaluation.state.score_distribution import ScoreDistribution
from evaluation.undefined import UndefinedMetric

PROBABILITY = st.sampled_from([0.0, 1.0, 0.5]) | st.floats(0, 1)
ROWS = st.lists(st.tuples(st.integers(0, 1), PROBABILITY), min_size=1, max_size=40)
WEIGHT = st.sampled_from([0.0, 0.1, 1.0, 2.5])
BOTH: list[Callable[..., Estimate]] = [logloss, brier]


# Both add floats, and scikit-learn forms 1 - p in the dtype of p, which loses digits when p is near 0.
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-14), (np.float32, 1e-6)])
@given(rows=ROWS)
def test_logloss_agrees_with_scikit_learn(dtype: Any, tolerance: float, rows: list[tuple[int, float]]) -> None:
    labels, values = zip(*rows, strict=True)
    probabilities = np.array(values, dtype)
    expected = log_loss(labels, probabilities, labels=[0, 1])
    assert logloss(labels, probabilities).value == pytest.approx(expected, rel=tolerance, abs=tolerance)


@given(st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1), WEIGHT), min_size=1, max_size=40))
def test_weights_agree_with_scikit_learn(rows: list[tuple[int, float, float]]) -> None:
    labels, values, weights = (np.array(column) for column in zip(*rows, strict=True))
    if not weights.any():
        weights[0] = 1.0
    expected = log_loss(labels, values, labels=[0, 1], sample_weight=weights)
    assert logloss(labels, values, weights).value == pytest.approx(expected, rel=1e-12)
    expected = brier_score_loss(labels, values, pos_label=1, sample_weight=weights)
    assert brier(labels, values, weights).value == pytest.approx(expected, rel=1e-12, abs=1e-14)


@pytest.mark.parametrize(("dtype", "bits"), [(np.float32, 23), (np.float64, 52)])
def test_saturated_predictions_cost_the_epsilon_of_their_dtype(dtype: Any, bits: int) -> None:
    for label in (0, 1):
        wrong, right = np.array([1 - label], dtype), np.array([label], dtype)
        assert logloss([label], wrong).value == pytest.approx(bits * math.log(2), rel=1e-15)
        assert logloss([label], right).value == pytest.approx(2.0**-bits, rel=1e-6, abs=0)
        assert brier([label], wrong).value == 1
        assert brier([label], right).value == 0


def test_a_small_probability_keeps_its_digits() -> None:
    assert logloss([0, 0], np.array([3e-13, 5e-13])).value == pytest.approx(4e-13, rel=1e-9, abs=0)


def test_float32_is_added_up_in_float64() -> None:
    # 0.1 in float32 is 0.100000001490116; a float32 sum of a million logarithms is off by more than this tolerance.
    labels, probabilities = np.ones(1_000_001, bool), np.full(1_000_001, 0.1, np.float32)
    assert logloss(labels, probabilities).value == pytest.approx(-math.log(float(np.float32(0.1))), rel=1e-12)


def test_one_class_is_defined_and_each_class_counts_by_its_rows() -> None:
    assert logloss([1, 1], np.array([0.5, 0.25])).value == pytest.approx(1.5 * math.log(2), rel=1e-15)
    assert logloss([1, 0, 0, 0], np.array([0.25, 0.5, 0.5, 0.5])).value == pytest.approx(1.25 * math.log(2), rel=1e-15)


def test_intervals_are_those_of_a_mean() -> None:
    labels, scores = np.array([1, 0, 0, 1, 0]), np.array([0.9, 0.2, 0.6, 0.3, 0.2])
    for metric, losses in (
        (logloss, -np.log(np.where(labels, scores, 1 - scores))),
        (brier, (scores - labels) ** 2),
    ):
        interval = metric(labels, scores, level=0.9).interval
        assert interval is not None
        reach = 1.6448536269514722 * losses.std(ddof=1) / math.sqrt(5)
        assert (interval.low, interval.high) == pytest.approx((losses.mean() - reach, losses.mean() + reach), rel=1e-12)
        assert (interval.level, interval.method) == (0.9, "variance of row losses")
        weights = np.array([1.0, 3, 2, 1, 0.5])
        mean = np.average(losses, weights=weights)
        error = math.sqrt((weights**2 * (losses - mean) ** 2).sum() * 5 / 4) / weights.sum()
        interval = metric(labels, scores, weights).interval
        assert interval is not None
        assert interval.high - interval.low == pytest.approx(2 * 1.959963984540054 * error, rel=1e-12)


@pytest.mark.parametrize("metric", BOTH)
def test_equal_weights_give_the_unweighted_answer_and_zero_weights_leave_rows_out(
    metric: Callable[..., Estimate],
) -> None:
    random = np.random.default_rng(4)
    labels, scores = random.random(200) < 0.3, random.random(200)
    plain, weighted = metric(labels, scores), metric(labels, scores, np.full(200, 0.3))
    assert plain.interval is not None
    assert weighted.interval is not None
    assert weighted.value == pytest.approx(plain.value, rel=1e-13)
    assert weighted.interval.low == pytest.approx(plain.interval.low, rel=1e-12)
    kept = np.arange(200) % 3 > 0
    part, left = (
        metric(labels, scores, kept.astype(np.float64)),
        metric(labels[kept], scores[kept], np.ones(kept.sum())),
    )
    assert part == left


@pytest.mark.parametrize("metric", BOTH)
def test_a_mean_of_nearly_equal_losses_keeps_the_digits_of_its_error(metric: Callable[..., Estimate]) -> None:
    # The losses are 36 and 1 to sixteen digits less about 1e-9: squares added up without the mean would lose this.
    scores = np.array([1e-9, 3e-9] * 50)
    interval = metric(np.zeros(100), scores).interval
    assert interval is not None
    spread = np.log1p(-scores).std(ddof=1) if metric is logloss else (scores**2).std(ddof=1)
    assert interval.high - interval.low == pytest.approx(2 * 1.959963984540054 * spread / 10, rel=1e-6)


@pytest.mark.parametrize("metric", BOTH)
def test_one_row_has_a_value_and_says_why_it_has_no_interval(metric: Callable[..., Estimate]) -> None:
    found = metric([1], np.array([0.25]))
    assert found.value > 0
    assert (found.interval, found.reason) == (None, "a single row does not tell how far the value may be off")


@pytest.mark.parametrize(("metric", "name"), [(logloss_of, "logloss"), (brier_of, "brier")])
def test_what_a_distribution_leaves_undefined(metric: Callable[..., Estimate], name: str) -> None:
    with pytest.raises(UndefinedMetric) as caught:
        metric(ScoreDistribution.of([0, 1, 0], np.array([0.5, 5.1, -3.2], np.float32)))
    assert str(caught.value) == f"{name} needs probabilities from 0 to 1, but scores go from -3.2 to 5.1"
    for rows in (ScoreDistribution(), ScoreDistribution.of([0, 1], np.array([0.5, 0.1]), [0, 0])):
        with pytest.raises(UndefinedMetric) as caught:
            metric(rows)
        assert str(caught.value) == f"{name} needs a row with a weight above 0, and there is none"


@pytest.mark.parametrize("metric", BOTH)
def test_intervals_hold_the_truth_as_often_as_they_say(metric: Callable[..., Estimate]) -> None:
    random = np.random.default_rng(9)
    scores = random.beta(1, 20, 2_000)
    losses = -np.log(scores), -np.log1p(-scores)
    if metric is brier:
        losses = (1 - scores) ** 2, scores**2
    held = 0
    for _ in range(400):
        rows = random.choice(2_000, 1_000)
        interval = metric(random.random(1_000) < scores[rows], scores[rows]).interval
        assert interval is not None
        held += interval.holds(float((scores * losses[0] + (1 - scores) * losses[1]).mean()))
    assert 366 <= held <= 394
