"""Grouped AUC: how well rows are ranked within each group, such as one user's impressions."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from common.errors import ConfigError, did_you_mean
from evaluation._inputs import Groups, Labels, Scores, checked_groups, checked_labels, checked_scores
from evaluation.undefined import UndefinedMetric

Weighting = Literal["impressions", "plain", "positives"]


@dataclass(frozen=True)
class Gauc:
    """A grouped AUC and what it rests on.

    Attributes:
        value: Weighted mean of the AUC of the groups that have one, from 0 to 1.
        weighting: What a group's weight is.
        groups_used: Groups with rows of both classes.
        groups_one_class: Groups that were left out because all their labels are equal.
        rows_used: Rows of the groups used.
        rows_one_class: Rows of the groups left out.
    """

    value: float
    weighting: Weighting
    groups_used: int
    groups_one_class: int
    rows_used: int
    rows_one_class: int


def gauc(
    labels: npt.ArrayLike, scores: npt.ArrayLike, groups: npt.ArrayLike, weighting: Weighting = "impressions"
) -> Gauc:
    """Mean of the AUCs within groups, ties counting one half.

    A group with one class has no AUC and is left out, and counted. Each group's AUC comes from integer counts
    and one division (int64, which holds groups of fewer than 2**32 rows). The weighted mean is added up without
    rounding, so that neither the order of the rows nor the names of the groups change its last digit.

    All groups are done at once: O(n log n) time, about 100 bytes of memory a row.

    Args:
        labels: 0 or 1 a row, shape ``(rows,)``, of any boolean, integer or floating dtype.
        scores: Finite numbers of any range, shape ``(rows,)``, float32 or float64. Only their order matters.
        groups: Integers, shape ``(rows,)``; equal values form a group.
        weighting: ``impressions`` weighs a group by its rows (as FuxiCTR does), ``positives`` by its clicks,
            ``plain`` weighs all alike. Published results differ in this, so compare like with like.

    Returns:
        The value and the counts behind it.

    Raises:
        UndefinedMetric: No group has rows of both classes.
        ConfigError: The weighting is unknown.
        DataError: The inputs break one of the rules above.
    """
    if weighting not in get_args(Weighting):
        raise ConfigError(f"gauc has no weighting {weighting!r}; {did_you_mean(weighting, get_args(Weighting))}")
    is_positive = checked_labels(labels)
    values = checked_scores(scores, is_positive.size)
    keys = checked_groups(groups, is_positive.size)

    positives, negatives, halves = _count_pairs(is_positive, values, keys)
    rows = positives + negatives
    used = (positives > 0) & (negatives > 0)
    groups_used, rows_used = int(used.sum()), int(rows[used].sum())
    if not groups_used:
        raise UndefinedMetric(f"gauc needs a group with rows of both classes, but none of the {used.size} has them")
    aucs = halves[used] / (2 * positives[used] * negatives[used])
    weights = {"impressions": rows, "plain": np.ones_like(rows), "positives": positives}[weighting][used]
    return Gauc(
        value=math.fsum((aucs * weights).tolist()) / int(weights.sum()),
        weighting=weighting,
        groups_used=groups_used,
        groups_one_class=used.size - groups_used,
        rows_used=rows_used,
        rows_one_class=is_positive.size - rows_used,
    )


def _count_pairs(
    is_positive: Labels, scores: Scores, groups: Groups
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Count, for each group, its positives, its negatives and its ordered pairs.

    Returns:
        Three int64 arrays of shape ``(groups,)``, by rising key. The third counts 2 for each pair of a positive above
        a negative and 1 for each tie.
    """
    # np.lexsort gives the same up to ties, which are pooled below, and takes twice the time.
    order = np.argsort(scores)
    order = order[np.argsort(groups[order], kind="stable")]
    is_positive, scores, groups = is_positive[order], scores[order], groups[order]

    # A run is the rows of one group with one score; everything from here on is a value a run.
    starts_group = np.append(True, groups[1:] != groups[:-1])
    run_start = np.flatnonzero(starts_group | np.append(True, scores[1:] != scores[:-1]))
    positives = np.add.reduceat(is_positive, run_start, dtype=np.int64)
    negatives = np.diff(run_start, append=is_positive.size) - positives

    first_run = np.flatnonzero(starts_group[run_start])
    runs_of_group = np.diff(first_run, append=run_start.size)
    below = np.cumsum(negatives) - negatives
    below -= np.repeat(below[first_run], runs_of_group)
    halves = positives * (2 * below + negatives)
    return (
        np.add.reduceat(positives, first_run),
        np.add.reduceat(negatives, first_run),
        np.add.reduceat(halves, first_run),
    )
