"""How early the positives of a request come when its rows are shown by score: NDCG, MRR and hit rate."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from common.errors import ConfigError
from evaluation._segments import running
from evaluation.estimate import Estimate
from evaluation.interval import LEVEL
from evaluation.metrics._clusters import mean_estimate
from evaluation.state.grouped_rows import GroupedRows, Ties
from evaluation.undefined import UndefinedMetric

Floats: TypeAlias = npt.NDArray[np.float64]
Counts: TypeAlias = npt.NDArray[np.int64]


class _Ranked:
    """The ties of some requests, with the ranks that they take.

    Attributes:
        first: Where each request begins in the arrays of ties, shape ``(requests,)``.
        rows: Rows of each request, same shape.
        positives: Rows of label 1 of each tie, shape ``(ties,)``.
        size: Rows of each tie.
        above: Rows of the same request that score higher.
    """

    def __init__(self, ties: Ties) -> None:
        self.first, self.rows = ties.first, ties.rows
        self.positives = ties.positives.astype(np.int64, copy=False)
        self.size = self.positives + ties.negatives.astype(np.int64, copy=False)
        of_request = np.diff(self.first, append=self.size.size)
        # Ties ascend, so the last row of a request is followed by as many rows as the requests up to it have.
        self.above = np.repeat(np.cumsum(self.rows), of_request) - np.cumsum(self.size)


def ndcg(
    labels: npt.ArrayLike, scores: npt.ArrayLike, groups: npt.ArrayLike, *, k: int, level: float = LEVEL
) -> Estimate:
    """Normalised discounted cumulative gain at rank k, mean over requests (Järvelin and Kekäläinen 2002).

    A request's ``DCG = sum(1 / log2(rank + 1))`` over its positives at ranks 1 to k (gain 1, their discount in base 2),
    divided by the greatest that its positives can reach.

    Ties: the expected value over all orders of rows of equal score. Each of the tied rows has the same chance to be
    a positive, so the run's ranks up to k share its discounts in the ratio of positives to rows (McSherry and Najork
    2008). Order of rows, of chunks and of merges change no digit.

    All metrics here do every request at once: O(n log n) time, about 60 bytes of memory a row beside the inputs.

    Args:
        labels: 0 or 1 a row, shape ``(rows,)``, of any boolean, integer or floating dtype.
        scores: Finite numbers of any range, shape ``(rows,)``, float32 or float64. Only their order matters.
        groups: Integers, shape ``(rows,)``; equal values form a request.
        k: How many ranks count, at least 1.
        level: Confidence level of the interval.

    Returns:
        A number from 0 to 1, with an interval from the spread over requests, Student's on the logit scale; without one
        where all requests count alike, or there is but one. Its ``detail`` has ``requests_used`` and
        ``requests_without_positive``, which are left out. A request whose rows are all positive counts 1.

    Raises:
        UndefinedMetric: No request has a positive.
        ConfigError: ``k`` is below 1.
        DataError: The inputs break one of the rules above.
    """
    return ndcg_of(GroupedRows.of(labels, scores, groups), k=k, level=level)


def ndcg_of(rows: GroupedRows, *, k: int, level: float = LEVEL) -> Estimate:
    """NDCG of rows that a state has seen.

    Args:
        rows: The rows.
        k: As for ``ndcg``.
        level: As for ``ndcg``.

    Returns:
        As for ``ndcg``.

    Raises:
        UndefinedMetric: As for ``ndcg``, or rows have weights, which say nothing about ranks.
        ConfigError: As for ``ndcg``.
    """
    _require_rank(k, "ndcg")

    def of_requests(ties: _Ranked) -> Floats:
        # gains[rank] is the sum of the discounts of ranks 1 to rank.
        deepest = min(k, int(ties.rows.max()))
        gains = np.append(0.0, np.cumsum(1 / np.log2(np.arange(deepest) + 2)))
        reached = gains[np.minimum(ties.above + ties.size, deepest)] - gains[np.minimum(ties.above, deepest)]
        won = np.add.reduceat(ties.positives / ties.size * reached, ties.first)
        best: Floats = gains[np.minimum(np.add.reduceat(ties.positives, ties.first), deepest)]
        return np.divide(won, best, out=np.zeros_like(won), where=best > 0)

    return _mean_over_requests(rows, f"ndcg@{k}", of_requests, level)


def mrr(labels: npt.ArrayLike, scores: npt.ArrayLike, groups: npt.ArrayLike, *, level: float = LEVEL) -> Estimate:
    """Mean reciprocal rank: the mean over requests of 1 / rank of the first positive (Voorhees 1999).

    Ties: the expected value over all orders of rows of equal score. Let the run of the first positive have n rows,
    p of them positive, and s rows above it. In a random order its first positive comes at place t with probability
    ``P(t) = C(n - t, p - 1) / C(n, p) = p / (n - t + 1) * prod((n - p - i) / (n - i) for i < t - 1)``, and the request
    counts ``sum(P(t) / (s + t))``.

    Args:
        labels: As for ``ndcg``.
        scores: As for ``ndcg``.
        groups: As for ``ndcg``.
        level: As for ``ndcg``.

    Returns:
        As for ``ndcg``.

    Raises:
        UndefinedMetric: As for ``ndcg``.
        DataError: As for ``ndcg``.
    """
    return mrr_of(GroupedRows.of(labels, scores, groups), level=level)


def mrr_of(rows: GroupedRows, *, level: float = LEVEL) -> Estimate:
    """MRR of rows that a state has seen.

    Args:
        rows: The rows.
        level: As for ``ndcg``.

    Returns:
        As for ``ndcg``.

    Raises:
        UndefinedMetric: As for ``ndcg_of``.
    """
    return _mean_over_requests(rows, "mrr", lambda ties: _expected(ties, lambda rank: 1 / rank), level)


def hit_rate(
    labels: npt.ArrayLike, scores: npt.ArrayLike, groups: npt.ArrayLike, *, k: int, level: float = LEVEL
) -> Estimate:
    """Share of requests with a positive among the k rows of the highest scores.

    Ties: the expected value over all orders of rows of equal score; with the ``P(t)`` of ``mrr``, a request counts
    ``sum(P(t) for t with s + t <= k)``.

    Args:
        labels: As for ``ndcg``.
        scores: As for ``ndcg``.
        groups: As for ``ndcg``.
        k: As for ``ndcg``.
        level: As for ``ndcg``.

    Returns:
        As for ``ndcg``.

    Raises:
        UndefinedMetric: As for ``ndcg``.
        ConfigError: As for ``ndcg``.
        DataError: As for ``ndcg``.
    """
    return hit_rate_of(GroupedRows.of(labels, scores, groups), k=k, level=level)


def hit_rate_of(rows: GroupedRows, *, k: int, level: float = LEVEL) -> Estimate:
    """The hit rate of rows that a state has seen.

    Args:
        rows: The rows.
        k: As for ``ndcg``.
        level: As for ``ndcg``.

    Returns:
        As for ``ndcg``.

    Raises:
        UndefinedMetric: As for ``ndcg_of``.
        ConfigError: As for ``ndcg``.
    """
    _require_rank(k, "hit_rate")

    def hit(rank: Counts) -> Floats:
        return (rank <= k).astype(np.float64)

    return _mean_over_requests(rows, f"hit_rate@{k}", lambda ties: _expected(ties, hit), level)


def _mean_over_requests(
    rows: GroupedRows, metric: str, of_requests: Callable[[_Ranked], Floats], level: float
) -> Estimate:
    if rows.weighted:
        raise UndefinedMetric(f"{metric} is about ranks, in which weights of rows have no meaning; leave them out")
    parts, requests = [np.zeros(0)], 0
    for ties in rows.ties():
        used = np.add.reduceat(ties.positives, ties.first) > 0
        parts.append(of_requests(_Ranked(ties))[used])
        requests += used.size
    values = np.concatenate(parts)
    if not values.size:
        raise UndefinedMetric(f"{metric} needs a request with a positive row, but none of the {requests} has one")
    detail = {"requests_used": values.size, "requests_without_positive": requests - values.size}
    unit = "request with a positive row"
    return mean_estimate(values, np.ones(values.size), unit, level, "variance over requests", detail)


def _expected(ties: _Ranked, of_rank: Callable[[Counts], Floats]) -> Floats:
    """The expected value of a function of the first positive's rank, for each request; 0 where there is no positive."""
    # The tie of the first positive is the last one of its request that has any, as scores ascend.
    numbers = np.where(ties.positives > 0, np.arange(ties.positives.size), -1)
    tie = np.maximum.reduceat(numbers, ties.first)
    found, has = np.zeros(tie.size), tie >= 0
    if not has.any():
        return found
    size, positives, above = (counts[tie[has]] for counts in (ties.size, ties.positives, ties.above))

    places = size - positives + 1  # where the first positive may come
    first = np.cumsum(places) - places
    place = np.arange(places.sum()) - np.repeat(first, places) + 1
    left = np.repeat(size, places) - place + 1
    here = np.repeat(positives, places) / left  # the chance of this place when it is none before
    passed = np.append(1.0, 1 - here[:-1])
    passed[first] = 1.0
    chance = here * running(np.multiply, passed, first)
    values = of_rank(np.repeat(above, places) + place)
    # The chances of a tie add up to 1 up to rounding, which the division takes out.
    found[has] = np.add.reduceat(chance * values, first) / np.add.reduceat(chance, first)
    return found


def _require_rank(k: int, metric: str) -> None:
    if k < 1:
        raise ConfigError(f"{metric} needs a rank k of at least 1, got {k}; 10 is common")
