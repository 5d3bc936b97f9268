"""The attention between the fields of a trained AutoInt.

Shapes: N rows, L layers, H heads, F fields.
"""

from collections.abc import Iterator

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from evaluation.explanation.attention import Attention, RowAttention
from features.datasets.batch import batches
from features.encoding.encoded import EncodedRows
from features.encoding.fitted import FittedSchema
from features.encoding.typed import LABEL, ROW
from models.ranker import Ranker
from models.rankers.autoint import AutoInt
from training.explanation.reliance import logits
from training.explanation.values import value_texts

_BATCH = 512  # L H F F numbers a row come at once


def attention_of(model: Ranker, fitted: FittedSchema, rows: EncodedRows, single: pl.DataFrame) -> Attention | None:
    """The attention of a model.

    Args:
        model: The model, in evaluation mode.
        fitted: The fitted schema of its inputs.
        rows: N rows, which are averaged over.
        single: Rows that are looked at one by one, as :func:`training.explanation.sample.single_rows` gives them.

    Returns:
        The attention; None where the model has no layers that attend.
    """
    network = model.network
    if not isinstance(network, AutoInt) or not len(network.layers):
        return None
    fields = model.embedding.shapes[0].names
    mean = sum(weights.sum(0) for weights in _weights(model, network, rows)) / len(rows)
    shown: list[RowAttention] = []
    if single.height:
        encoded = EncodedRows.of(single, fitted.schema)
        texts = value_texts(single, fitted)
        probabilities = 1 / (1 + np.exp(-logits(model, encoded).astype(np.float64)))
        each = np.concatenate(list(_weights(model, network, encoded)))
        shown = [
            RowAttention(
                row=int(single[ROW][place]),
                label=int(single[LABEL][place]),
                probability=float(probabilities[place]),
                values=tuple(texts[name][place] for name in fields),
                weights=each[place],
            )
            for place in range(single.height)
        ]
    return Attention(fields, np.asarray(mean), tuple(shown))


def _weights(model: Ranker, network: AutoInt, rows: EncodedRows) -> Iterator[NDArray[np.float64]]:
    """The attention weights of rows, ``[N, L, H, F, F]``, a batch at a time."""
    with torch.inference_mode():
        for batch in (some.to(model.device) for some in batches(rows, _BATCH)):
            scopes = model.embedding(batch.dense, batch.sparse)
            yield network.attention(*scopes).double().cpu().numpy()
