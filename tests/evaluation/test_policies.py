"""Policies made of scores: probabilities that add up to 1 in each request."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special  # type: ignore[import-untyped]

from common.errors import ConfigError, DataError
from evaluation.counterfactual.policies import epsilon_greedy, greedy, softmax

REQUESTS = np.array([7, 7, -1, 7, -1, 3])
SCORES = np.array([0.1, 0.4, 0.5, 0.4, 0.2, 0.9])
POLICIES: list[Callable[[Any, Any], Any]] = [greedy, softmax, partial(epsilon_greedy, epsilon=0.3)]


def test_greedy_shares_ties() -> None:
    assert greedy(REQUESTS, SCORES).tolist() == [0, 0.5, 1, 0.5, 0, 1]


def test_epsilon_greedy_mixes_with_any_candidate_alike() -> None:
    found = epsilon_greedy(REQUESTS, SCORES, epsilon=0.3)
    assert found == pytest.approx(np.array([0.1, 0.45, 0.85, 0.45, 0.15, 1]))
    assert epsilon_greedy(REQUESTS, SCORES, epsilon=0).tolist() == greedy(REQUESTS, SCORES).tolist()


@pytest.mark.parametrize("temperature", [0.05, 1.0, 30.0])
def test_softmax_agrees_with_scipy(temperature: float) -> None:
    found = softmax(REQUESTS, SCORES, temperature=temperature)
    for request in (7, -1, 3):
        of_request = request == REQUESTS
        assert found[of_request] == pytest.approx(special.softmax(SCORES[of_request] / temperature), rel=1e-12)


def test_softmax_of_extreme_scores_and_temperatures() -> None:
    assert softmax([1, 1, 1], np.array([1e308, -1e308, 1e308])).tolist() == [0.5, 0, 0.5]
    assert softmax(REQUESTS, SCORES, temperature=1e-300).tolist() == greedy(REQUESTS, SCORES).tolist()
    assert softmax(REQUESTS, SCORES, temperature=1e300) == pytest.approx(epsilon_greedy(REQUESTS, SCORES, epsilon=1))


@pytest.mark.parametrize("policy", POLICIES)
@given(rows=st.lists(st.tuples(st.integers(-3, 3), st.floats(-50, 50)), min_size=1, max_size=30))
def test_each_request_adds_up_to_one(policy: Callable[[Any, Any], Any], rows: list[tuple[int, float]]) -> None:
    requests, scores = (np.array(column) for column in zip(*rows, strict=True))
    found = policy(requests, scores)
    assert np.all((found >= 0) & (found <= 1))
    for request in set(requests.tolist()):
        of_request = requests == request
        assert found[of_request].sum() == pytest.approx(1)
        # The better score never has the smaller chance.
        order = np.argsort(scores[of_request], kind="stable")
        assert np.all(np.diff(found[of_request][order]) >= -1e-12)


def test_wrong_inputs() -> None:
    with pytest.raises(ConfigError, match="a temperature must be a finite number above 0, got 0; 1 leaves scores"):
        softmax(REQUESTS, SCORES, temperature=0)
    with pytest.raises(ConfigError, match=r"epsilon must be from 0 to 1, got 1.5; 0.1 explores"):
        epsilon_greedy(REQUESTS, SCORES, epsilon=1.5)
    for policy in POLICIES:
        with pytest.raises(DataError, match="there are no candidates; give at least one row"):
            policy(np.array([], int), np.array([]))
        with pytest.raises(
            DataError, match=r"scores have shape \(2,\) but requests have \(6,\); give one of each a row"
        ):
            policy(REQUESTS, SCORES[:2])
        with pytest.raises(DataError, match="score nan in row 1"):
            policy([1, 1], np.array([0.5, np.nan]))
