"""Parcels: several batches as few tensors, on their way from a worker process.

Handing a tensor over costs both processes time, however small it is.

Shapes: P batches, R rows of all of them, K sparse features, M numeric features, V sparse values.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from features.datasets.batch import Batch, keyed


@dataclass(frozen=True)
class Parcel:
    """Batches, one after the other.

    Attributes:
        keys: The sparse features.
        rows: Rows of each batch ``[P]``.
        values: Sparse values of each batch ``[P]``.
        dense: float32 ``[R, M]``.
        sparse: int64 ``[V]``.
        lengths: int64 ``[K * R]``, or None where every length is 1.
        label: float32 ``[R]``, or None.
        group: int64 ``[R]``, or None.
    """

    keys: list[str]
    rows: list[int]
    values: list[int]
    dense: Tensor
    sparse: Tensor
    lengths: Tensor | None
    label: Tensor | None
    group: Tensor | None

    @classmethod
    def of(cls, batches: Sequence[Batch]) -> "Parcel":
        """Join batches of one dataset."""
        sparse, lengths = [b.sparse.values() for b in batches], [b.sparse.lengths() for b in batches]
        return cls(
            keys=batches[0].sparse.keys(),
            rows=[len(b.dense) for b in batches],
            values=[len(values) for values in sparse],
            dense=torch.cat([b.dense for b in batches]),
            sparse=torch.cat(sparse),
            lengths=None if all(bool((part == 1).all()) for part in lengths) else torch.cat(lengths),
            label=_joined([b.label for b in batches]),
            group=_joined([b.group for b in batches]),
        )

    def batches(self) -> Iterator[Batch]:
        """The batches, which share the parcel's memory."""
        for rows, dense, values, lengths, label, group in zip(
            self.rows,
            self.dense.split(self.rows),
            self.sparse.split(self.values),
            _split(self.lengths, [rows * len(self.keys) for rows in self.rows]),
            _split(self.label, self.rows),
            _split(self.group, self.rows),
            strict=True,
        ):
            yield Batch(dense, keyed(self.keys, rows, values, lengths), label, group)


def _joined(tensors: list[Tensor | None]) -> Tensor | None:
    given = [tensor for tensor in tensors if tensor is not None]
    return torch.cat(given) if given else None


def _split(tensor: Tensor | None, sizes: list[int]) -> Sequence[Tensor | None]:
    return [None] * len(sizes) if tensor is None else tensor.split(sizes)
