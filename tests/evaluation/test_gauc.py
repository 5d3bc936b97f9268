"""Grouped AUC against a loop over the groups."""

import itertools
import math
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import ConfigError, DataError
from evaluation.estimate import Estimate
from evaluation.interval import quantile, two_sided_p
from evaluation.metrics.gauc import Weighting, gauc, gauc_of, paired_gauc
from evaluation.state.grouped_rows import GroupedRows
from evaluation.undefined import UndefinedMetric

WEIGHTINGS: tuple[Weighting, ...] = get_args(Weighting)
KEYS = st.sampled_from([-(2**63), -5, 0, 1, 2**63 - 1])
Rows = tuple[npt.NDArray[np.int64], npt.NDArray[Any], npt.NDArray[np.int64], npt.NDArray[np.float64] | None]


@st.composite
def grouped_predictions(draw: st.DrawFn) -> Rows:
    """Labels, scores with ties within and across groups, keys from the whole of int64, and often weights."""
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    score = st.sampled_from([-3.0, -0.0, 0.0, 0.125, 7.0]) | st.floats(-10, 10, width=32)
    weight = st.sampled_from([0.0, 1.0, 1e-9, 3.0]) | st.floats(0.01, 10)
    rows = draw(st.lists(st.tuples(st.integers(0, 1), score, KEYS, weight), min_size=1, max_size=40))
    labels, scores, groups, weights = zip(*rows, strict=True)
    weighted = draw(st.booleans())
    return (
        np.array(labels),
        np.array(scores, dtype),
        np.array(groups, np.int64),
        np.array(weights) if weighted else None,
    )


def gauc_by_loop(labels: Any, scores: Any, groups: Any, weights: Any, weighting: Weighting) -> Estimate | None:
    """The metric, a group and in it a pair at a time."""
    mass = np.ones(labels.size) if weights is None else weights
    kept = mass > 0
    aucs, shares, rows_used = [], [], 0
    keys = sorted(set(groups[kept].tolist()))
    for key in keys:
        y, s, w = (a[kept & (groups == key)] for a in (labels, scores, mass))
        if not 0 < y.sum() < y.size:
            continue
        won = pairs = 0.0
        for i in np.flatnonzero(y):
            for j in np.flatnonzero(y == 0):
                won += w[i] * w[j] * (float(s[i] > s[j]) + float(s[i] >= s[j])) / 2
                pairs += w[i] * w[j]
        aucs.append(won / pairs)
        shares.append({"impressions": w.sum(), "positives": w[y == 1].sum(), "plain": 1}[weighting])
        rows_used += y.size
    if not aucs:
        return None
    detail = {
        "weighting": weighting,
        "groups_used": len(aucs),
        "groups_one_class": len(keys) - len(aucs),
        "rows_used": rows_used,
        "rows_one_class": int(kept.sum()) - rows_used,
    }
    return Estimate(float(np.average(aucs, weights=shares)), detail=detail)


def measured(rows: Rows, weighting: Weighting) -> Estimate | None:
    try:
        return gauc(*rows, weighting=weighting)
    except UndefinedMetric:
        return None


@given(grouped_predictions(), st.sampled_from(WEIGHTINGS))
def test_gauc_equals_a_loop_over_groups(rows: Rows, weighting: Weighting) -> None:
    expected = gauc_by_loop(*rows, weighting)
    if expected is None:
        with pytest.raises(UndefinedMetric, match="gauc needs a group with rows of both classes"):
            gauc(*rows, weighting=weighting)
        return
    found = gauc(*rows, weighting=weighting)
    assert found.value == pytest.approx(expected.value, rel=1e-12, abs=1e-15)
    assert found.detail == expected.detail


@given(grouped_predictions(), st.sampled_from(WEIGHTINGS), st.randoms(use_true_random=False))
def test_order_of_rows_and_names_of_groups_change_no_digit(rows: Rows, weighting: Weighting, random: Any) -> None:
    labels, scores, groups, weights = rows
    order = random.sample(range(labels.size), labels.size)
    shuffled = labels[order], scores[order], groups[order], None if weights is None else weights[order]
    assert measured(shuffled, weighting) == measured(rows, weighting)
    assert measured((labels, scores, ~groups, weights), weighting) == measured(rows, weighting)


@given(grouped_predictions(), st.lists(st.integers(0, 40), max_size=4), st.sampled_from([0, 1024]), st.booleans())
def test_chunks_merges_and_memory_change_no_digit(rows: Rows, cuts: list[int], memory_mb: int, reverse: bool) -> None:
    ends = sorted({0, rows[0].size, *(cut for cut in cuts if cut < rows[0].size)})
    state = GroupedRows(memory_mb=memory_mb)
    for position, (a, b) in enumerate(itertools.pairwise(ends)):
        chunk = tuple(None if column is None else column[a:b] for column in rows)
        if position % 2:
            state.update(*chunk)  # type: ignore[arg-type]
        else:
            other = GroupedRows(memory_mb=1024 - memory_mb)
            other.update(*chunk)  # type: ignore[arg-type]
            if reverse:
                state, other = other, state
            state.merge(other)
    for weighting in WEIGHTINGS:
        try:
            found = gauc_of(state, weighting=weighting)
        except UndefinedMetric:
            found = None
        assert found == measured(rows, weighting)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_digit_changes_over_many_groups(weighting: Weighting, weighted: bool, dtype: type) -> None:
    random = np.random.default_rng(4)
    labels, scores, groups = random.integers(0, 2, 5_000), random.random(5_000), random.integers(0, 700, 5_000)
    scores = scores.astype(np.float32).astype(dtype)
    weights = random.random(5_000) if weighted else None
    expected = gauc(labels, scores, groups, weights, weighting=weighting)
    for _ in range(5):
        # Other names put the groups in another order, in which a plain sum rounds differently.
        names = random.permutation(700) * random.choice([1, 2**53])
        assert gauc(labels, scores, names[groups], weights, weighting=weighting) == expected


@given(grouped_predictions(), st.sampled_from(WEIGHTINGS), st.sampled_from([0.3, 1.0, 1e5]))
def test_equal_weights_change_nothing(rows: Rows, weighting: Weighting, weight: float) -> None:
    labels, scores, groups, _ = rows
    expected = measured((labels, scores, groups, None), weighting)
    found = measured((labels, scores, groups, np.full(labels.size, weight)), weighting)
    if expected is None or found is None:
        assert found is expected
        return
    assert found.value == pytest.approx(expected.value, rel=1e-12, abs=1e-15)
    assert found.detail == expected.detail
    if expected.interval and expected.interval.high - expected.interval.low > 1e-6 and found.interval:
        assert found.interval.low == pytest.approx(expected.interval.low, rel=1e-9)


def test_a_weight_is_as_many_rows() -> None:
    draws = np.random.default_rng(1)
    labels, scores = draws.integers(0, 2, 300), draws.integers(0, 20, 300) / 20
    groups, times = draws.integers(0, 30, 300), draws.integers(0, 4, 300)
    repeated = (np.repeat(column, times) for column in (labels, scores, groups))
    found, expected = gauc(labels, scores, groups, times), gauc(*repeated)
    assert found.value == pytest.approx(expected.value, rel=1e-12)
    assert found.interval is not None
    assert expected.interval is not None
    assert found.interval.high == pytest.approx(expected.interval.high, rel=1e-12)


def test_the_weightings_differ() -> None:
    # Group 1: two clicks above two others, AUC 1. Group 2: one click below six others, AUC 0. Group 3: no click.
    labels = [1, 1, 0, 0, *[1, 0, 0, 0, 0, 0, 0], 0, 0]
    scores = np.array([0.9, 0.8, 0.2, 0.1, *[0.0, 1, 2, 3, 4, 5, 6], 0.5, 0.6])
    groups = [1] * 4 + [2] * 7 + [3] * 2
    state = GroupedRows.of(labels, scores, groups)
    assert gauc_of(state).value == 4 / 11
    assert gauc_of(state, weighting="positives").value == 2 / 3
    plain = gauc_of(state, weighting="plain")
    assert plain.value == 0.5
    assert plain.detail == {
        "weighting": "plain",
        "groups_used": 2,
        "groups_one_class": 1,
        "rows_used": 11,
        "rows_one_class": 2,
    }
    state.update([1, 0], np.array([0.55, 0.2]), [3, 3])
    assert gauc_of(state, weighting="plain").value == pytest.approx((1 + 0 + 2 / 3) / 3)


def test_levels_of_groups_do_not_matter() -> None:
    labels = np.array([0, 1, 0, 1])
    scores = np.array([0.1, 0.2, 0.8, 0.9])
    groups = np.array([1, 1, 2, 2])
    assert gauc(labels, scores, groups).value == 1.0
    assert gauc(labels, scores, np.array([1, 1, 1, 1])).value == 0.75


@pytest.mark.parametrize("swap", [False, True])
def test_many_pairs_in_a_group_are_counted_to_the_last_one(swap: bool) -> None:
    labels = np.tile(np.repeat([0, 1], 100_000), 2)
    scores = np.tile(np.arange(200_000, dtype=np.float64), 2)
    if swap:
        scores[99_999], scores[100_000] = 100_000, 99_999
    groups = np.repeat([5, 3], 200_000)
    assert gauc(labels, scores, groups).value == pytest.approx(1 - 0.5e-10 if swap else 1.0, abs=1e-13)


def test_the_error_is_that_of_a_ratio_over_groups() -> None:
    # AUCs 1, 1/2 and 0 in groups of 2, 3 and 4 rows.
    labels = [0, 1, 0, 1, 0, 1, 0, 0, 0]
    scores = np.array([0.1, 0.2, 0.1, 0.2, 0.3, 0.1, 0.2, 0.3, 0.4])
    value = (2 * 1 + 3 * 0.5 + 4 * 0) / 9
    error = math.sqrt(3 / 2 * sum((w * (a - value)) ** 2 for w, a in ((2, 1), (3, 0.5), (4, 0)))) / 9
    found = gauc(labels, scores, [1] * 2 + [2] * 3 + [3] * 4, level=0.9)
    assert found.value == pytest.approx(value, rel=1e-15)
    assert found.interval is not None
    # An effective number of 9^2 / (2^2 + 3^2 + 4^2) groups.
    t = quantile(0.9, 81 / 29 - 1)
    middle, reach = math.log(value / (1 - value)), t * error / (value * (1 - value))
    assert found.interval.low == pytest.approx(1 / (1 + math.exp(reach - middle)))
    assert found.interval.high == pytest.approx(1 / (1 + math.exp(-reach - middle)))
    assert found.interval.level == 0.9


def test_intervals_hold_the_true_value_as_often_as_they_say() -> None:
    """Users differ in how well they are ranked, so an interval from rows would be too narrow."""
    held = 0
    for seed in range(300):
        draws = np.random.default_rng(seed)
        groups = np.repeat(np.arange(80), 20)
        labels = np.tile(np.repeat([0, 1], 10), 80)
        skill = np.repeat(draws.choice([-1.0, 2.0], 80), 20)
        found = gauc(labels, draws.normal(size=labels.size) + skill * labels, groups)
        truth = (0.23975006109347669 + 0.9213503964748574) / 2  # the normal distribution's at -1/sqrt 2 and 2/sqrt 2
        assert found.interval is not None
        held += found.interval.holds(truth)
    assert 0.91 <= held / 300 <= 0.985


ALIKE = (
    "every group with rows of both classes has the value {}, so that their spread does not tell how far it may be off"
)


@pytest.mark.parametrize("flip", [1, -1])
def test_groups_that_are_all_perfect_have_no_interval(flip: int) -> None:
    found = gauc([0, 1, 0, 1], flip * np.array([0.1, 0.2, 0.8, 0.9]), [1, 1, 2, 2])
    assert found.interval is None
    value = 1 if flip == 1 else 0
    assert (found.value, found.reason) == (value, ALIKE.format(value))


def test_groups_that_are_all_alike_have_no_interval() -> None:
    labels, groups = [0, 1, 0] * 2, [0, 0, 0, 1, 1, 1]
    a, b = np.array([0.1, 0.2, 0.3] * 2), np.array([0.1, 0.4, 0.3] * 2)
    found = gauc(labels, a, groups)
    assert (found.value, found.interval, found.reason) == (0.5, None, ALIKE.format(0.5))
    difference = paired_gauc(labels, a, b, groups)
    assert (difference.value, difference.interval, difference.p_value) == (-0.5, None, None)
    assert difference.reason == (
        "every group with rows of both classes has the same difference, which does not tell how far it may be off"
    )


@given(st.lists(st.floats(0.01, 3), min_size=4, max_size=12), st.integers(0, 2**32))
def test_weighted_groups_that_are_perfect_up_to_rounding(weights: list[float], seed: int) -> None:
    random, rows = np.random.default_rng(seed), len(weights)
    labels = np.append([0, 1], random.integers(0, 2, rows - 2))
    scores = labels + random.random(rows) / 2
    found = gauc(np.tile(labels, 2), np.tile(scores, 2), np.repeat([0, 1], rows), weights * 2)
    assert 1 - 1e-12 < found.value <= 1
    assert (found.interval, found.reason) == (None, ALIKE.format(1))


def test_one_group_has_no_interval() -> None:
    found = gauc([0, 1, 0, 1, 0], np.array([0.1, 0.2, 0.8, 0.9, 0.0]), [1, 1, 1, 1, 2])
    assert (found.value, found.interval) == (0.75, None)
    assert found.reason == "a single group with rows of both classes does not tell how far the value may be off"


def test_no_group_with_both_classes() -> None:
    with pytest.raises(UndefinedMetric) as caught:
        gauc([0, 0, 1, 0], np.zeros(4), [1, 1, 2, 3])
    assert str(caught.value) == "gauc needs a group with rows of both classes, but none of the 3 has them"
    with pytest.raises(UndefinedMetric, match="none of the 0 has them"):
        gauc_of(GroupedRows())
    with pytest.raises(UndefinedMetric, match="none of the 0 has them"):
        gauc([0, 1], np.zeros(2), [1, 1], [0, 0])


def test_unknown_weighting() -> None:
    with pytest.raises(ConfigError) as caught:
        gauc([0, 1], np.zeros(2), [1, 1], weighting="impression")  # type: ignore[arg-type]
    assert str(caught.value) == "gauc has no weighting 'impression'; did you mean 'impressions'?"


def test_a_group_column_of_floats_is_refused() -> None:
    with pytest.raises(DataError, match="groups must be integers, got float64; encode them as tokens first"):
        gauc([0, 1], np.zeros(2), np.array([1.0, 1.0]))


def test_weights_for_some_rows_only_are_refused() -> None:
    state = GroupedRows.of([0, 1], np.zeros(2), [1, 1])
    with pytest.raises(DataError, match="some rows have weights and some have none"):
        state.update([0, 1], np.zeros(2), [1, 1], [1.0, 2.0])
    with pytest.raises(DataError, match="some rows have weights and some have none"):
        state.merge(GroupedRows.of([0, 1], np.zeros(2), [1, 1], [1.0, 2.0]))
    assert state.rows == 2
    assert gauc_of(state).value == 0.5


@given(grouped_predictions(), st.sampled_from(WEIGHTINGS), st.randoms(use_true_random=False))
def test_a_paired_difference_is_that_of_both_values(rows: Rows, weighting: Weighting, random: Any) -> None:
    labels, scores, groups, weights = rows
    other = np.array(random.sample(scores.tolist(), scores.size), np.float64)
    first, second = measured(rows, weighting), measured((labels, other, groups, weights), weighting)
    if first is None or second is None:
        with pytest.raises(UndefinedMetric):
            paired_gauc(labels, scores, other, groups, weights, weighting=weighting)
        return
    found = paired_gauc(labels, scores, other, groups, weights, weighting=weighting)
    assert found.value == pytest.approx(first.value - second.value, abs=1e-12)
    back = paired_gauc(labels, other, scores, groups, weights, weighting=weighting)
    # A group's weight is added up in the order of the first model's scores.
    assert back.value == pytest.approx(-found.value, abs=1e-12)
    assert (back.p_value is None) == (found.p_value is None)
    assert weights is not None or (back.value, back.p_value) == (-found.value, found.p_value)
    assert (found.interval is None) == (found.reason is not None) == (found.p_value is None)
    assert found.interval is None or int(first.detail["groups_used"]) > 1


def test_a_paired_difference_has_the_error_of_the_groups_differences() -> None:
    draws = np.random.default_rng(2)
    groups, labels = np.repeat(np.arange(50), 8), np.tile([0, 1], 200)
    shared = draws.normal(size=400)
    a, b = shared + 0.3 * labels + 0.1 * draws.normal(size=400), shared + 0.1 * draws.normal(size=400)
    found = paired_gauc(labels, a, b, groups, weighting="plain", level=0.9)
    differences = [
        gauc(labels[groups == g], a[groups == g], groups[groups == g]).value
        - gauc(labels[groups == g], b[groups == g], groups[groups == g]).value
        for g in range(50)
    ]
    error = float(np.std(differences, ddof=1)) / math.sqrt(50)
    assert found.value == pytest.approx(np.mean(differences))
    assert found.interval is not None
    assert found.interval.high - found.value == pytest.approx(1.6448536269514722 * error)
    assert found.p_value == pytest.approx(two_sided_p(found.value, error), rel=1e-3)
    assert two_sided_p(found.value, error) < 1e-6


def test_a_model_does_not_differ_from_itself() -> None:
    scores = np.random.default_rng(3).random(60)
    found = paired_gauc(np.arange(60) % 2, scores, scores, np.arange(60) // 10)
    assert (found.value, found.p_value) == (0, 1)
