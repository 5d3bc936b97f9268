"""Paired differences of two models' metrics on the same rows."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from scipy import stats  # type: ignore[import-untyped]

from common.errors import DataError
from evaluation.estimate import Estimate, PairedDifference
from evaluation.metrics.brier import brier
from evaluation.metrics.calibration import calibration_ratio
from evaluation.metrics.logloss import logloss
from evaluation.metrics.normalised_entropy import normalised_entropy
from evaluation.metrics.paired import paired_by_row
from evaluation.undefined import UndefinedMetric

PAIRS: list[tuple[Callable[..., PairedDifference], Callable[..., Estimate]]] = [
    (partial(paired_by_row, "logloss"), logloss),
    (partial(paired_by_row, "normalised_entropy"), normalised_entropy),
    (partial(paired_by_row, "brier"), brier),
    (partial(paired_by_row, "calibration_ratio"), calibration_ratio),
]
PAIRED = [paired for paired, _ in PAIRS]


def _rows(rows: int, seed: int = 0) -> tuple[Any, Any, Any, Any]:
    random = np.random.default_rng(seed)
    true = random.beta(1, 8, rows)
    noise = random.normal(0, 0.3, rows)
    other = 1 / (1 + np.exp(-np.log(true / (1 - true)) - noise))
    return random.random(rows) < true, true, other, random.exponential(size=rows)


@pytest.mark.parametrize(("paired", "metric"), PAIRS)
def test_the_difference_is_that_of_the_two_metrics(
    paired: Callable[..., PairedDifference], metric: Callable[..., Estimate]
) -> None:
    labels, first, second, weights = _rows(300)
    for given in (None, weights):
        expected = metric(labels, first, given).value - metric(labels, second, given).value
        there, back = paired(labels, first, second, given), paired(labels, second, first, given)
        assert there.value == pytest.approx(expected, rel=1e-9)
        assert there.interval is not None
        assert back.interval is not None
        assert (back.value, back.p_value) == pytest.approx((-there.value, there.p_value))
        assert (back.interval.low, back.interval.high) == pytest.approx((-there.interval.high, -there.interval.low))
    # Each model's dtype has its own clipping.
    single = first.astype(np.float32)
    single[0] = 1 - labels[0]
    assert paired(labels, single, second).value == pytest.approx(
        metric(labels, single).value - metric(labels, second).value, rel=1e-9
    )


def test_means_of_row_differences_are_the_paired_t_test() -> None:
    labels, first, second, _ = _rows(5_000)
    right = [np.where(labels, p, 1 - p) for p in (first, second)]
    for paired, losses in (
        (partial(paired_by_row, "logloss"), [-np.log(p) for p in right]),
        (partial(paired_by_row, "brier"), [(1 - p) ** 2 for p in right]),
    ):
        found, expected = paired(labels, first, second), stats.ttest_rel(*losses)
        interval = expected.confidence_interval(0.95)
        assert found.interval is not None
        # The t quantile of 4,999 degrees of freedom is 2e-4 above the normal one.
        assert (found.interval.low, found.interval.high) == pytest.approx(
            (interval.low, interval.high), abs=1e-3 * (interval.high - interval.low)
        )
        assert found.p_value == pytest.approx(2 * stats.norm.sf(abs(expected.statistic)), rel=1e-6)


@pytest.mark.parametrize("paired", PAIRED)
def test_equal_weights_and_rows_of_weight_zero(paired: Callable[..., PairedDifference]) -> None:
    labels, first, second, weights = _rows(200)
    plain, equal = paired(labels, first, second), paired(labels, first, second, np.full(200, 0.7))
    assert plain.interval is not None
    assert equal.interval is not None
    assert (equal.value, equal.p_value) == pytest.approx((plain.value, plain.p_value), rel=1e-9)
    assert equal.interval.high == pytest.approx(plain.interval.high, rel=1e-9)
    weights[::3] = 0
    kept = weights > 0
    part = paired(labels[kept], first[kept], second[kept], weights[kept])
    assert paired(labels, first, second, weights) == part


@pytest.mark.parametrize("paired", PAIRED)
def test_two_equal_models_do_not_differ(paired: Callable[..., PairedDifference]) -> None:
    labels, first, _, _ = _rows(50)
    found = paired(labels, first, first)
    assert (found.value, found.p_value) == (0.0, 1.0)
    assert found.interval is not None
    assert (found.interval.low, found.interval.high) == (0.0, 0.0)


@pytest.mark.parametrize("paired", PAIRED)
@pytest.mark.parametrize("weighted", [False, True])
def test_p_values_of_models_that_are_equally_good(paired: Callable[..., PairedDifference], weighted: bool) -> None:
    # Both models err alike, on rows of their own: no difference in truth.
    random = np.random.default_rng(17)
    found = []
    for _ in range(200):
        true = random.beta(2, 8, 1_000)
        first, second = (np.clip(true * random.choice([0.8, 1.2], true.size), 0, 1) for _ in range(2))
        weights = random.exponential(size=true.size) if weighted else None
        found.append(paired(random.random(true.size) < true, first, second, weights))
    p_values = [difference.p_value for difference in found if difference.p_value is not None]
    assert stats.kstest(p_values, "uniform").pvalue > 0.001
    assert 180 <= sum(d.interval is not None and d.interval.holds(0) for d in found) <= 198


def test_what_is_undefined_or_wrong() -> None:
    scores = np.array([0.1, 0.2])
    for paired in PAIRED:
        with pytest.raises(UndefinedMetric, match="needs a row with a weight above 0, and there is none"):
            paired([0, 1], scores, scores, [0, 0])
        with pytest.raises(DataError, match=r"prediction 1.5 in row 1 .* is outside 0 to 1"):
            paired([0, 1], scores, np.array([0.5, 1.5]))
    with pytest.raises(UndefinedMetric, match="normalised_entropy needs rows of both classes, but all 2 labels are 1"):
        paired_by_row("normalised_entropy", [1, 1], scores, scores)
    with pytest.raises(UndefinedMetric, match="calibration_ratio needs a positive row, but all 2 labels are 0"):
        paired_by_row("calibration_ratio", [0, 0], scores, scores)
    assert paired_by_row("brier", [1], scores[:1], scores[1:]) == PairedDifference(
        0.9**2 - 0.8**2, reason="a single row does not tell how far the value may be off"
    )


@pytest.mark.parametrize("paired", [partial(paired_by_row, "logloss"), partial(paired_by_row, "brier")])
def test_equal_differences_do_not_make_a_difference_certain(paired: Callable[..., PairedDifference]) -> None:
    found = paired([0, 1], np.array([0.2, 0.8]), np.array([0.4, 0.6]))
    assert (found.interval, found.p_value) == (None, None)
    assert found.reason == "all rows contribute alike, so nothing tells how far the value may be off"


@pytest.mark.parametrize(("paired", "metric"), PAIRS)
@pytest.mark.parametrize("weights", [[1e-60, 1e60, 1], [1e60, 1e-60, 1e-60]])
def test_weights_that_differ_by_all_that_is_allowed(
    paired: Callable[..., PairedDifference], metric: Callable[..., Estimate], weights: list[float]
) -> None:
    labels, first, second = [0, 1, 1], np.array([0.2, 0.8, 0.3]), np.array([0.4, 0.6, 0.1])
    expected = metric(labels, first, weights).value - metric(labels, second, weights).value
    assert paired(labels, first, second, weights).value == pytest.approx(expected)
