"""Grouped AUC against a loop over the groups."""

from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import ConfigError
from evaluation.auc import auc
from evaluation.gauc import Gauc, Weighting, gauc
from evaluation.undefined import UndefinedMetric

WEIGHTINGS: tuple[Weighting, ...] = get_args(Weighting)
KEYS = st.sampled_from([-(2**63), -5, 0, 1, 2**63 - 1])
Rows = tuple[npt.NDArray[np.int64], npt.NDArray[Any], npt.NDArray[np.int64]]


@st.composite
def grouped_predictions(draw: st.DrawFn) -> Rows:
    """Labels, scores with ties within and across groups, and keys from the whole of int64."""
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    score = st.sampled_from([-3.0, -0.0, 0.0, 0.125, 7.0]) | st.floats(-10, 10, width=32)
    rows = draw(st.lists(st.tuples(st.integers(0, 1), score, KEYS), min_size=1, max_size=40))
    labels, scores, groups = zip(*rows, strict=True)
    return np.array(labels), np.array(scores, dtype), np.array(groups, np.int64)


def gauc_by_loop(labels: Any, scores: Any, groups: Any, weighting: Weighting) -> Gauc | None:
    """The metric, a group at a time."""
    products, weights, rows_used = [], [], 0
    keys = sorted(set(groups.tolist()))
    for key in keys:
        inside = groups == key
        clicks = int(labels[inside].sum())
        if 0 < clicks < inside.sum():
            weight = {"impressions": int(inside.sum()), "positives": clicks, "plain": 1}[weighting]
            products.append(weight * auc(labels[inside], scores[inside]))
            weights.append(weight)
            rows_used += int(inside.sum())
    if not weights:
        return None
    return Gauc(
        value=sum(products) / sum(weights),
        weighting=weighting,
        groups_used=len(weights),
        groups_one_class=len(keys) - len(weights),
        rows_used=rows_used,
        rows_one_class=len(labels) - rows_used,
    )


@given(grouped_predictions(), st.sampled_from(WEIGHTINGS))
def test_gauc_equals_a_loop_over_groups(rows: Rows, weighting: Weighting) -> None:
    expected = gauc_by_loop(*rows, weighting)
    if expected is None:
        with pytest.raises(UndefinedMetric, match="gauc needs a group with rows of both classes"):
            gauc(*rows, weighting)
        return
    found = gauc(*rows, weighting)
    assert found.value == pytest.approx(expected.value, rel=1e-14, abs=0)
    assert found == Gauc(**{**vars(expected), "value": found.value})


@given(grouped_predictions(), st.sampled_from(WEIGHTINGS), st.randoms(use_true_random=False))
def test_order_of_rows_and_names_of_groups_change_no_digit(rows: Rows, weighting: Weighting, random: Any) -> None:
    labels, scores, groups = rows
    order = random.sample(range(labels.size), labels.size)
    try:
        expected = gauc(labels, scores, groups, weighting)
    except UndefinedMetric:
        return
    assert gauc(labels[order], scores[order], groups[order], weighting) == expected
    assert gauc(labels, scores, ~groups, weighting) == expected


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_no_digit_changes_over_many_groups(weighting: Weighting) -> None:
    random = np.random.default_rng(4)
    labels, scores, groups = random.integers(0, 2, 5_000), random.random(5_000), random.integers(0, 700, 5_000)
    expected = gauc(labels, scores, groups, weighting)
    for _ in range(5):
        # Other names put the groups in another order, in which a plain sum rounds differently.
        names = random.permutation(700)
        assert gauc(labels, scores, names[groups], weighting) == expected


@given(grouped_predictions(), st.sampled_from(WEIGHTINGS))
def test_one_group_has_the_plain_auc(rows: Rows, weighting: Weighting) -> None:
    labels, scores, groups = rows
    if 0 < labels.sum() < labels.size:
        assert gauc(labels, scores, np.full_like(groups, 7), weighting).value == pytest.approx(
            auc(labels, scores), rel=1e-15
        )


def test_the_weightings_differ() -> None:
    # Group 1: two clicks above two others, AUC 1. Group 2: one click below six others, AUC 0. Group 3: no click.
    labels = [1, 1, 0, 0, *[1, 0, 0, 0, 0, 0, 0], 0, 0]
    scores = np.array([0.9, 0.8, 0.2, 0.1, *[0.0, 1, 2, 3, 4, 5, 6], 0.5, 0.6])
    groups = [1] * 4 + [2] * 7 + [3] * 2
    assert gauc(labels, scores, groups).value == 4 / 11
    assert gauc(labels, scores, groups, "positives").value == 2 / 3
    assert gauc(labels, scores, groups, "plain") == Gauc(
        value=0.5, weighting="plain", groups_used=2, groups_one_class=1, rows_used=11, rows_one_class=2
    )


def test_levels_of_groups_do_not_matter() -> None:
    labels = np.array([0, 1, 0, 1])
    scores = np.array([0.1, 0.2, 0.8, 0.9])
    groups = np.array([1, 1, 2, 2])
    assert auc(labels, scores) == 0.75
    assert gauc(labels, scores, groups).value == 1.0


@pytest.mark.parametrize("swap", [False, True])
def test_many_pairs_in_a_group_are_counted_to_the_last_one(swap: bool) -> None:
    labels = np.tile(np.repeat([0, 1], 100_000), 2)
    scores = np.tile(np.arange(200_000, dtype=np.float64), 2)
    if swap:
        scores[99_999], scores[100_000] = 100_000, 99_999
    groups = np.repeat([5, 3], 200_000)
    assert gauc(labels, scores, groups).value == pytest.approx(1 - 0.5e-10 if swap else 1.0, abs=1e-13)


def test_no_group_with_both_classes() -> None:
    with pytest.raises(UndefinedMetric) as caught:
        gauc([0, 0, 1, 0], np.zeros(4), [1, 1, 2, 3])
    assert str(caught.value) == "gauc needs a group with rows of both classes, but none of the 3 has them"


def test_unknown_weighting() -> None:
    with pytest.raises(ConfigError) as caught:
        gauc([0, 1], np.zeros(2), [1, 1], "impression")  # type: ignore[arg-type]
    assert str(caught.value) == "gauc has no weighting 'impression'; did you mean 'impressions'?"
