"""Logloss against scikit-learn and against the formula."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from evaluation.logloss import logloss

PROBABILITY = st.sampled_from([0.0, 1.0, 0.5]) | st.floats(0, 1)
ROWS = st.lists(st.tuples(st.integers(0, 1), PROBABILITY), min_size=1, max_size=40)


# Both add floats, and scikit-learn forms 1 - p in the dtype of p, which loses digits when p is near 0.
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-14), (np.float32, 1e-6)])
@given(rows=ROWS)
def test_logloss_agrees_with_scikit_learn(dtype: Any, tolerance: float, rows: list[tuple[int, float]]) -> None:
    labels, values = zip(*rows, strict=True)
    probabilities = np.array(values, dtype)
    expected = log_loss(labels, probabilities, labels=[0, 1])
    assert logloss(labels, probabilities) == pytest.approx(expected, rel=tolerance, abs=tolerance)


@pytest.mark.parametrize(("dtype", "bits"), [(np.float32, 23), (np.float64, 52)])
def test_saturated_predictions_cost_the_epsilon_of_their_dtype(dtype: Any, bits: int) -> None:
    for label in (0, 1):
        wrong, right = np.array([1 - label], dtype), np.array([label], dtype)
        assert logloss([label], wrong) == pytest.approx(bits * math.log(2), rel=1e-15)
        assert logloss([label], right) == pytest.approx(2.0**-bits, rel=1e-6, abs=0)


def test_a_small_probability_keeps_its_digits() -> None:
    assert logloss([0, 0], np.array([3e-13, 5e-13])) == pytest.approx(4e-13, rel=1e-9, abs=0)


def test_float32_is_added_up_in_float64() -> None:
    # 0.1 in float32 is 0.100000001490116; a float32 sum of a million logarithms is off by more than this tolerance.
    labels, probabilities = np.ones(1_000_001, bool), np.full(1_000_001, 0.1, np.float32)
    assert logloss(labels, probabilities) == pytest.approx(-math.log(float(np.float32(0.1))), rel=1e-12)


def test_one_class_is_defined_and_each_class_counts_by_its_rows() -> None:
    assert logloss([1, 1], np.array([0.5, 0.25])) == pytest.approx(1.5 * math.log(2), rel=1e-15)
    assert logloss([1, 0, 0, 0], np.array([0.25, 0.5, 0.5, 0.5])) == pytest.approx(1.25 * math.log(2), rel=1e-15)
