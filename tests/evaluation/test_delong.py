"""DeLong's covariance and paired test against their definition over all pairs."""

from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import DataError
from evaluation.metrics.auc import auc
from evaluation.metrics.delong import paired_auc, paired_aucs
from evaluation.undefined import UndefinedMetric

Data = tuple[npt.NDArray[np.int64], npt.NDArray[Any], npt.NDArray[np.float64]]


@st.composite
def models(draw: st.DrawFn) -> Data:
    """Labels, the scores of up to 3 models with many ties, and weights."""
    counts = draw(st.integers(2, 8)), draw(st.integers(2, 8))
    labels = np.array(draw(st.permutations([1] * counts[0] + [0] * counts[1])))
    score = st.sampled_from([-1.0, -0.0, 0.0, 1.0]) | st.floats(-10, 10, width=32)
    row = st.lists(score, min_size=labels.size, max_size=labels.size)
    scores = draw(st.lists(row, min_size=1, max_size=3))
    weights = draw(st.lists(st.floats(0.1, 10), min_size=labels.size, max_size=labels.size))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    return labels, np.array(scores, dtype), np.array(weights)


def _by_definition(labels: Any, scores: Any, weights: Any) -> tuple[Any, Any]:
    """AUCs and their covariance from the matrix of all pairs."""
    w, v = weights[labels == 1], weights[labels == 0]
    of_positives, of_negatives = [], []
    for model in scores:
        x, y = model[labels == 1], model[labels == 0]
        won = (x[:, None] > y) + (x[:, None] == y) / 2
        of_positives.append(won @ v / v.sum())
        of_negatives.append(w @ won / w.sum())
    values = np.array(of_positives) @ w / w.sum()
    covariance = np.zeros((len(scores), len(scores)))
    for shares, mass in ((of_positives, w), (of_negatives, v)):
        away = (np.array(shares) - values[:, None]) * mass
        covariance += away @ away.T / (mass.sum() ** 2 - (mass**2).sum())
    return values, covariance


@given(models(), st.booleans())
def test_covariance_is_that_of_the_definition(data: Data, weighted: bool) -> None:
    labels, scores, weights = data
    found = paired_aucs(labels, scores, weights if weighted else None)
    values, covariance = _by_definition(labels, scores, weights if weighted else np.ones(labels.size))
    assert found.covariance is not None
    assert found.difference_variance is not None
    np.testing.assert_allclose(found.values, values, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(found.covariance, covariance, rtol=1e-10, atol=1e-15)
    own = np.diag(found.covariance)
    np.testing.assert_allclose(
        found.difference_variance, own[:, None] + own - 2 * found.covariance, rtol=1e-10, atol=1e-15
    )
    for i, model in enumerate(scores):
        single = auc(labels, model, weights if weighted else None)
        assert single.value == pytest.approx(found.values[i], rel=1e-14, abs=0)
        if single.interval is not None:
            assert single.detail["standard_error"] == pytest.approx(own[i] ** 0.5, rel=1e-7, abs=1e-9)


@given(models(), st.booleans(), st.randoms(use_true_random=False))
def test_order_of_rows_changes_no_digit(data: Data, weighted: bool, random: Any) -> None:
    labels, scores, weights = data
    order = random.sample(range(labels.size), labels.size)
    found = paired_aucs(labels, scores, weights if weighted else None)
    again = paired_aucs(labels[order], scores[:, order], weights[order] if weighted else None)
    for name in ("values", "covariance", "difference_variance"):
        assert vars(found)[name].tobytes() == vars(again)[name].tobytes()


@given(models())
def test_unweighted_auc_is_the_float_nearest_to_the_fraction(data: Data) -> None:
    labels, scores, _ = data
    assert paired_aucs(labels, scores).values.tolist() == [auc(labels, model).value for model in scores]


@given(models())
def test_rows_of_weight_0_are_absent(data: Data) -> None:
    labels, scores, weights = data
    again = paired_aucs(np.append(labels, [0, 1]), np.pad(scores, ((0, 0), (0, 2))), np.append(weights, [0.0, 0.0]))
    found = paired_aucs(labels, scores, weights)
    assert found.covariance is not None
    assert again.covariance is not None
    assert found.covariance.tobytes() == again.covariance.tobytes()


@pytest.mark.parametrize("weights", [None, np.tile([1.0, 0.3], 50)])
def test_a_model_does_not_differ_from_itself_or_a_monotone_change_of_it(weights: Any) -> None:
    random = np.random.default_rng(0)
    labels, scores = random.random(100) < 0.4, random.normal(size=100)
    found = paired_auc(labels, scores, np.exp(scores), weights)
    assert (found.value, found.p_value) == (0, 1)
    assert found.interval is not None
    assert (found.interval.low, found.interval.high) == (0, 0)


def test_nearly_equal_models_keep_their_digits() -> None:
    # Two neighbours of opposite class change places: the components differ in one row of each class by 1 / n.
    n = 100_000
    labels, scores = np.tile([0, 1], n), np.arange(2.0 * n)
    swapped = scores.copy()
    swapped[[n, n + 1]] = swapped[[n + 1, n]]
    found = paired_auc(labels, scores, swapped)
    assert found.value == pytest.approx(1 / n**2, rel=1e-5)
    assert found.interval is not None
    reach = (found.interval.high - found.interval.low) / 2 / 1.959963984540054
    assert reach == pytest.approx(2**0.5 / n**2, rel=1e-10)


def test_difference_turns_with_its_models_and_keeps_its_test() -> None:
    random = np.random.default_rng(5)
    labels = random.random(500) < 0.3
    base = random.normal(size=500) + labels
    found = paired_aucs(labels, [base + random.normal(size=500), base, base.astype(np.float32)], level=0.9)
    forth, back = found.difference(0, 1), found.difference(1, 0)
    assert forth.value == -back.value < 0
    assert forth.p_value == back.p_value
    assert forth.interval is not None
    assert back.interval is not None
    assert (forth.interval.low, forth.interval.high) == (-back.interval.high, -back.interval.low)
    assert (forth.interval.level, forth.interval.method) == (0.9, "DeLong, paired")
    assert forth.p_value is not None
    assert forth.p_value < 0.01
    assert paired_auc(labels, base, base.astype(np.float32)).value == found.difference(1, 2).value


def test_test_is_as_often_wrong_as_it_says() -> None:
    random = np.random.default_rng(2)
    labels = np.arange(400) % 4 == 0
    wrong = 0
    for _ in range(1_000):
        base = random.normal(size=labels.size) + labels
        p_value = paired_auc(labels, *(base + random.normal(size=(2, labels.size)))).p_value
        assert p_value is not None
        wrong += p_value < 0.1
    # Three standard errors of 1,000 draws are .028.
    assert wrong / 1_000 == pytest.approx(0.1, abs=0.03)


def test_what_has_no_test() -> None:
    scores = np.array([0.1, 0.2, 0.3, 0.4])
    with pytest.raises(UndefinedMetric, match="auc needs rows of both classes, but all 4 labels are 1"):
        paired_auc([1, 1, 1, 1], scores, -scores)
    single = paired_auc([0, 1, 0, 0], scores, -scores)
    assert single.value == float(Fraction(1, 3) - Fraction(2, 3))
    assert (single.interval, single.p_value) == (None, None)
    assert single.reason == "DeLong's variance needs 2 rows of label 1, but there is 1"
    # One model orders all pairs right and the other all wrong: that is no proof, on 4 rows.
    apart = paired_auc([0, 0, 1, 1], scores, -scores)
    assert (apart.value, apart.interval, apart.p_value) == (1, None, None)
    assert apart.reason == "DeLong's variance of the difference is 0 on so few rows"


def test_bad_inputs() -> None:
    with pytest.raises(DataError, match="there are no models to compare"):
        paired_aucs([0, 1], [])
    with pytest.raises(DataError, match="scores have 3 rows but labels have 2"):
        paired_auc([0, 1], np.zeros(2), np.zeros(3))
    with pytest.raises(UndefinedMetric, match="auc needs a row with a weight above 0, and there is none"):
        paired_auc([0, 1], np.zeros(2), np.zeros(2), [0, 0])
