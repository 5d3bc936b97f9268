"""AUC and its interval against their definitions over all pairs, and against scikit-learn."""

import math
from fractions import Fraction
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from common.errors import ConfigError, DataError
from evaluation._counts import exact_dot
from evaluation.metrics.auc import auc
from evaluation.metrics.delong import paired_aucs
from evaluation.undefined import UndefinedMetric

TINY32, TINY64 = float(np.finfo(np.float32).smallest_subnormal), 5e-324
TIED = st.sampled_from([-1e30, -1.0, -TINY32, -0.0, 0.0, TINY32, 0.25, 1.0, 1e30])
SCORES = {
    np.float32: TIED | st.floats(allow_nan=False, allow_infinity=False, width=32),
    np.float64: TIED | st.just(TINY64) | st.floats(allow_nan=False, allow_infinity=False),
}


@st.composite
def predictions(draw: st.DrawFn) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any]]:
    """Labels of both classes and scores with many ties, in either precision."""
    dtype = draw(st.sampled_from(list(SCORES)))
    positives, negatives = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    labels = draw(st.permutations([1] * positives + [0] * negatives))
    values = draw(st.lists(SCORES[dtype], min_size=len(labels), max_size=len(labels)))
    return np.array(labels), np.array(values, dtype)


def auc_by_definition(labels: npt.NDArray[np.int64], scores: npt.NDArray[Any]) -> Fraction:
    """The share of ordered pairs, one pair at a time."""
    positives = [float(s) for s, y in zip(scores, labels, strict=True) if y]
    negatives = [float(s) for s, y in zip(scores, labels, strict=True) if not y]
    won = sum(Fraction((p > n) + (p >= n), 2) for p in positives for n in negatives)
    return Fraction(won) / (len(positives) * len(negatives))


@given(predictions())
def test_auc_is_the_float_nearest_to_its_definition(data: tuple[npt.NDArray[np.int64], npt.NDArray[Any]]) -> None:
    assert auc(*data).value == float(auc_by_definition(*data))


@given(predictions(), st.randoms(use_true_random=False))
def test_auc_does_not_depend_on_the_order_of_rows(
    data: tuple[npt.NDArray[np.int64], npt.NDArray[Any]], random: Any
) -> None:
    labels, scores = data
    order = random.sample(range(labels.size), labels.size)
    assert auc(labels[order], scores[order]) == auc(labels, scores)


@given(predictions())
def test_auc_of_swapped_classes_and_of_negated_scores(
    data: tuple[npt.NDArray[np.int64], npt.NDArray[Any]],
) -> None:
    labels, scores = data
    exact = auc_by_definition(labels, scores)
    assert auc(1 - labels, scores).value == auc(labels, -scores).value == float(1 - exact)


@given(predictions())
def test_auc_depends_on_nothing_but_the_order_of_scores(
    data: tuple[npt.NDArray[np.int64], npt.NDArray[Any]],
) -> None:
    labels, scores = data
    ranks = np.unique(scores, return_inverse=True)[1]
    for monotone in (ranks.astype(np.float32), np.cbrt(ranks - 7.5), 3.0 * ranks**3 - 1e6):
        assert auc(labels, monotone) == auc(labels, scores)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("label_rate", [0.01, 0.5, 0.97])
@pytest.mark.parametrize("distinct", [3, 200, 10**9])
def test_auc_agrees_with_scikit_learn(dtype: type, label_rate: float, distinct: int) -> None:
    random = np.random.default_rng([distinct, int(100 * label_rate)])
    labels = random.random(5_000) < label_rate
    scores: npt.NDArray[Any] = (random.integers(0, distinct, labels.size) / distinct + 0.2 * labels).astype(dtype)
    assert auc(labels, scores).value == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


@pytest.mark.parametrize("positives", [1, 5, 500, 995, 999])
@pytest.mark.parametrize("seed", range(3))
def test_equal_scores_give_one_half_in_any_order_of_rows(positives: int, seed: int) -> None:
    labels = np.random.default_rng(seed).permutation(np.arange(1_000) < positives)
    assert auc(labels, np.full(1_000, 0.3, np.float32)).value == 0.5
    assert auc(np.sort(labels), np.full(1_000, 0.3)).value == 0.5
    assert auc(np.sort(labels)[::-1], np.full(1_000, 0.3)).value == 0.5


@pytest.mark.parametrize(
    ("negative", "positive", "expected"),
    [
        (-0.0, 0.0, 0.5),
        (0.0, -0.0, 0.5),
        (0.0, TINY64, 1.0),
        (-TINY64, -0.0, 1.0),
        (1.0, np.nextafter(1.0, 2.0), 1.0),
        (-1e308, 1e308, 1.0),
    ],
)
def test_neighbouring_scores(negative: float, positive: float, expected: float) -> None:
    assert auc([0, 1], np.array([negative, positive])).value == expected
    assert auc([1, 0], np.array([negative, positive])).value == 1 - expected


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint8, np.int64, np.uint64, np.float16, np.float32, np.float64])
def test_labels_of_any_number_type(dtype: type) -> None:
    scores = np.array([0.1, 0.4, 0.35, 0.8])
    assert auc(np.array([0, 0, 1, 1], dtype), scores).value == 0.75


def test_inputs_are_left_as_they_were() -> None:
    labels, scores = np.array([1, 0, 1, 0]), np.array([0.9, 0.8, 0.1, 0.2])
    auc(labels, scores)
    assert labels.tolist() == [1, 0, 1, 0]
    assert scores.tolist() == [0.9, 0.8, 0.1, 0.2]


@pytest.mark.parametrize(("lower", "expected"), [(0, 1.0), (1, 1 - 1 / 10**10)])
def test_pairs_beyond_32_bits_are_counted_to_the_last_one(lower: int, expected: float) -> None:
    labels = np.repeat([0, 1], 100_000)
    scores = np.arange(200_000, dtype=np.float64)
    # Swaps the best negative with the worst positive: one pair of the 10**10 is lost.
    scores[99_999], scores[100_000] = 99_999 + lower, 100_000 - lower
    assert auc(labels, scores).value == expected


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_has_no_auc(label: int) -> None:
    with pytest.raises(UndefinedMetric) as caught:
        auc([label] * 3, np.array([0.1, 0.2, 0.3]))
    assert str(caught.value) == f"auc needs rows of both classes, but all 3 labels are {label}"


@st.composite
def weighted(draw: st.DrawFn) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any], npt.NDArray[np.float64]]:
    """The same with weights, some of them 0, at least one row of each class above 0."""
    labels, scores = draw(predictions())
    weight = st.sampled_from([0.0, 1.0, 3.0]) | st.floats(1e-3, 1e3)
    weights = np.array(draw(st.lists(weight, min_size=labels.size, max_size=labels.size)))
    weights[labels.argmax()] = weights[labels.argmin()] = 1
    return labels, scores, weights


@given(weighted())
def test_weighted_auc_and_its_error_are_those_of_the_definition(data: tuple[Any, Any, Any]) -> None:
    labels, scores, weights = data
    value, error = _by_components(labels, scores, weights)
    found = auc(labels, scores, weights)
    assert found.value == pytest.approx(value, rel=1e-12, abs=1e-15)
    if found.interval is None:
        assert found.value in (0, 1) or math.isnan(error) or error < 1e-12
    else:
        assert found.detail["standard_error"] == pytest.approx(error, rel=1e-9, abs=1e-12)


@given(predictions())
def test_error_is_that_of_the_definition(data: tuple[Any, Any]) -> None:
    labels, scores = data
    value, error = _by_components(labels, scores, np.ones(labels.size))
    found = auc(labels, scores)
    if found.interval is None:
        assert value in (0, 1) or math.isnan(error) or error == 0
    else:
        assert found.detail["standard_error"] == pytest.approx(error, rel=1e-12, abs=1e-15)
        assert found.interval.low <= found.value <= found.interval.high
        assert found.interval.method == "DeLong, logit"


def _by_components(labels: Any, scores: Any, weights: Any) -> tuple[float, float]:
    """Weighted AUC and its standard error from the matrix of all pairs; NaN where a class has one row."""
    labels, scores, weights = (column[weights > 0] for column in (labels, scores, weights))
    x, y, w, v = scores[labels == 1], scores[labels == 0], weights[labels == 1], weights[labels == 0]
    won = (x[:, None] > y) + (x[:, None] == y) / 2
    of_positives, of_negatives = won @ v / v.sum(), w @ won / w.sum()
    value = of_positives @ w / w.sum()
    if min(x.size, y.size) < 2:
        return float(value), math.nan
    variance = (w**2 @ (of_positives - value) ** 2) / (w.sum() ** 2 - (w**2).sum())
    variance += (v**2 @ (of_negatives - value) ** 2) / (v.sum() ** 2 - (v**2).sum())
    return float(value), float(np.sqrt(variance))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("distinct", [3, 200, 10**9])
def test_weighted_auc_agrees_with_scikit_learn(dtype: type, distinct: int) -> None:
    random = np.random.default_rng(distinct)
    labels = random.random(5_000) < 0.2
    scores: npt.NDArray[Any] = (random.integers(0, distinct, labels.size) / distinct + 0.2 * labels).astype(dtype)
    weights = random.exponential(size=labels.size)
    expected = roc_auc_score(labels, scores, sample_weight=weights)
    assert auc(labels, scores, weights).value == pytest.approx(expected, abs=1e-12)


@given(predictions(), st.integers(0, 100))
def test_integer_weights_repeat_rows(data: tuple[Any, Any], seed: int) -> None:
    times = np.random.default_rng(seed).integers(1, 5, data[0].size)
    repeated = auc(*(np.repeat(column, times) for column in data))
    assert auc(*data, times).value == pytest.approx(repeated.value, rel=1e-14)


@given(predictions(), st.sampled_from([1e-3, 0.1, 1, 2, 1e6]))
def test_equal_weights_change_nothing(data: tuple[Any, Any], weight: float) -> None:
    plain, found = auc(*data), auc(*data, np.full(data[0].size, weight))
    assert found.value == pytest.approx(plain.value, rel=1e-14)
    assert found.reason == plain.reason
    if plain.interval is not None and found.interval is not None:
        assert found.detail["standard_error"] == pytest.approx(plain.detail["standard_error"], rel=1e-9, abs=1e-12)


@given(weighted(), st.randoms(use_true_random=False))
def test_weighted_auc_does_not_depend_on_the_order_of_rows(data: tuple[Any, Any, Any], random: Any) -> None:
    order = random.sample(range(data[0].size), data[0].size)
    assert auc(*(column[order] for column in data)) == auc(*data)


@given(weighted())
def test_rows_of_weight_0_are_absent(data: tuple[Any, Any, Any]) -> None:
    kept = data[2] > 0
    assert auc(*data) == auc(*(column[kept] for column in data))


@pytest.mark.parametrize("of_weights", [False, True])
@pytest.mark.parametrize("shift", [0.0, 1.0, 2.5])
def test_interval_holds_the_truth_as_often_as_it_says(shift: float, *, of_weights: bool) -> None:
    random = np.random.default_rng(1)
    truth = NormalDist().cdf(shift / math.sqrt(2))
    labels = np.arange(400) % 4 == 0
    held = 0
    for _ in range(1_000):
        scores = random.normal(size=labels.size) + shift * labels
        weights = random.exponential(size=labels.size) + 0.1 if of_weights else None
        interval = auc(labels, scores, weights, level=0.9).interval
        assert interval is not None
        held += interval.holds(truth)
    # Three standard errors of 1,000 draws are .028.
    assert held / 1_000 == pytest.approx(0.9, abs=0.03)


@pytest.mark.parametrize("weights", [None, np.array([0.1, 0.7, 0.3, 0.9])])
@pytest.mark.parametrize(("value", "labels"), [(1.0, [0, 0, 1, 1]), (0.0, [1, 1, 0, 0])])
def test_separate_classes_have_no_interval(value: float, labels: list[int], weights: Any) -> None:
    found = auc(labels, np.array([0.1, 0.2, 0.3, 0.4]), weights)
    assert found.value == value
    assert found.interval is None
    assert found.reason == "the classes do not overlap, so that DeLong's variance is 0"


def test_a_class_of_one_row_has_no_interval() -> None:
    found = auc([0, 1, 0], np.array([0.1, 0.2, 0.3]))
    assert found.value == 0.5
    assert found.interval is None
    assert found.reason == "DeLong's variance needs 2 rows of label 1, but there is 1"
    heavy = auc([0, 1, 0, 1], np.array([0.1, 0.2, 0.3, 0.25]), [1, 1e12, 1, 1e-12])
    assert heavy.reason == "DeLong's variance needs 2 rows of label 1, but one has nearly all the weight"


def test_all_weights_zero_is_no_rows_at_all() -> None:
    with pytest.raises(DataError, match="there are no rows to evaluate"):
        auc([0, 1], np.array([0.1, 0.2]), [0, 0])


def test_level_and_detail() -> None:
    labels, scores = np.arange(100) % 3 == 0, np.sin(np.arange(100))
    wide, narrow = auc(labels, scores, level=0.99), auc(labels, scores, level=0.5)
    assert wide.interval is not None
    assert narrow.interval is not None
    assert wide.interval.low < narrow.interval.low < wide.value < narrow.interval.high < wide.interval.high
    assert (wide.detail["positives"], wide.detail["negatives"]) == (34, 66)
    with pytest.raises(ConfigError, match="a confidence level must be between 0 and 1"):
        auc(labels, scores, level=1)


def test_variance_does_not_cancel_near_1() -> None:
    # One pair of the 10**10 is lost: sums of squared shares would cancel to the last digit here.
    labels = np.repeat([0, 1], 100_000)
    scores = np.arange(200_000, dtype=np.float64)
    scores[99_999], scores[100_000] = 100_000, 99_999
    # A single row of each class loses 1 / n, all others lose nothing: the variance is 2 / n^4.
    assert auc(labels, scores).detail["standard_error"] == pytest.approx(math.sqrt(2) / 1e10, rel=1e-14, abs=0)


@pytest.mark.parametrize("of_weights", [False, True])
def test_value_and_error_of_many_blocks_are_those_of_the_paired_test(*, of_weights: bool) -> None:
    random = np.random.default_rng(3)
    labels = random.random(600_000) < 0.1
    scores = random.normal(size=labels.size) + labels
    weights = random.exponential(size=labels.size) if of_weights else None
    found, paired = auc(labels, scores, weights), paired_aucs(labels, [scores], weights)
    assert paired.covariance is not None
    assert found.value == pytest.approx(paired.values[0], rel=1e-13)
    assert found.detail["standard_error"] == pytest.approx(paired.covariance[0, 0] ** 0.5, rel=1e-11, abs=0)


@pytest.mark.parametrize("largest", [1, 7, 2**31, 3 * 2**30, 2**32])
def test_products_beyond_64_bits_are_exact(largest: int) -> None:
    left, right = np.full(11, largest, np.int64), np.arange(11) * (largest // 10)
    expected = sum(a * b for a, b in zip(left.tolist(), right.tolist(), strict=True))
    assert exact_dot(left, right, max(largest**2, 1)) == expected
    assert exact_dot(np.array([], np.int64), np.array([], np.int64), largest) == 0


def test_an_overlap_that_rounding_hides() -> None:
    # One positive of nearly no weight is below a negative: rounded sums reach 1 and could pass it.
    random = np.random.default_rng(0)
    for _ in range(300):
        labels = np.append([0, 1, 0, 1], random.random(8) < 0.5)
        scores = labels + random.random(12) / 2
        weights = random.random(12) + 0.01
        scores[1], weights[1] = -1, 1e-50
        found = auc(labels, scores, weights)
        assert 1 - 1e-12 < found.value <= 1
        assert found.value < 1 or found.interval is None


def test_intervals_hold_the_truth_with_few_positives() -> None:
    # Normal quantiles held it in 87 % of the runs, and in 96 % at level .999.
    random = np.random.default_rng(4)
    truth, held = NormalDist().cdf(1 / math.sqrt(2)), np.zeros(2)
    labels = np.arange(500) < 6
    for _ in range(1_000):
        scores = random.normal(size=labels.size) + labels
        for i, level in enumerate((0.95, 0.999)):
            interval = auc(labels, scores, level=level).interval
            assert interval is not None
            held[i] += interval.holds(truth)
    assert held[0] / 1_000 == pytest.approx(0.95, abs=0.025)
    assert held[1] / 1_000 >= 0.99


@pytest.mark.parametrize("weights", [None, np.array([0.1, 0.7, 0.3, 0.9])])
def test_equal_scores_have_no_interval(weights: Any) -> None:
    found = auc([0, 1, 0, 1], np.full(4, 0.3), weights)
    assert found.value == pytest.approx(0.5)
    assert found.interval is None
    assert found.reason == "the rows of each class all win alike, so that DeLong's variance is 0"
