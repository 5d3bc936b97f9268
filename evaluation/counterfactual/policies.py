"""Policies made of a ranker's scores: with which probability each candidate of a request would be shown.

Rows are the candidates of requests, in any order; one of each request is shown. To judge a ranker by a log, score all
candidates of the logged requests, turn the scores into probabilities here, and take those of the rows that were shown.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from common.errors import ConfigError, DataError
from evaluation._inputs import checked_groups, checked_scores

Probabilities: TypeAlias = npt.NDArray[np.float64]


def greedy(requests: npt.ArrayLike, scores: npt.ArrayLike) -> Probabilities:
    """Always the highest score of the request; candidates that tie for it share the probability equally.

    A log tells of a greedy policy only through the rows in which its own choice was shown.

    Args:
        requests: Integers, shape ``(rows,)``; equal values are candidates of one request.
        scores: Finite numbers, shape ``(rows,)``, float32 or float64.

    Returns:
        Probabilities, shape ``(rows,)``, that add up to 1 in each request.

    Raises:
        DataError: The inputs break one of the rules above.
    """
    of_request, values = _candidates(requests, scores)
    best = (values == _largest(of_request, values)[of_request]).astype(np.float64)
    return _shares(of_request, best)


def softmax(requests: npt.ArrayLike, scores: npt.ArrayLike, *, temperature: float = 1.0) -> Probabilities:
    """In proportion to ``exp(score / temperature)``: the colder, the closer to ``greedy``.

    Args:
        requests: Integers, shape ``(rows,)``; equal values are candidates of one request.
        scores: Finite numbers, shape ``(rows,)``, float32 or float64; logits rather than probabilities.
        temperature: Above 0, in the unit of the scores.

    Returns:
        Probabilities, shape ``(rows,)``, that add up to 1 in each request.

    Raises:
        ConfigError: The temperature is not a finite number above 0.
        DataError: The inputs break one of the rules above.
    """
    if not 0 < temperature < np.inf:
        raise ConfigError(
            f"a temperature must be a finite number above 0, got {temperature}; 1 leaves scores as they are"
        )
    of_request, values = _candidates(requests, scores)
    # A score so far below the best that the distance overflows has probability 0.
    with np.errstate(over="ignore"):
        odds = np.exp((values - _largest(of_request, values)[of_request]) / temperature)
    return _shares(of_request, odds)


def epsilon_greedy(requests: npt.ArrayLike, scores: npt.ArrayLike, *, epsilon: float) -> Probabilities:
    """``greedy``, but with probability ``epsilon`` any candidate of the request alike.

    Args:
        requests: Integers, shape ``(rows,)``; equal values are candidates of one request.
        scores: Finite numbers, shape ``(rows,)``, float32 or float64.
        epsilon: From 0 to 1.

    Returns:
        Probabilities, shape ``(rows,)``, that add up to 1 in each request.

    Raises:
        ConfigError: Epsilon is outside 0 to 1.
        DataError: The inputs break one of the rules above.
    """
    if not 0 <= epsilon <= 1:
        raise ConfigError(f"epsilon must be from 0 to 1, got {epsilon}; 0.1 explores with one request in ten")
    of_request, _ = _candidates(requests, scores)
    return (1 - epsilon) * greedy(requests, scores) + epsilon / np.bincount(of_request)[of_request]


def _candidates(requests: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[npt.NDArray[np.int64], Probabilities]:
    """The position of each row's request, counted from 0, and the scores in float64."""
    keys = checked_groups(requests, np.size(requests))
    if not keys.size:
        raise DataError("there are no candidates; give at least one row")
    if keys.shape != np.shape(scores):
        raise DataError(f"scores have shape {np.shape(scores)} but requests have {keys.shape}; give one of each a row")
    values = checked_scores(scores, keys.size).astype(np.float64)
    return np.unique(keys, return_inverse=True)[1], values


def _largest(of_request: npt.NDArray[np.int64], values: Probabilities) -> Probabilities:
    largest = np.full(int(of_request.max()) + 1, -np.inf)
    np.maximum.at(largest, of_request, values)
    return largest


def _shares(of_request: npt.NDArray[np.int64], odds: Probabilities) -> Probabilities:
    shares: Probabilities = odds / np.bincount(of_request, odds)[of_request]
    return shares
