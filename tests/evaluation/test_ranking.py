"""NDCG, MRR and hit rate against every order that tied rows can take, and against scikit-learn."""

import math
from collections.abc import Callable
from itertools import pairwise, permutations
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from common.errors import ConfigError, DataError
from evaluation.estimate import Estimate
from evaluation.interval import quantile
from evaluation.metrics.ranking import hit_rate, hit_rate_of, mrr, mrr_of, ndcg, ndcg_of
from evaluation.state.grouped_rows import GroupedRows
from evaluation.undefined import UndefinedMetric

Rows = tuple[npt.NDArray[np.int64], npt.NDArray[Any], npt.NDArray[np.int64]]
Ranking = tuple[int, ...]  # labels from the first rank down
OfState = Callable[[GroupedRows], Estimate]


def ndcg_of_ranking(ranking: Ranking, k: int) -> float:
    gains = [1 / math.log2(rank + 2) for rank in range(len(ranking))]
    reached = sum(gain for gain, label in zip(gains[:k], ranking, strict=False) if label)
    return reached / sum(gains[: min(k, sum(ranking))])


METRICS: list[tuple[OfState, Callable[[Ranking], float]]] = [
    (mrr_of, lambda ranking: 1 / (ranking.index(1) + 1)),
    *((lambda rows, k=k: ndcg_of(rows, k=k), lambda ranking, k=k: ndcg_of_ranking(ranking, k)) for k in (1, 2, 3, 50)),
    *((lambda rows, k=k: hit_rate_of(rows, k=k), lambda ranking, k=k: float(1 in ranking[:k])) for k in (1, 2, 3, 50)),
]


@st.composite
def requests(draw: st.DrawFn) -> Rows:
    """Up to three requests of up to five rows, with many ties."""
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    sizes = draw(st.lists(st.integers(1, 5), min_size=1, max_size=3))
    total = sum(sizes)
    labels = draw(st.lists(st.integers(0, 1), min_size=total, max_size=total))
    scores = draw(st.lists(st.sampled_from([-1.0, 0.0, -0.0, 0.5]), min_size=total, max_size=total))
    groups = np.repeat(draw(st.permutations([-(2**63), 3, 2**63 - 1]))[: len(sizes)], sizes)
    order = draw(st.permutations(range(total)))
    return np.array(labels)[order], np.array(scores, dtype)[order], groups[order]


def expected(rows: Rows, of_ranking: Callable[[Ranking], float]) -> list[float]:
    """The mean over all orders that agree with the scores, of each request that has a positive."""
    values = []
    for group in sorted(set(rows[2].tolist())):
        labels, scores, _ = (column[rows[2] == group].tolist() for column in rows)
        if any(labels):
            orders = (
                o for o in permutations(range(len(labels))) if all(scores[a] >= scores[b] for a, b in pairwise(o))
            )
            found = [of_ranking(tuple(labels[row] for row in order)) for order in orders]
            values.append(sum(found) / len(found))
    return values


@given(requests(), st.sampled_from(METRICS))
def test_the_expected_value_over_the_orders_of_tied_rows(
    rows: Rows, metric: tuple[OfState, Callable[[Ranking], float]]
) -> None:
    of_state, of_ranking = metric
    values = expected(rows, of_ranking)
    state = GroupedRows.of(*rows)
    if not values:
        with pytest.raises(UndefinedMetric, match="needs a request with a positive row"):
            of_state(state)
        return
    found = of_state(state)
    assert found.value == pytest.approx(np.mean(values), rel=1e-13)
    assert 0 <= found.value <= 1
    without = len(set(rows[2].tolist())) - len(values)
    assert found.detail == {"requests_used": len(values), "requests_without_positive": without}
    if len(values) == 1:
        assert found.interval is None
        assert found.reason == "a single request with a positive row does not tell how far the value may be off"
        return
    error = np.std(values, ddof=1) / math.sqrt(len(values))
    if error < 1e-12:
        alike = f"every request with a positive row has the value {found.value:g}, so that their spread does not tell"
        assert (found.interval, found.reason) == (None, f"{alike} how far it may be off")
        return
    assert found.interval is not None
    middle, reach = math.log(found.value / (1 - found.value)), error / (found.value * (1 - found.value))
    reach *= quantile(0.95, len(values) - 1)
    assert found.interval.high == pytest.approx(1 / (1 + math.exp(-middle - reach)))


@given(requests(), st.sampled_from(METRICS), st.randoms(use_true_random=False), st.sampled_from([0, 1024]))
def test_order_of_rows_chunks_and_memory_change_no_digit(
    rows: Rows, metric: tuple[OfState, Callable[[Ranking], float]], random: Any, memory_mb: int
) -> None:
    labels, scores, groups = rows
    if not labels.any():
        return
    order = random.sample(range(labels.size), labels.size)
    state = GroupedRows(memory_mb=memory_mb)
    for row in order:
        state.update(labels[[row]], scores[[row]], ~groups[[row]])
    assert metric[0](state) == metric[0](GroupedRows.of(*rows))


@pytest.mark.parametrize("k", [1, 5, 30])
def test_ndcg_agrees_with_scikit_learn_on_ties(k: int) -> None:
    draws = np.random.default_rng(k)
    labels, scores = draws.integers(0, 2, (40, 30)), draws.integers(0, 6, (40, 30)) / 5
    found = ndcg(labels.ravel(), scores.ravel(), np.repeat(np.arange(40), 30), k=k)
    assert found.value == pytest.approx(ndcg_score(labels, scores, k=k), rel=1e-12)


def test_long_ties() -> None:
    # One positive among n equal scores: the mean of 1 / rank is the harmonic number over n.
    n = 100_000
    labels = np.arange(n) == 7
    harmonic = float(np.sum(1 / np.arange(1.0, n + 1)))
    assert mrr(labels, np.zeros(n), np.zeros(n, int)).value == pytest.approx(harmonic / n, rel=1e-12)
    assert hit_rate(labels, np.zeros(n), np.zeros(n, int), k=250).value == pytest.approx(250 / n, rel=1e-12)
    assert hit_rate(labels, np.zeros(n), np.zeros(n, int), k=n).value == 1


def test_equal_scores_give_no_credit_by_order_of_rows() -> None:
    """FuxiCTR 2.3's NDCG and MRR rank tied rows by their place in the file."""
    for labels in ([1, 0, 0, 0], [0, 0, 0, 1]):
        assert hit_rate(labels, np.zeros(4), [5] * 4, k=1).value == 0.25
        assert mrr(labels, np.zeros(4), [5] * 4).value == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4) / 4)
        assert ndcg(labels, np.zeros(4), [5] * 4, k=1).value == 0.25


def test_no_request_with_a_positive() -> None:
    with pytest.raises(UndefinedMetric) as caught:
        ndcg([0, 0], np.zeros(2), [1, 2], k=10)
    assert str(caught.value) == "ndcg@10 needs a request with a positive row, but none of the 2 has one"
    with pytest.raises(UndefinedMetric, match=r"^mrr needs a request .* none of the 0 has one"):
        mrr_of(GroupedRows())


def test_weights_have_no_meaning() -> None:
    state = GroupedRows.of([0, 1], np.zeros(2), [1, 1], [1.0, 2.0])
    with pytest.raises(UndefinedMetric, match="hit_rate@3 is about ranks, in which weights of rows have no meaning"):
        hit_rate_of(state, k=3)


@pytest.mark.parametrize("metric", [ndcg, hit_rate])
def test_a_rank_below_one(metric: Callable[..., Estimate]) -> None:
    with pytest.raises(ConfigError, match="needs a rank k of at least 1, got 0"):
        metric([0, 1], np.zeros(2), [1, 1], k=0)


def test_a_group_column_of_floats_is_refused() -> None:
    with pytest.raises(DataError, match="groups must be integers"):
        mrr([0, 1], np.zeros(2), np.array([1.0, 1.0]))


def test_intervals_near_one_hold_the_truth() -> None:
    # In 19 of 20 requests the click is on top. Symmetric intervals pass 1 and lie too high: they held it in 84 %.
    random = np.random.default_rng(3)
    truth, held, found = 0.95 + 0.05 / 2, 0, 0
    labels, requests = np.tile([0, 1], 60), np.repeat(np.arange(60), 2)
    for _ in range(400):
        scores = np.where(random.random(60) < 0.95, 1.0, -1.0)[:, None] * np.array([0.0, 1.0])
        interval = mrr(labels, scores.ravel(), requests).interval
        if interval is None:
            assert (scores[:, 1] == 1).all()
            continue
        assert interval.high < 1
        held, found = held + interval.holds(truth), found + 1
    assert held >= 0.93 * found
