"""Pooled metrics of a distribution: the same to the last bit however its rows came."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from evaluation.estimate import Estimate
from evaluation.metrics.brier import brier_of
from evaluation.metrics.calibration import calibration_ratio_of
from evaluation.metrics.calibration_error import calibration_error_of
from evaluation.metrics.logloss import logloss_of
from evaluation.metrics.normalised_entropy import normalised_entropy_of
from evaluation.metrics.pr_auc import pr_auc_of
from evaluation.metrics.reliability import reliability_of
from evaluation.report.curves import curves_of
from evaluation.state.score_distribution import ScoreDistribution

METRICS: list[Callable[[ScoreDistribution], Any]] = [
    brier_of,
    calibration_error_of,
    calibration_ratio_of,
    curves_of,
    logloss_of,
    normalised_entropy_of,
    pr_auc_of,
    reliability_of,
]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_shards_in_any_order_and_from_disk_give_the_same_bits(weighted: bool, dtype: Any) -> None:
    random = np.random.default_rng(20)
    rows = 60_000
    scores = random.beta(0.5, 10, rows).astype(dtype)
    labels = random.random(rows) < scores
    weights = random.exponential(size=rows) if weighted else None
    whole = ScoreDistribution.of(labels, scores, weights)

    order = random.permutation(rows)
    merged = ScoreDistribution(memory_mb=0.1)
    for part in np.array_split(order, 7):
        shard = ScoreDistribution(memory_mb=0.05)
        for chunk in np.array_split(part, 5):
            shard.update(labels[chunk], scores[chunk], None if weights is None else weights[chunk])
        merged.merge(shard)
    for metric in METRICS:
        assert metric(merged) == metric(whole)


@pytest.mark.parametrize("metric", [logloss_of, brier_of, calibration_ratio_of])
def test_rows_that_are_all_alike_give_no_interval(metric: Callable[..., Estimate]) -> None:
    found = metric(ScoreDistribution.of([1, 1, 1], np.full(3, 0.3), [0.1, 0.2, 0.3]))
    assert found.interval is None
    assert found.reason == "all rows contribute alike, so nothing tells how far the value may be off"
