"""Calibration: the ratio on the whole, the error over bins, and the reliability table."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats  # type: ignore[import-untyped]

from common.errors import ConfigError
from evaluation.metrics.calibration import calibration_ratio, calibration_ratio_of
from evaluation.metrics.calibration_error import calibration_error, calibration_error_of
from evaluation.metrics.reliability import reliability, reliability_of
from evaluation.state.score_distribution import ScoreDistribution
from evaluation.undefined import UndefinedMetric


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [([0.5, 0.5, 0.5, 0.5], 2.0), ([0.25, 0.25, 0.25, 0.25], 1.0), ([0.125, 0, 0, 0], 0.125), ([0.0] * 4, 0.0)],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_predicted_clicks_over_clicks(probabilities: list[float], expected: float, dtype: type) -> None:
    assert calibration_ratio([0, 1, 0, 0], np.array(probabilities, dtype)).value == expected


def test_float32_is_added_up_in_float64() -> None:
    # 2**24 + 1 is no float32, and neither is a sum that passes it.
    rows = 2**24 + 1
    assert calibration_ratio(np.ones(rows, bool), np.ones(rows, np.float32)).value == 1.0


def test_ratio_by_hand_with_weights_and_its_inverse() -> None:
    found = calibration_ratio([1, 0, 1], np.array([0.5, 0.25, 0.25]), [1, 2, 3])
    assert found.value == 1.75 / 4
    assert found.detail == {"copc": 4 / 1.75}
    residuals = np.array([1, 2, 3]) * (np.array([0.5, 0.25, 0.25]) - found.value * np.array([1, 0, 1]))
    error = math.sqrt((residuals**2).sum() * 3 / 2) / 4
    factor = math.exp(1.959963984540054 * error / found.value)
    assert found.interval is not None
    assert (found.interval.low, found.interval.high) == pytest.approx((found.value / factor, found.value * factor))
    assert found.interval.method == "delta method, log"


def test_ratio_without_an_interval_says_why() -> None:
    assert calibration_ratio([0, 1], np.zeros(2)).reason == (
        "all predictions are 0, and the interval is on the scale of the logarithm"
    )
    assert calibration_ratio([1], np.array([0.5])).reason == "a single row does not tell how far the value may be off"


def test_no_clicks() -> None:
    with pytest.raises(UndefinedMetric) as caught:
        calibration_ratio([0, 0], np.array([0.1, 0.2]))
    assert str(caught.value) == "calibration_ratio needs a positive row, but all 2 labels are 0"


def test_error_by_hand_in_bins_of_equal_width() -> None:
    scores = np.array([0.05, 0.15, 0.15, 0.95, 1.0])
    # Bins of a tenth: {.05}, {.15, .15}, {.95, 1}.
    expected = abs(0.05 - 0) / 5 + abs(0.3 - 1) / 5 + abs(1.95 - 1) / 5
    found = calibration_error([0, 1, 0, 0, 1], scores, bins=10, binning="width")
    assert found.value == pytest.approx(expected, rel=1e-14)
    assert (found.detail["bins"], found.detail["binning"]) == (3, "width")
    one = calibration_error([0, 1, 0, 0, 1], scores, bins=1)
    assert one.value == pytest.approx((2.3 - 2) / 5, rel=1e-14)


def test_bins_of_equal_mass_hold_the_same_number_of_rows_and_split_no_ties() -> None:
    distinct = reliability(np.zeros(100), np.arange(100) / 100)
    assert [part.mass for part in distinct] == [5.0] * 20
    assert [(part.low, part.high) for part in distinct[:2]] == [(0.0, 0.04), (0.05, 0.09)]
    tied = np.repeat([0.1, 0.2, 0.3, 0.4], [10, 70, 5, 15])
    found = reliability(tied > 0.25, tied, bins=10)
    assert [(part.low, part.high, part.mass, part.rate) for part in found] == [
        (0.1, 0.1, 10, 0),
        (0.2, 0.2, 70, 0),
        (0.3, 0.3, 5, 1),
        (0.4, 0.4, 15, 1),
    ]


@pytest.mark.parametrize("binning", ["mass", "width"])
def test_bins_hold_every_row_once_whatever_the_weights(binning: Any) -> None:
    random = np.random.default_rng(8)
    labels, scores, weights = random.random(500) < 0.2, random.random(500).round(2), random.exponential(size=500)
    for given in (None, weights, np.full(500, 0.1)):
        found = reliability(labels, scores, given, binning=binning)
        mass = np.ones(500) if given is None else given
        assert sum(part.mass for part in found) == pytest.approx(mass.sum())
        for part in found:
            inside = (scores >= part.low) & (scores <= part.high)
            assert part.mass == pytest.approx(mass[inside].sum())
            assert part.rate == pytest.approx(np.average(labels[inside], weights=mass[inside]))
            assert part.mean_score == pytest.approx(np.average(scores[inside], weights=mass[inside]))
            wilson = stats.binomtest(int(labels[inside].sum()), int(inside.sum())).proportion_ci(method="wilson")
            if given is not weights:
                assert (part.interval.low, part.interval.high) == pytest.approx((wilson.low, wilson.high), abs=1e-12)
        value = calibration_error(labels, scores, given, binning=binning).value
        assert value == pytest.approx(sum(p.mass * abs(p.mean_score - p.rate) for p in found) / mass.sum())


def test_equal_weights_on_the_border_of_bins_change_nothing() -> None:
    # 30 rows in 20 bins: the middle of every third row lies on a border, and sums of 0.1 would round across it.
    labels, scores = np.arange(30) % 3 == 0, np.arange(30) / 30
    plain, weighted = reliability(labels, scores), reliability(labels, scores, np.full(30, 0.1))
    assert [(p.low, p.high) for p in plain] == [(p.low, p.high) for p in weighted]
    assert calibration_error(labels, scores, np.full(30, 0.1)).value == pytest.approx(
        calibration_error(labels, scores).value, rel=1e-13
    )


def test_unequal_weights_widen_the_intervals() -> None:
    labels, scores = np.arange(100) < 30, np.full(100, 0.3)
    equal, unequal = (reliability(labels, scores, w)[0] for w in (np.ones(100), 1 + 9.0 * (np.arange(100) % 10 == 0)))
    assert equal.rate == unequal.rate == 0.3
    wilson = stats.binomtest(30, 100).proportion_ci(method="wilson")
    assert (equal.interval.low, equal.interval.high) == pytest.approx((wilson.low, wilson.high))
    assert unequal.interval.high - unequal.interval.low > 1.5 * (wilson.high - wilson.low)


def test_a_calibrated_model_shows_the_error_that_is_expected_of_it() -> None:
    random = np.random.default_rng(3)
    scores = random.beta(1, 40, 20_000)
    found = [calibration_error(random.random(scores.size) < scores, scores) for _ in range(60)]
    expected = {estimate.detail["expected_if_calibrated"] for estimate in found}
    assert len(expected) == 1
    assert np.mean([estimate.value for estimate in found]) == pytest.approx(expected.pop(), rel=0.06)
    held = sum(estimate.interval is not None and estimate.interval.holds(0.0) for estimate in found)
    assert held >= 55
    shares = [float(estimate.detail["p_if_calibrated"]) for estimate in found]
    assert stats.kstest(shares, "uniform").pvalue > 0.01


@pytest.mark.parametrize("error", [0.15, 0.5])
def test_intervals_hold_the_error_of_a_miscalibrated_model(error: float) -> None:
    random = np.random.default_rng(5)
    scores = np.repeat(np.linspace(0.02, 0.2, 20), 500)
    true = scores * (1 + error * np.where(np.arange(scores.size) // 500 % 2, 1, -1))
    truth, held = float(np.abs(true - scores).mean()), 0
    for _ in range(100):
        found = calibration_error(random.random(scores.size) < true, scores)
        assert found.interval is not None
        assert found.interval.low <= found.value <= found.interval.high
        held += found.interval.holds(truth)
    assert held >= 89


def test_error_is_deterministic_and_independent_of_the_order_of_rows() -> None:
    random = np.random.default_rng(1)
    labels, scores = random.random(1_000) < 0.1, random.random(1_000)
    order = random.permutation(1_000)
    assert calibration_error(labels[order], scores[order]) == calibration_error(labels, scores)


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        (calibration_ratio_of, "calibration_ratio"),
        (calibration_error_of, "calibration_error"),
        (reliability_of, "reliability"),
    ],
)
def test_what_a_distribution_leaves_undefined(metric: Callable[..., Any], name: str) -> None:
    with pytest.raises(UndefinedMetric) as caught:
        metric(ScoreDistribution.of([0, 1], np.array([-1.5, 0.25])))
    assert str(caught.value) == f"{name} needs probabilities from 0 to 1, but scores go from -1.5 to 0.25"
    with pytest.raises(UndefinedMetric) as caught:
        metric(ScoreDistribution.of([0, 1], np.array([0.5, 0.25]), [0, 0]))
    assert str(caught.value) == f"{name} needs a row with a weight above 0, and there is none"


@pytest.mark.parametrize("metric", [calibration_error, reliability])
def test_wrong_options(metric: Callable[..., Any]) -> None:
    with pytest.raises(ConfigError, match="needs at least 1 bin, got 0; 20 is common"):
        metric([0, 1], np.array([0.5, 0.25]), bins=0)
    with pytest.raises(ConfigError, match="has no binning 'masses'; did you mean 'mass'"):
        metric([0, 1], np.array([0.5, 0.25]), binning="masses")
    with pytest.raises(ConfigError, match="a confidence level must be between 0 and 1, got 95"):
        metric([0, 1], np.array([0.5, 0.25]), level=95)


def test_predictions_near_0_keep_their_interval() -> None:
    labels, scores = [0, 1, 1, 0, 1], np.array([1, 3, 2, 1, 4], np.float64)
    plain, tiny = calibration_ratio(labels, scores / 100), calibration_ratio(labels, scores * 1e-300)
    assert plain.interval is not None
    assert tiny.interval is not None
    assert tiny.interval.high / tiny.value == pytest.approx(plain.interval.high / plain.value)
