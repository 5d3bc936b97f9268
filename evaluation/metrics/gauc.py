"""Grouped AUC: how well rows are ranked within each group, such as one user's impressions."""

from collections.abc import Mapping
from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from common.errors import ConfigError, did_you_mean
from evaluation._inputs import Weights
from evaluation.estimate import Estimate, PairedDifference, normal_difference
from evaluation.interval import LEVEL
from evaluation.metrics._clusters import mean_estimate, one, ratio
from evaluation.state.grouped_rows import GroupedRows, PairCounts
from evaluation.undefined import UndefinedMetric

Weighting: TypeAlias = Literal["impressions", "plain", "positives"]

_METHOD = "delta method over groups"
_UNIT = "group with rows of both classes"


def gauc(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    groups: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    *,
    weighting: Weighting = "impressions",
    level: float = LEVEL,
) -> Estimate:
    """Mean of the AUCs within groups, ties counting one half: ``A = sum(w_g a_g) / sum(w_g)`` (Zhu et al. 2017, DIN's).

    A group with one class has no AUC and is left out, and counted. Without weights of rows each group's AUC comes from
    integer counts and one division (int64, which holds groups of fewer than 2**32 rows). The mean is added up without
    rounding, so that neither the order of the rows nor the names of the groups change its last digit.

    Interval: groups are drawn, not rows, as one user's rows resemble each other. The standard error is the delta
    method's for a ratio of sums over groups, ``sqrt(G / (G - 1) sum(w_g^2 (a_g - A)^2)) / sum(w_g)``, and the interval
    is Student's on the logit scale, with as many degrees of freedom as the effective number of groups,
    ``sum(w_g)^2 / sum(w_g^2)``, less 1.

    With weights of rows a pair counts the product of its rows' weights, and the weight of a group is the sum of its
    rows' weights (``impressions``) or of its positives' (``positives``).

    All groups are done at once: O(n log n) time, about 40 bytes of memory a row beside the inputs.

    Args:
        labels: 0 or 1 a row, shape ``(rows,)``, of any boolean, integer or floating dtype.
        scores: Finite numbers of any range, shape ``(rows,)``, float32 or float64. Only their order matters.
        groups: Integers, shape ``(rows,)``; equal values form a group.
        weights: How much each row counts, shape ``(rows,)``, finite and at least 0; None counts each once.
        weighting: ``impressions`` weighs a group by its rows (as FuxiCTR does), ``positives`` by its clicks,
            ``plain`` weighs all alike. Published results differ in this, so compare like with like.
        level: Confidence level of the interval.

    Returns:
        A number from 0 to 1. Its ``detail`` has ``weighting``, ``groups_used``, ``groups_one_class`` (left out as all
        their labels are equal), ``rows_used`` and ``rows_one_class``. There is no interval where fewer than two groups
        are used, or where every group has the same AUC.

    Raises:
        UndefinedMetric: No group has rows of both classes.
        ConfigError: The weighting is unknown.
        DataError: The inputs break one of the rules above.
    """
    return gauc_of(GroupedRows.of(labels, scores, groups, weights), weighting=weighting, level=level)


def gauc_of(rows: GroupedRows, *, weighting: Weighting = "impressions", level: float = LEVEL) -> Estimate:
    """The grouped AUC of rows that a state has seen; all weightings come from one sort, which the state remembers.

    Args:
        rows: The rows.
        weighting: As for ``gauc``.
        level: As for ``gauc``.

    Returns:
        As for ``gauc``.

    Raises:
        UndefinedMetric: As for ``gauc``.
        ConfigError: As for ``gauc``.
        DiskError: The state's temporary file cannot be written.
    """
    counts = rows.pairs()
    used = _used(counts)
    aucs, weights = _aucs(counts, used), _weights(counts, used, weighting)
    rows_used = int(counts.rows[used].sum())
    detail: Mapping[str, int | str] = {
        "weighting": weighting,
        "groups_used": aucs.size,
        "groups_one_class": used.size - aucs.size,
        "rows_used": rows_used,
        "rows_one_class": rows.rows - rows_used,
    }
    return mean_estimate(aucs, weights, _UNIT, level, _METHOD, detail)


def paired_gauc(
    labels: npt.ArrayLike,
    scores_a: npt.ArrayLike,
    scores_b: npt.ArrayLike,
    groups: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    *,
    weighting: Weighting = "impressions",
    level: float = LEVEL,
) -> PairedDifference:
    """The grouped AUC of model a less that of model b, with the interval and test of the groups' own differences.

    ``D = sum(w_g d_g) / sum(w_g)`` with ``d_g`` the difference of a group's two AUCs, and the standard error that
    ``gauc`` has, on ``d_g``. What makes a group hard for both models falls out. The interval and the test are normal:
    they need some dozens of groups with rows of both classes. Of 40 simulated users with few clicks, intervals of level
    .95 held 0 in 87 % of the sets for two models that are equally good, of 400 in 94 % (benchmarks/coverage.py).

    Args:
        labels: As for ``gauc``.
        scores_a: The first model's scores, shape ``(rows,)``, float32 or float64.
        scores_b: The second model's, for the same rows in the same order.
        groups: As for ``gauc``.
        weights: As for ``gauc``.
        weighting: As for ``gauc``.
        level: Confidence level of the interval.

    Returns:
        The difference; above 0 the first model ranks better.

    Raises:
        UndefinedMetric: No group has rows of both classes.
        ConfigError: The weighting is unknown.
        DataError: The inputs break one of the rules above.
    """
    states = (GroupedRows.of(labels, scores, groups, weights) for scores in (scores_a, scores_b))
    # Which place a group has does not depend on its scores.
    first, second = (state.pairs() for state in states)
    used = _used(first)
    value, error = ratio(_aucs(first, used) - _aucs(second, used), _weights(first, used, weighting))
    if error is None:
        return PairedDifference(value, reason=one(_UNIT))
    alike = f"every {_UNIT} has the same difference, which does not tell how far it may be off"
    return normal_difference(value, error, level, f"{_METHOD}' differences", alike=alike)


def _used(counts: PairCounts) -> npt.NDArray[np.bool_]:
    """Which groups have rows of both classes."""
    used: npt.NDArray[np.bool_] = (counts.positives > 0) & (counts.negatives > 0)
    if not used.any():
        raise UndefinedMetric(f"gauc needs a group with rows of both classes, but none of the {used.size} has them")
    return used


def _aucs(counts: PairCounts, used: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    # Rounded sums of weights can pass 1.
    return np.minimum(counts.halves[used] / (2 * counts.positives[used] * counts.negatives[used]), 1.0)


def _weights(counts: PairCounts, used: npt.NDArray[np.bool_], weighting: Weighting) -> Weights:
    match weighting:
        case "impressions":
            return (counts.positives[used] + counts.negatives[used]).astype(np.float64)
        case "positives":
            return counts.positives[used].astype(np.float64)
        case "plain":
            return np.ones(int(used.sum()))
    raise ConfigError(f"gauc has no weighting {weighting!r}; {did_you_mean(weighting, get_args(Weighting))}")
