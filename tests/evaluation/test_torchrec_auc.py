"""What two common libraries get wrong, and these metrics right: tied scores, and calibrated scores at a low rate."""

import warnings

import numpy as np
import numpy.typing as npt
import pytest
import torch
from sklearn.metrics import roc_auc_score

from evaluation.metrics.auc import auc
from evaluation.metrics.gauc import gauc

with warnings.catch_warnings():
    # torchmetrics 1.0.3, on which torchrec's metrics stand, imports what setuptools deprecates.
    warnings.simplefilter("ignore", DeprecationWarning)
    from torchmetrics.classification import BinaryAUROC
    from torchrec.metrics.auc import compute_auc, compute_auc_per_group
    from torchrec.metrics.gauc import compute_gauc_3d

BY_CLASS = np.repeat(np.array([0, 1], np.float32), 500)
ORDERS = (BY_CLASS, BY_CLASS[::-1].copy())


def _tensors(*columns: npt.NDArray[np.float32]) -> list[torch.Tensor]:
    return [torch.from_numpy(column)[None] for column in columns]


def test_torchrec_answers_0_or_1_on_equal_scores_and_this_one_half() -> None:
    scores = np.full(1_000, 0.3, np.float32)
    group = np.zeros(1_000, np.int64)
    theirs, theirs_by_group = [], []
    for labels in ORDERS:
        lists = [[tensor] for tensor in _tensors(scores, labels, np.ones_like(scores))]
        theirs.append(compute_auc(1, *lists).item())
        theirs_by_group.append(compute_auc_per_group(1, *lists, torch.from_numpy(group)).item())
        assert auc(labels, scores).value == 0.5
        assert gauc(labels, scores, group).value == 0.5
    assert sorted(theirs) == sorted(theirs_by_group) == [0, 1]


def test_torchrec_gauc_depends_on_the_order_of_tied_rows_and_this_does_not() -> None:
    # It skips groups whose scores are all equal; two other rows, which lie right, make it count this one.
    scores = np.append(np.full(1_000, 0.3), [0.1, 0.9]).astype(np.float32)
    group = np.zeros(scores.size, np.int64)
    theirs = []
    for equal in ORDERS:
        labels = np.append(equal, [0, 1]).astype(np.float32)
        found = compute_gauc_3d(*(tensor[None] for tensor in _tensors(scores, labels, np.ones_like(scores))))
        assert found["num_samples"].item() == 1
        theirs.append(found["auc_sum"].item())
        exact = roc_auc_score(labels, scores)
        assert auc(labels, scores).value == pytest.approx(exact, abs=1e-15)
        assert gauc(labels, scores, group).value == pytest.approx(exact, abs=1e-15)
    assert sorted(theirs) == pytest.approx([0, 1], abs=0.01)


def test_200_bins_lose_five_hundredths_at_a_click_rate_of_four_per_mille() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(-6.25, 1.2, 400_000)
    scores = (1 / (1 + np.exp(-logits))).astype(np.float32)
    labels = random.random(scores.size) < scores
    assert labels.mean() == pytest.approx(0.004, abs=0.0005)
    binned = BinaryAUROC(thresholds=200)(torch.from_numpy(scores), torch.from_numpy(labels).int()).item()
    exact = roc_auc_score(labels, scores)
    assert auc(labels, scores).value == pytest.approx(exact, abs=1e-12)
    assert exact - binned > 0.04
