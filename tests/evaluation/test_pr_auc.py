"""PR-AUC against scikit-learn and against its definition."""

from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats  # type: ignore[import-untyped]
from sklearn.metrics import average_precision_score

from evaluation.metrics.pr_auc import pr_auc, pr_auc_of
from evaluation.state.score_distribution import ScoreDistribution
from evaluation.undefined import UndefinedMetric

ROWS = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from([-1e30, -0.0, 0.0, 0.5, 7.0]) | st.floats(-2, 2, width=32)),
    min_size=1,
    max_size=30,
).filter(lambda rows: any(label for label, _ in rows))


def by_definition(labels: Any, scores: Any) -> Fraction:
    """The recall that each threshold adds times its precision, one threshold at a time."""
    area, before = Fraction(0), Fraction(0)
    for threshold in sorted(set(scores), reverse=True):
        taken = [label for label, score in zip(labels, scores, strict=True) if score >= threshold]
        recall = Fraction(sum(taken), sum(labels))
        area += (recall - before) * Fraction(sum(taken), len(taken))
        before = recall
    return area


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(rows=ROWS)
def test_pr_auc_is_its_definition(dtype: Any, rows: list[tuple[int, float]]) -> None:
    labels, values = zip(*rows, strict=True)
    scores = np.array(values, dtype)
    assert pr_auc(labels, scores).value == pytest.approx(float(by_definition(labels, scores.tolist())), rel=1e-14)


def _sample(rows: int, distinct: int) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    random = np.random.default_rng(distinct)
    labels = random.random(rows) < 0.02
    scores = random.integers(0, distinct, rows) / distinct + 0.2 * labels
    return labels, scores, random.exponential(size=rows)


@pytest.mark.parametrize("distinct", [1, 7, 300, 10**9])
def test_pr_auc_agrees_with_scikit_learn(distinct: int) -> None:
    labels, scores, weights = _sample(5_000, distinct)
    assert pr_auc(labels, scores).value == pytest.approx(average_precision_score(labels, scores), rel=1e-12)
    expected = average_precision_score(labels, scores, sample_weight=weights)
    assert pr_auc(labels, scores, weights).value == pytest.approx(expected, rel=1e-10)


def test_tied_scores_give_the_rate_in_any_order() -> None:
    for labels in (np.arange(100) < 7, np.arange(100) >= 93):
        assert pr_auc(labels, np.full(100, 0.3)).value == pytest.approx(0.07, rel=1e-15)


def test_a_light_row_at_the_top_keeps_its_precision() -> None:
    # Summed from below, the weight of the first row would drown in that of the others.
    found = pr_auc([1, 0, 0, 1], np.array([0.9, 0.5, 0.4, 0.3]), [1e-9, 1e9, 1e9, 1e-9])
    assert found.value == pytest.approx(0.5, rel=1e-12)


def test_interval_by_hand_and_with_weights() -> None:
    labels, scores = np.array([1, 0, 1, 0]), np.array([0.9, 0.8, 0.7, 0.1])
    plain, weighted = pr_auc(labels, scores), pr_auc(labels, scores, np.full(4, 3.0))
    value = 5 / 6
    reach = 1.959963984540054 / np.sqrt(2 * value * (1 - value))
    ends = [1 / (1 + np.exp(-np.log(value / (1 - value)) + side * reach)) for side in (1, -1)]
    for found in (plain, weighted):
        assert found.value == pytest.approx(value)
        assert found.interval is not None
        assert (found.interval.low, found.interval.high) == pytest.approx(tuple(ends))
    unequal = pr_auc(labels, scores, [1, 1, 3, 1]).interval
    assert unequal is not None
    assert unequal.method == "binomial, logit"


@pytest.mark.parametrize(("labels", "weights"), [([0, 1, 1], None), ([1, 1, 1], None), ([0, 1, 1], [0.3, 0.1, 0.7])])
def test_a_perfect_order_has_no_interval(labels: list[int], weights: list[float] | None) -> None:
    found = pr_auc(labels, np.array([0.1, 0.2, 0.3]), weights)
    assert (found.value, found.interval) == (1.0, None)
    assert found.reason == "all positive rows rank first, and an interval on the scale of the logit has no 1"


def test_without_positives_or_rows_it_is_undefined() -> None:
    with pytest.raises(UndefinedMetric) as caught:
        pr_auc([0, 0], np.array([0.1, 0.2]))
    assert str(caught.value) == "pr_auc needs a positive row, but all 2 labels are 0"
    with pytest.raises(UndefinedMetric, match="pr_auc needs a positive row, but all 2 labels are 0"):
        pr_auc([0, 1, 0], np.array([0.1, 0.2, 0.3]), [1, 0, 1])
    with pytest.raises(UndefinedMetric, match="needs a row with a weight above 0"):
        pr_auc_of(ScoreDistribution())


def test_interval_holds_the_truth_as_often_as_it_says() -> None:
    random = np.random.default_rng(2)
    labels = np.arange(1_000) < 100
    # Precision over recall where scores are exactly normal.
    z = np.linspace(-8, 9, 100_001)
    recall, fall_out = stats.norm.sf(z - 1), stats.norm.sf(z)
    truth = float(-np.trapezoid(0.1 * recall / (0.1 * recall + 0.9 * fall_out), recall))
    held = 0
    for _ in range(300):
        interval = pr_auc(labels, random.normal(size=labels.size) + labels).interval
        assert interval is not None
        held += interval.holds(truth)
    assert 0.92 <= held / 300 <= 0.99
