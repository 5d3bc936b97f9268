"""Wilson's interval against its definition, and the grouped AUC against counting pairs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.profile.rates import Rate, grouped_auc, wilson


def test_known_intervals() -> None:
    # Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3.
    assert wilson(263, 81) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(148, 15) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson(20, 0) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(29, 1) == pytest.approx((0.0061, 0.1718), abs=5e-5)
    assert wilson(0, 0) == (0.0, 1.0)


@given(st.integers(1, 10**9), st.floats(0, 1))
def test_the_interval_holds_the_rate_and_mirrors(rows: int, share: float) -> None:
    positives = round(rows * share)
    low, high = wilson(rows, positives)
    assert 0 <= low <= positives / rows <= high <= 1
    assert wilson(rows, rows - positives) == pytest.approx((1 - high, 1 - low), abs=1e-12)


def test_a_rate_of_nothing_is_none() -> None:
    assert Rate.of(0, 0).rate is None
    assert Rate.of(4, 1).rate == 0.25


def test_the_auc_is_that_of_all_pairs() -> None:
    draw = np.random.default_rng(0)
    rows = draw.integers(0, 6, (12, 2))
    positives = draw.binomial(rows, draw.random((12, 1)))
    counts = np.stack([rows[:, 0], positives[:, 0], rows[:, 1], positives[:, 1]], axis=1)
    expected = []
    for learnt, held in ((counts[:, :2], counts[:, 2:]), (counts[:, 2:], counts[:, :2])):
        prior = learnt[:, 1].sum() / learnt[:, 0].sum()
        score = (learnt[:, 1] + 10 * prior) / (learnt[:, 0] + 10)
        ones = np.repeat(score, held[:, 1])
        zeros = np.repeat(score, held[:, 0] - held[:, 1])
        pairs = ones[:, None] - zeros[None, :]
        expected.append(((pairs > 0).sum() + (pairs == 0).sum() / 2) / pairs.size)
    assert grouped_auc(counts) == pytest.approx(np.mean(expected), abs=1e-12)


def test_values_of_one_row_each_say_nothing() -> None:
    draw = np.random.default_rng(0)
    half, label = draw.integers(0, 2, 1000), draw.integers(0, 2, 1000)
    assert grouped_auc(np.stack([half, half * label, 1 - half, (1 - half) * label], axis=1)) == pytest.approx(0.5)


def test_values_that_give_the_label_away() -> None:
    assert grouped_auc(np.array([[50, 50, 60, 60], [40, 0, 30, 0]])) == 1.0


@pytest.mark.parametrize("counts", [[[5, 5, 5, 5]], [[5, 0, 5, 2]], [[0, 0, 9, 4]], [[4, 2, 0, 0]]])
def test_without_both_labels_in_both_halves_there_is_no_auc(counts: list[list[int]]) -> None:
    assert grouped_auc(np.array(counts)) is None
