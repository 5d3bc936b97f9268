"""Scoring: click probabilities of encoded rows, the same code offline and in the server."""

import numpy as np
import torch
from numpy.typing import NDArray

from features.batch import batches
from features.encoded import EncodedRows
from models.ranker import Ranker

_BATCH = 16_384


def click_probabilities(model: Ranker, rows: EncodedRows) -> NDArray[np.float64]:
    """Score rows.

    Args:
        model: The model; its mode is kept.
        rows: N rows.

    Returns:
        Probabilities, float64 ``[N]``: the sigmoid is taken in float64, so that distinct logits stay distinct scores.
    """
    training = model.training
    model.eval()
    with torch.inference_mode():
        logits = [model(batch.dense, batch.sparse).double() for batch in batches(rows, _BATCH)]
    model.train(training)
    return torch.sigmoid(torch.cat(logits)).numpy() if logits else np.zeros(0)
