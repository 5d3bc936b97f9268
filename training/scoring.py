"""Scoring: click probabilities of batches, the same code offline and in the server."""

import contextlib
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from evaluation.report.measure import evaluate
from evaluation.report.report import Report
from features.datasets.batch import Batch
from models.ranker import Ranker
from training.ranks import on_first, to_first

SCORING_BATCH = 16_384
"""Rows that are scored at once, where nothing else decides."""


def click_probabilities(model: Ranker, batches: Iterable[Batch]) -> NDArray[np.float64]:
    """Score batches.

    Args:
        model: The model; its mode is kept.
        batches: N rows in all.

    Returns:
        Probabilities, float64 ``[N]``: the sigmoid is taken in float64, so that distinct logits stay distinct scores.
    """
    with _inference(model):
        return np.concatenate([np.zeros(0), *(_probabilities(model, batch) for batch in batches)])


def judge(model: Ranker, batches: Iterable[Batch]) -> Report:
    """Score batches and compare with their labels; memory is that of labels, groups and probabilities.

    Under torchrun each rank scores batches of its own, and the report is of them all.

    Args:
        model: The model; its mode is kept.
        batches: At least one, with labels.
    """
    labels, groups, scores = [], [], []
    with _inference(model):
        for batch in batches:
            assert batch.label is not None
            labels.append(batch.label.numpy())
            scores.append(_probabilities(model, batch))
            if batch.group is not None:
                groups.append(batch.group.numpy())
    own = (np.concatenate(labels), np.concatenate(scores), np.concatenate(groups) if groups else np.zeros(0, np.int64))
    parts = to_first(own)

    def of_all() -> Report:
        every_label, every_score, every_group = (np.concatenate(part) for part in zip(*parts, strict=True))
        return evaluate(every_label, every_score, every_group if groups else None)

    return on_first(of_all)


@contextlib.contextmanager
def _inference(model: Ranker) -> Iterator[None]:
    training = model.training
    model.eval()
    with torch.inference_mode():
        yield
    model.train(training)


def _probabilities(model: Ranker, batch: Batch) -> NDArray[np.float64]:
    batch = batch.to(model.device)
    scores: NDArray[np.float64] = torch.sigmoid(model(batch.dense, batch.sparse).double()).cpu().numpy()
    return scores
