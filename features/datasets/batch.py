"""Batches: encoded rows as the tensors that models take.

Shapes: B batch, K sparse features (keys), M numeric features.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from common.quiet import quiet_import
from features.encoding.encoded import EncodedRows

with quiet_import():
    from torchrec.sparse.jagged_tensor import KeyedJaggedTensor


@dataclass(frozen=True)
class Batch:
    """Rows for a model.

    Attributes:
        dense: Numerics, float32 ``[B, M]``; NaN is missing.
        sparse: Tokens, int64; one key a sparse feature, in the schema's order. Where no feature is a list every length
            is 1.
        label: float32 ``[B]``, or None in a request.
        group: int64 ``[B]``, or None where the schema has no group.
    """

    dense: Tensor
    sparse: KeyedJaggedTensor
    label: Tensor | None
    group: Tensor | None

    @classmethod
    def of(cls, rows: EncodedRows) -> "Batch":
        """Rows as tensors, which may share the rows' memory."""
        values, lengths = _by_key(rows)
        return cls(
            dense=torch.from_numpy(rows.dense),
            sparse=keyed([feature.name for feature in rows.schema.sparse], len(rows), values, lengths),
            label=None if rows.label is None else torch.from_numpy(rows.label),
            group=None if rows.group is None else torch.from_numpy(rows.group),
        )

    def to(self, device: torch.device) -> "Batch":
        """The batch on a device; itself if it is there."""
        if self.dense.device == device:
            return self
        return Batch(
            dense=self.dense.to(device, non_blocking=True),
            sparse=self.sparse.to(device, non_blocking=True),
            label=None if self.label is None else self.label.to(device, non_blocking=True),
            group=self.group,
        )


def keyed(keys: list[str], rows: int, values: Tensor, lengths: Tensor | None) -> KeyedJaggedTensor:
    """Sparse values by key.

    Args:
        keys: The K sparse features.
        rows: Rows B.
        values: Int64, key by key and row by row.
        lengths: How many values each key has in each row, int64 ``[K * B]``; None where each has one.
    """
    if lengths is None:
        lengths = _ones(len(values))
    return KeyedJaggedTensor(keys=keys, values=values, lengths=lengths, stride=rows)


def batches(rows: EncodedRows, size: int) -> Iterator[Batch]:
    """Cut rows into batches of ``size`` rows, in their order; the last may be smaller."""
    positions = np.arange(len(rows))
    for start in range(0, len(rows), size):
        yield Batch.of(rows.take(positions[start : start + size]))


def _by_key(rows: EncodedRows) -> tuple[Tensor, Tensor | None]:
    """Values and lengths for :func:`keyed`."""
    one_hot = np.ascontiguousarray(rows.categorical.T)
    if not rows.lists:
        return torch.from_numpy(one_hot).flatten(), None
    next_one_hot, ones = iter(one_hot), np.ones(len(rows), np.int64)
    values, lengths = [], []
    for feature in rows.schema.sparse:
        if feature.name in rows.lists:
            ragged, offsets = rows.lists[feature.name]
            values.append(ragged)
            lengths.append(np.diff(offsets))
        else:
            values.append(next(next_one_hot))
            lengths.append(ones)
    return torch.from_numpy(np.concatenate(values)), torch.from_numpy(np.concatenate(lengths))


@lru_cache(maxsize=4)
def _ones(count: int) -> Tensor:
    """Lengths of values that come one a row; batches of one size share them."""
    with torch.inference_mode(False):  # whatever mode the first to ask is in
        return torch.ones(count, dtype=torch.int64)
