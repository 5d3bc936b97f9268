"""The bootstrap over users against metrics of rows weighted by their users' counts, and against DeLong."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from common.errors import ConfigError, DataError
from evaluation.estimate import Estimate
from evaluation.metrics.auc import auc
from evaluation.metrics.bootstrap import bootstrap_of, paired_bootstrap, user_counts
from evaluation.state.sorted_rows import SortedRows
from evaluation.undefined import UndefinedMetric

Rows = tuple[npt.NDArray[np.int64], npt.NDArray[Any], npt.NDArray[np.int64], npt.NDArray[np.float64] | None]


def state_of(
    labels: Any, scores: Any, groups: Any, weights: Any = None, *, memory_mb: float = 1024, pieces: int = 1
) -> SortedRows:
    made = SortedRows(memory_mb=memory_mb)
    for at in np.array_split(np.arange(len(labels)), pieces):
        some = None if weights is None else weights[at]
        made.update(np.asarray(labels)[at], scores[at], np.asarray(groups)[at], some)
    return made


def made_up(rows: int, *, users: int, distinct: int, seed: int, weighted: bool = False) -> Rows:
    """Rows of users who differ in how often they click and in how well they are predicted."""
    draws = np.random.default_rng(seed)
    groups = draws.integers(0, users, rows)
    level = draws.normal(size=users)[groups]
    labels = (draws.random(rows) < 1 / (1 + np.exp(1 - level))).astype(np.int64)
    scores = 1 / (1 + np.exp(1 - 0.7 * level - draws.normal(size=rows)))
    scores = np.round(scores * distinct) / distinct
    return labels, scores, groups, draws.integers(1, 4, rows) / 2 if weighted else None


def error(found: Mapping[str, Estimate], metric: str) -> float:
    return float(found[metric].detail["standard_error"])


def by_scikit_learn(labels: Any, scores: Any, masses: Any) -> dict[str, float]:
    rate = np.average(labels, weights=masses)
    loss = log_loss(labels, scores, sample_weight=masses)
    return {
        "auc": roc_auc_score(labels, scores, sample_weight=masses),
        "label_rate": rate,
        "logloss": loss,
        "normalised_entropy": loss / -(rate * math.log(rate) + (1 - rate) * math.log(1 - rate)),
        "brier": brier_score_loss(labels, scores, sample_weight=masses),
        "calibration_ratio": float(np.average(scores, weights=masses) / rate),
    }


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("distinct", [3, 50, 10**9])
def test_the_values_are_the_metrics(weighted: bool, distinct: int) -> None:
    rows = made_up(6_000, users=300, distinct=distinct, seed=1, weighted=weighted)
    found = bootstrap_of(state_of(*rows), replicates=4)
    labels, scores, _, weights = rows
    expected = by_scikit_learn(labels, scores, weights)
    assert {name: estimate.value for name, estimate in found.items()} == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("distinct", [3, 50, 10**9])
def test_a_replicate_is_the_metric_of_rows_that_count_as_their_users_do(weighted: bool, distinct: int) -> None:
    rows = made_up(3_000, users=60, distinct=distinct, seed=2, weighted=weighted)
    labels, scores, groups, weights = rows
    counts = user_counts(groups, replicates=10, seed=7) * (1.0 if weights is None else weights[:, None])
    replicates = [by_scikit_learn(labels, scores, masses) for masses in counts.T]
    found = bootstrap_of(state_of(*rows), replicates=10, seed=7)
    for name, estimate in found.items():
        expected = np.std([replicate[name] for replicate in replicates], ddof=1)
        assert error(found, name) == pytest.approx(expected, rel=1e-9), name
        assert estimate.detail["replicates"] == 10


def test_counts_are_those_of_poisson() -> None:
    counts = user_counts(np.arange(100_000) - 50_000, replicates=10)
    assert counts.shape == (100_000, 10)
    for count in range(6):
        share, expected = float((counts == count).mean()), math.exp(-1) / math.factorial(count)
        assert abs(share - expected) < 4 * math.sqrt(expected / counts.size) + 1 / 65536
    assert abs(np.corrcoef(counts.T) - np.eye(10)).max() < 5 / math.sqrt(100_000)
    neighbours = np.corrcoef(counts[:-1, 0], counts[1:, 0])[0, 1]
    assert abs(neighbours) < 5 / math.sqrt(100_000)


def test_counts_belong_to_a_user_a_replicate_and_a_seed() -> None:
    users = np.array([5, -(2**63), 5, 2**63 - 1])
    counts = user_counts(users, replicates=203, seed=3)
    assert np.array_equal(counts[0], counts[2])
    assert np.array_equal(user_counts(users[::-1], replicates=50, seed=3), counts[::-1, :50])
    assert not np.array_equal(user_counts(users, replicates=203, seed=4), counts)
    assert not np.array_equal(counts[0], counts[1])


@given(
    st.integers(0, 2**32),
    st.sampled_from([2, 40, 10**9]),
    st.booleans(),
    st.integers(1, 4),
    st.sampled_from([0.001, 1024.0]),
)
@settings(max_examples=20)
def test_order_of_rows_chunks_merges_and_memory_change_no_digit(
    seed: int, distinct: int, weighted: bool, pieces: int, memory_mb: float
) -> None:
    rows = made_up(1_500, users=40, distinct=distinct, seed=seed % 1000, weighted=weighted)
    order = np.random.default_rng(seed).permutation(1_500)
    first, second = order[:700], order[700:]
    shuffled = [
        state_of(*(None if c is None else c[part] for c in rows), memory_mb=memory_mb, pieces=pieces)
        for part in (first, second)
    ]
    shuffled[0].merge(shuffled[1])
    assert bootstrap_of(shuffled[0], replicates=8) == bootstrap_of(state_of(*rows), replicates=8)


def test_the_error_of_auc_on_independent_rows_is_that_of_delong() -> None:
    labels, scores, _, _ = made_up(4_000, users=4_000, distinct=10**9, seed=5)
    found = bootstrap_of(state_of(labels, scores, np.arange(4_000)), replicates=1_000)
    expected = float(auc(labels, scores).detail["standard_error"])
    # A standard deviation of 1,000 numbers is itself off by 2.2 %.
    assert error(found, "auc") == pytest.approx(expected, rel=0.07)


def test_the_error_of_auc_on_repeated_rows_is_that_of_the_rows_once() -> None:
    labels, scores, _, _ = made_up(1_000, users=1_000, distinct=10**9, seed=5)
    copies = (np.repeat(column, 9) for column in (labels, scores, np.arange(1_000)))
    found = bootstrap_of(state_of(*copies), replicates=1_000)
    once = float(auc(labels, scores).detail["standard_error"])
    of_rows = float(auc(np.repeat(labels, 9), np.repeat(scores, 9)).detail["standard_error"])
    assert of_rows == pytest.approx(once / 3, rel=0.01)
    assert error(found, "auc") == pytest.approx(once, rel=0.07)


def test_intervals_are_normal_on_the_scale_of_the_metric() -> None:
    found = bootstrap_of(state_of(*made_up(2_000, users=100, distinct=50, seed=6)), replicates=100, level=0.9)
    reach = 1.6448536269514722
    for name, transform, slope in (
        ("auc", lambda x: math.log(x / (1 - x)), lambda x: 1 / (x * (1 - x))),
        ("label_rate", lambda x: math.log(x / (1 - x)), lambda x: 1 / (x * (1 - x))),
        ("calibration_ratio", math.log, lambda x: 1 / x),
        ("logloss", float, lambda _: 1.0),
        ("brier", float, lambda _: 1.0),
        ("normalised_entropy", float, lambda _: 1.0),
    ):
        estimate = found[name]
        assert estimate.interval is not None
        middle = transform(estimate.value)
        for end, sign in ((estimate.interval.low, -1), (estimate.interval.high, 1)):
            expected = middle + sign * reach * slope(estimate.value) * error(found, name)
            assert transform(end) == pytest.approx(expected, rel=1e-9), name
        assert estimate.interval.level == 0.9


def test_scores_of_any_range_have_an_auc_only() -> None:
    labels, scores, groups, _ = made_up(500, users=50, distinct=10**9, seed=8)
    plain = bootstrap_of(state_of(labels, scores, groups), replicates=20)
    for moved in (8 * scores - 4, 1e300 * scores, scores + 0.5):
        found = bootstrap_of(state_of(labels, moved, groups), replicates=20)
        assert found == {name: plain[name] for name in ("auc", "label_rate")}


def test_ties_longer_than_a_tile() -> None:
    labels, _, groups, _ = made_up(5_000, users=50, distinct=3, seed=9)
    found = bootstrap_of(state_of(labels, np.full(5_000, 0.3), groups), replicates=20)
    assert found["auc"].value == 0.5
    assert found["auc"].interval is None
    assert found["auc"].reason == "it is the same in all replicates, which does not tell how far the value may be off"
    assert found["label_rate"].interval is not None


def test_perfect_scores_have_no_interval_whatever_weights_round_to() -> None:
    draws = np.random.default_rng(3)
    labels = np.arange(300) % 2
    found = bootstrap_of(state_of(labels, labels + draws.random(300), draws.integers(0, 30, 300), draws.random(300)))
    assert found["auc"].value == pytest.approx(1, abs=1e-12)
    assert found["auc"].interval is None


def test_one_class_leaves_what_is_defined() -> None:
    found = bootstrap_of(state_of(np.zeros(50), np.full(50, 0.1), np.arange(50)), replicates=20)
    assert sorted(found) == ["brier", "label_rate", "logloss"]
    assert found["label_rate"].value == 0
    assert found["label_rate"].interval is None


def test_too_few_users() -> None:
    found = bootstrap_of(state_of([0, 1], np.array([0.1, 0.2]), [1, 2]), replicates=50)
    assert found["auc"].value == 1
    assert found["auc"].interval is None
    assert found["auc"].reason == "some replicates draw no rows that define it, as there are too few users"
    with pytest.raises(UndefinedMetric, match="needs rows of at least two users, and there is one"):
        bootstrap_of(state_of([0, 1], np.array([0.1, 0.2]), [7, 7]))


def test_a_rate_that_rounding_makes_1() -> None:
    # One user's clicks outweigh all else, but only in the replicates that draw this user.
    users = np.repeat(np.arange(40), 2)
    rows = state_of(np.tile([0, 1], 40), np.tile([0.4, 0.3], 40), users, np.where(np.arange(80) == 1, 1e30, 1.0))
    found = bootstrap_of(rows, replicates=20)["label_rate"]
    assert (found.value, found.interval) == (1, None)
    assert found.reason == "it is 0 or 1, which an interval on the scale of the logit does not reach"


def test_misuse() -> None:
    rows = state_of([0, 1], np.array([0.1, 0.2]), [1, 2])
    with pytest.raises(ConfigError, match="at least 2 replicates, got 1"):
        bootstrap_of(rows, replicates=1)
    with pytest.raises(ConfigError, match="level must be between 0 and 1, got 95"):
        bootstrap_of(rows, level=95)
    with pytest.raises(DataError, match="there are no rows"):
        bootstrap_of(SortedRows())


def test_progress_ends_with_all_rows() -> None:
    rows, told = state_of(*made_up(500, users=50, distinct=9, seed=1)), []
    bootstrap_of(rows, replicates=4, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (500, 500)
    paired_bootstrap(rows, rows, replicates=4, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (1_000, 1_000)


def test_paired_differences_are_those_of_the_replicates() -> None:
    labels, a, groups, _ = made_up(2_000, users=80, distinct=50, seed=11)
    b = np.clip(a + np.random.default_rng(0).normal(scale=0.1, size=a.size), 0, 1)
    order = np.random.default_rng(1).permutation(a.size)
    second = state_of(labels[order], b[order], groups[order])
    found = paired_bootstrap(state_of(labels, a, groups), second, replicates=20, seed=5, level=0.9)
    values = [by_scikit_learn(labels, s, np.ones(a.size)) for s in (a, b)]
    counts = user_counts(groups, replicates=20, seed=5)
    replicates = [[by_scikit_learn(labels, s, masses) for masses in counts.T] for s in (a, b)]
    assert set(found) == set(values[0])
    for name, difference in found.items():
        spread = np.std([x[name] - y[name] for x, y in zip(*replicates, strict=True)], ddof=1)
        assert difference.value == pytest.approx(values[0][name] - values[1][name], abs=1e-12)
        assert difference.interval is not None
        width = difference.interval.high - difference.interval.low
        assert width == pytest.approx(2 * 1.6448536269514722 * spread, abs=1e-12), name
        assert difference.p_value is not None
        assert (difference.p_value < 0.1) == (not difference.interval.holds(0)), name
    assert found["label_rate"].value == 0
    assert found["label_rate"].p_value == 1


def test_a_paired_error_is_below_that_of_each_model() -> None:
    labels, a, groups, _ = made_up(3_000, users=200, distinct=10**9, seed=12)
    b = np.clip(a + np.random.default_rng(0).normal(scale=0.02, size=a.size), 0, 1)
    first, second = state_of(labels, a, groups), state_of(labels, b, groups)
    interval = paired_bootstrap(first, second)["auc"].interval
    assert interval is not None
    assert (interval.high - interval.low) / (2 * 1.96) < 0.2 * error(bootstrap_of(first), "auc")


def test_a_difference_that_some_replicates_leave_undefined_has_a_reason() -> None:
    # Replicates without the one user who clicks have infinite ratios for both models.
    labels, a, b = [1, 0, 0], np.array([0.5, 0.2, 0.1]), np.array([0.4, 0.3, 0.1])
    found = paired_bootstrap(state_of(labels, a, [1, 2, 3]), state_of(labels, b, [1, 2, 3]), replicates=20)
    assert found["calibration_ratio"].value == pytest.approx(0)
    assert {difference.interval for name, difference in found.items() if name in ("auc", "calibration_ratio")} == {None}
    assert found["calibration_ratio"].reason is not None
    assert "some replicates draw no rows that define it" in found["calibration_ratio"].reason


@pytest.mark.parametrize("change", ["labels", "groups", "rows"])
def test_models_on_other_rows_are_not_compared(change: str) -> None:
    labels, scores, groups, _ = made_up(400, users=50, distinct=50, seed=13)
    columns = {"labels": labels.copy(), "scores": scores, "groups": groups.copy()}
    if change == "rows":
        columns = {name: column[1:] for name, column in columns.items()}
    elif change == "labels":
        columns["labels"][0] = 1 - labels[0]
    else:
        columns["groups"][0] += 1
    with pytest.raises(DataError, match="the two models' rows have not the same labels and users"):
        paired_bootstrap(state_of(labels, scores, groups), state_of(*columns.values()), replicates=20)


def test_intervals_hold_the_truth_where_rows_of_a_user_resemble_each_other() -> None:
    labels, scores, _, _ = made_up(400_000, users=40_000, distinct=10**9, seed=99)
    truth = {"auc": auc(labels, scores).value, "label_rate": float(labels.mean()), "brier": 0.0}
    truth["brier"] = float(((scores - labels) ** 2).mean())
    held, by_rows = dict.fromkeys(truth, 0), 0
    for seed in range(150):
        labels, scores, groups, _ = made_up(600, users=60, distinct=10**9, seed=seed)
        found = bootstrap_of(state_of(labels, scores, groups), replicates=100, seed=seed)
        for name, value in truth.items():
            interval = found[name].interval
            assert interval is not None
            held[name] += interval.holds(value)
        clicks = found["label_rate"].value
        by_rows += abs(clicks - truth["label_rate"]) <= 1.96 * math.sqrt(clicks * (1 - clicks) / 600)
    assert min(held.values()) >= 133, held
    assert by_rows < 120
