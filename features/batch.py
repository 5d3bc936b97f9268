"""Batches: encoded rows as the tensors that models take.

Shapes: B batch, K sparse features (keys), M numeric features.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from common.quiet import quiet_import
from features.encoded import EncodedRows

with quiet_import():
    from torchrec.sparse.jagged_tensor import KeyedJaggedTensor


@dataclass(frozen=True)
class Batch:
    """Rows for a model.

    Attributes:
        dense: Numerics, float32 ``[B, M]``; NaN is missing.
        sparse: Tokens, int64; one key a sparse feature, in the schema's order. Where no feature is a sequence every
            length is 1.
        label: float32 ``[B]``, or None in a request.
        group: int64 ``[B]``, or None where the schema has no group.
    """

    dense: Tensor
    sparse: KeyedJaggedTensor
    label: Tensor | None
    group: Tensor | None

    @classmethod
    def of(cls, rows: EncodedRows) -> "Batch":
        """Rows as tensors."""
        size = len(rows)
        values, lengths, position = [], [], 0
        by_feature = np.ascontiguousarray(rows.categorical.T)
        for feature in rows.schema.sparse:
            if feature.kind == "categorical":
                values.append(by_feature[position])
                lengths.append(np.ones(size, np.int64))
                position += 1
            else:
                ragged, offsets = rows.sequences[feature.name]
                values.append(ragged)
                lengths.append(np.diff(offsets))
        nothing = np.zeros(0, np.int64)
        return cls(
            dense=_tensor(rows.dense),
            sparse=KeyedJaggedTensor(
                keys=[feature.name for feature in rows.schema.sparse],
                values=torch.from_numpy(np.concatenate([nothing, *values])),
                lengths=torch.from_numpy(np.concatenate([nothing, *lengths])),
                stride=size,
            ),
            label=None if rows.label is None else _tensor(rows.label),
            group=None if rows.group is None else _tensor(rows.group),
        )


def batches(rows: EncodedRows, size: int, *, shuffle: torch.Generator | None = None) -> Iterator[Batch]:
    """Cut rows into batches; the last may be smaller.

    Args:
        rows: The rows.
        size: Rows a batch.
        shuffle: Draws one permutation of all rows; None keeps their order.

    Yields:
        Batches of ``size`` rows.
    """
    count = len(rows)
    order = np.arange(count) if shuffle is None else torch.randperm(count, generator=shuffle).numpy()
    for start in range(0, count, size):
        yield Batch.of(rows.take(order[start : start + size]))


def _tensor(array: NDArray[Any]) -> Tensor:
    """A tensor on the array's memory, or on a copy where that is read-only, as a data frame's is."""
    return torch.from_numpy(array if array.flags.writeable else array.copy())
