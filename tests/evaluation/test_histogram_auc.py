"""The AUC of a histogram: its bound always holds, and it says when the bins are too coarse."""

from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import ConfigError, DataError
from evaluation.metrics.auc import auc
from evaluation.metrics.histogram_auc import histogram_auc_of
from evaluation.state.score_histogram import ScoreHistogram
from evaluation.undefined import UndefinedMetric

EDGES = st.none() | st.lists(st.floats(-2, 2), min_size=1, max_size=6, unique=True).map(sorted)


@st.composite
def predictions(draw: st.DrawFn) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any]]:
    """Labels of both classes and scores, some of which lie on edges or outside of 0 to 1."""
    labels = draw(st.permutations([1] * draw(st.integers(1, 15)) + [0] * draw(st.integers(1, 15))))
    score = (
        st.sampled_from([-0.0, 0.0, 1 / 4096, 0.5, 1.0]) | st.floats(0, 2**-7, width=32) | st.floats(-2, 2, width=32)
    )
    scores = draw(st.lists(score, min_size=len(labels), max_size=len(labels)))
    return np.array(labels), np.array(scores, draw(st.sampled_from([np.float32, np.float64])))


@given(predictions(), EDGES)
def test_exact_auc_is_within_the_bound(data: tuple[Any, Any], edges: list[float] | None) -> None:
    histogram = ScoreHistogram(edges)
    histogram.update(*data)
    found = histogram_auc_of(histogram)
    exact, bound = auc(*data), found.detail["error_bound"]
    assert isinstance(bound, float)
    assert abs(found.value - exact.value) <= bound
    # The best and the worst order within the bins, to the last digit.
    positives, negatives = histogram.positives.tolist(), histogram.negatives.tolist()
    won = sum(p * sum(negatives[:i]) for i, p in enumerate(positives))
    tied = sum(p * n for p, n in zip(positives, negatives, strict=True))
    pairs = sum(positives) * sum(negatives)
    if bound:
        assert Fraction(found.value) - Fraction(bound) <= Fraction(won, pairs)
        assert Fraction(won + tied, pairs) <= Fraction(found.value) + Fraction(bound)
    else:
        assert tied == 0
    assert (found.detail["positives"], found.detail["negatives"]) == (
        exact.detail["positives"],
        exact.detail["negatives"],
    )


@given(predictions(), EDGES, st.randoms(use_true_random=False))
def test_merged_shards_in_any_order_are_one_histogram(
    data: tuple[Any, Any], edges: list[float] | None, random: Any
) -> None:
    labels, scores = data
    whole, merged = ScoreHistogram(edges), ScoreHistogram(edges)
    whole.update(labels, scores)
    order = random.sample(range(labels.size), labels.size)
    for start in range(0, labels.size, 4):
        shard = ScoreHistogram(edges)
        shard.update(labels[order[start : start + 4]], scores[order[start : start + 4]])
        merged.merge(shard)
    assert merged.positives.tolist() == whole.positives.tolist()
    assert merged.negatives.tolist() == whole.negatives.tolist()
    assert histogram_auc_of(merged) == histogram_auc_of(whole)


def test_a_bin_has_its_lower_edge_and_not_its_upper() -> None:
    histogram = ScoreHistogram([0.0, 0.5])
    histogram.update([1] * 7, np.array([-9.0, -0.0, 0.0, 0.49, 0.5, 0.51, 9.0]))
    assert histogram.positives.tolist() == [1, 3, 3]


def test_bound_is_reached_and_is_0_where_no_bin_has_both_classes() -> None:
    histogram = ScoreHistogram([0.5])
    histogram.update([0, 1, 0, 1], np.array([0.1, 0.2, 0.6, 0.7]))
    found = histogram_auc_of(histogram)
    # Two of the four pairs share a bin: they may add 0 to 2 to the one that is won.
    assert found.value == 0.5
    assert found.detail["error_bound"] == pytest.approx(0.25)
    assert auc([0, 1, 0, 1], np.array([0.1, 0.2, 0.6, 0.7])).value == 0.75
    apart = ScoreHistogram([0.5])
    apart.update([0, 1], np.array([0.1, 0.6]))
    assert histogram_auc_of(apart).value == 1
    assert histogram_auc_of(apart).detail["error_bound"] == 0


def test_the_bound_tells_coarse_bins_from_fine_ones() -> None:
    random = np.random.default_rng(0)
    scores = 1 / (1 + np.exp(-random.normal(-6.25, 1.2, 100_000)))
    labels = random.random(scores.size) < scores
    bounds = []
    for edges in (np.linspace(0, 1, 201), None, np.quantile(scores, np.linspace(0, 1, 4097)[1:-1])):
        histogram = ScoreHistogram(edges)
        histogram.update(labels, scores)
        bounds.append(float(histogram_auc_of(histogram).detail["error_bound"]))
    assert bounds[0] > 0.1 > 0.01 > bounds[1] > 0.001 > bounds[2]


def test_counts_beyond_64_bits() -> None:
    histogram = ScoreHistogram([0.5])
    histogram.negatives += 3 * 10**12
    histogram.positives += 10**12
    found = histogram_auc_of(histogram)
    assert found.value == 0.5
    assert found.detail["error_bound"] == pytest.approx(0.25)


@pytest.mark.parametrize("edges", [[], [[0.5]], [0.2, 0.1], [0.1, 0.1], [np.nan], [0.0, np.inf]])
def test_edges_that_are_none(edges: Any) -> None:
    with pytest.raises(ConfigError, match="edges of bins must be"):
        ScoreHistogram(edges)


def test_what_has_no_auc() -> None:
    histogram = ScoreHistogram()
    with pytest.raises(DataError, match="there are no rows to evaluate"):
        histogram_auc_of(histogram)
    with pytest.raises(DataError, match="score nan in row 0"):
        histogram.update([1], np.array([np.nan]))
    histogram.update([1, 1], np.array([0.1, 0.2]))
    with pytest.raises(UndefinedMetric, match="all 2 labels are 1"):
        histogram_auc_of(histogram)
    with pytest.raises(DataError, match="histograms of different bins cannot be merged"):
        histogram.merge(ScoreHistogram([0.5]))
