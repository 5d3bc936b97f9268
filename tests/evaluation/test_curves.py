"""What is drawn: points that lie on the curves, bins that hold every row."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_curve

from evaluation.metrics.auc import auc
from evaluation.metrics.pr_auc import pr_auc_of
from evaluation.metrics.reliability import reliability, reliability_of
from evaluation.report.curves import Curves, curves_of
from evaluation.state.score_distribution import ScoreDistribution
from evaluation.undefined import UndefinedMetric


def _curves(labels: Any, scores: Any, weights: Any = None) -> Curves:
    return curves_of(ScoreDistribution.of(labels, scores, weights))


def _sample(rows: int, seed: int = 0) -> tuple[Any, Any, Any]:
    random = np.random.default_rng(seed)
    scores = random.beta(1, 30, rows)
    return random.random(rows) < scores, scores, random.exponential(size=rows)


@pytest.mark.parametrize("weighted", [False, True])
def test_points_are_of_the_full_curves_and_few(weighted: bool) -> None:
    labels, scores, weights = _sample(20_000)
    given = weights if weighted else None
    found = _curves(labels, scores, given)
    assert found.roc is not None
    assert found.precision_recall is not None
    false, true, _ = roc_curve(labels, scores, sample_weight=given, drop_intermediate=False)
    precision, recall, _ = precision_recall_curve(labels, scores, sample_weight=given)
    for curve, x, y in ((found.roc, false, true), (found.precision_recall, recall[:-1], precision[:-1])):
        full = x + 1j * y
        assert max(np.abs(full - point).min() for point in np.array(curve.x) + 1j * np.array(curve.y)) < 1e-12
        assert 200 < len(curve.x) == len(curve.y) <= 405
        assert np.all(np.diff(curve.x) >= 0)
    assert (found.roc.x[0], found.roc.y[0], found.roc.x[-1], found.roc.y[-1]) == (0, 0, 1, 1)
    assert np.all(np.diff(found.roc.y) >= 0)
    assert found.precision_recall.x[-1] == pytest.approx(1)
    assert found.precision_recall.y[-1] == pytest.approx(np.average(labels, weights=given))
    # So evenly spread that no eye sees what is left out.
    area = np.trapezoid(found.roc.y, found.roc.x)
    assert area == pytest.approx(auc(labels, scores, given).value, abs=1e-3)


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 6)), min_size=1, max_size=30))
def test_small_curves_keep_every_point(rows: list[tuple[int, int]]) -> None:
    labels, values = (np.array(column) for column in zip(*rows, strict=True))
    found = _curves(labels, values / 8)
    assert (found.roc is None) == (labels.all() or not labels.any())
    assert (found.precision_recall is None) == (found.lift is None) == (not labels.any())
    if found.roc is not None:
        false, true, _ = roc_curve(labels, values, drop_intermediate=False)
        assert found.roc.x == pytest.approx(false)
        assert found.roc.y == pytest.approx(true)
    if found.lift is not None:
        assert [part.share for part in found.lift] == pytest.approx(np.arange(1, 11) / 10)
        assert found.lift[-1].gain == 1
        assert np.mean([part.rate for part in found.lift]) == pytest.approx(labels.mean())
        assert np.mean([part.lift for part in found.lift]) == pytest.approx(1)


def test_lift_by_hand() -> None:
    lift = _curves(np.arange(20) >= 17, np.arange(20) / 20).lift
    assert lift is not None
    assert [part.rate for part in lift[:3]] == pytest.approx([1, 0.5, 0])
    assert [part.lift for part in lift[:3]] == pytest.approx([20 / 3, 10 / 3, 0])
    assert [part.gain for part in lift[:3]] == pytest.approx([2 / 3, 1, 1])


@pytest.mark.parametrize("weight", [None, 0.1])
def test_tied_rows_are_shared_by_the_bins_on_both_sides(weight: float | None) -> None:
    labels = np.array([1, 1, 0, 0, 1, 0, 0, 0, 0, 0])
    scores = np.array([0.9, 0.5, 0.5, 0.5, 0.5, 0.5, 0.3, 0.2, 0.1, 0.0])
    lift = _curves(labels, scores, None if weight is None else np.full(10, weight)).lift
    assert lift is not None
    assert [part.rate for part in lift] == pytest.approx([1, *[0.4] * 5, 0, 0, 0, 0], abs=1e-12)
    # A third of the rows ends a third into the fourth tenth.
    thirds = _curves([1, 0, 0], np.array([0.9, 0.5, 0.1]), None if weight is None else np.full(3, weight)).lift
    assert thirds is not None
    assert [part.rate for part in thirds] == pytest.approx([1, 1, 1, 1 / 3, *[0] * 6], abs=1e-12)
    constant = _curves(labels, np.full(10, 0.5)).lift
    assert constant is not None
    assert [part.lift for part in constant] == pytest.approx([1.0] * 10)


@given(st.lists(st.floats(0.01, 10), min_size=12, max_size=12), st.integers(0, 2**12 - 2))
def test_lift_with_weights_adds_up(weights: list[float], bits: int) -> None:
    labels = np.array([bits >> row & 1 for row in range(12)])
    labels[3] = 1
    lift = _curves(labels, np.arange(12) % 5 / 4, weights).lift
    assert lift is not None
    assert all(part.rate >= -1e-12 for part in lift)
    assert lift[-1].gain == 1
    assert np.mean([part.rate for part in lift]) == pytest.approx(np.average(labels, weights=weights))


@pytest.mark.parametrize("weighted", [False, True])
def test_histogram_holds_every_row(weighted: bool) -> None:
    labels, scores, weights = _sample(3_000)
    given = weights if weighted else None
    mass = weights if weighted else np.ones(3_000)
    for values, is_wide in (
        (scores, True),
        (scores + 0.1, False),
        (scores - 0.5, False),
        (1e300 * scores - 1e299, False),
    ):
        histogram = _curves(labels, values, given).histogram
        edges = np.array(histogram.edges)
        assert (edges.size, histogram.logarithmic) == (51, is_wide)
        assert (edges[0], edges[-1]) == (values.min(), values.max())
        widths = np.diff(np.log(edges) if is_wide else edges)
        assert widths == pytest.approx(np.full(50, widths.mean()), rel=1e-6)
        for column, label in ((histogram.negatives, False), (histogram.positives, True)):
            expected = np.histogram(values[labels == label], edges, weights=mass[labels == label])[0]
            assert column == pytest.approx(expected)


def test_histogram_of_extreme_and_of_equal_scores() -> None:
    wide = _curves([0, 1, 1], np.array([-1.7e308, 0.0, 1.7e308])).histogram
    assert np.all(np.isfinite(wide.edges))
    assert (sum(wide.negatives), sum(wide.positives)) == (1, 2)
    for score in (0.0, 0.004, -3.0):
        equal = _curves([0, 1, 1], np.full(3, score)).histogram
        assert equal.edges[0] < score < equal.edges[1]
        assert (equal.negatives, equal.positives) == ((1,), (2,))


def test_reliability_is_the_table_and_only_of_probabilities() -> None:
    labels, scores, weights = _sample(500)
    assert _curves(labels, scores, weights).reliability == reliability(labels, scores, weights)
    found = _curves(labels, scores * 7 - 3)
    assert found.reliability is None
    assert found.roc is not None


@pytest.mark.parametrize("weighted", [False, True])
def test_many_distinct_scores_come_in_blocks_that_leave_no_seam(weighted: bool) -> None:
    labels, scores, weights = _sample(700_000)
    distribution = ScoreDistribution.of(labels, scores, weights if weighted else None)
    assert sum(1 for _ in distribution.blocks()) > 2
    given = weights if weighted else np.ones(scores.size)
    found = curves_of(distribution)
    assert found.roc is not None
    assert found.lift is not None
    assert len(found.roc.x) <= 405
    order = np.argsort(-scores)
    rows, clicks = np.cumsum(given[order]), np.cumsum((given * labels)[order])
    gains = np.interp(np.arange(1, 11) / 10 * rows[-1], rows, clicks) / clicks[-1]
    assert [part.gain for part in found.lift] == pytest.approx(gains, rel=1e-9)
    assert np.trapezoid(found.roc.y, found.roc.x) == pytest.approx(auc(labels, scores, weights).value, abs=0.01)
    precision = average_precision_score(labels, scores, sample_weight=given)
    assert pr_auc_of(distribution).value == pytest.approx(precision, rel=1e-9)
    bins = reliability_of(distribution)
    assert [part.mass for part in bins] == pytest.approx(np.full(20, given.sum() / 20), rel=1e-3)
    assert sum(part.mass for part in bins) == pytest.approx(given.sum())


def test_one_class_leaves_plots_undefined() -> None:
    clicks, none = (_curves([label] * 3, np.array([0.1, 0.2, 0.2])) for label in (1, 0))
    assert (clicks.roc, none.roc, none.precision_recall, none.lift) == (None, None, None, None)
    assert clicks.precision_recall is not None
    assert set(clicks.precision_recall.y) == {1.0}
    assert clicks.lift is not None
    assert none.reliability is not None
    with pytest.raises(UndefinedMetric, match="a plot needs a row with a weight above 0"):
        curves_of(ScoreDistribution())


@pytest.mark.parametrize("score", [1.797e308, -1.797e308])
def test_bins_stay_finite_at_the_greatest_floats(score: float) -> None:
    found = curves_of(ScoreDistribution.of([0, 1], np.array([score, score]))).histogram
    assert np.isfinite(found.edges).all()
    assert (found.edges[0] <= score <= found.edges[1], found.negatives, found.positives) == (True, (1,), (1,))
