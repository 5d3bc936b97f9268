"""Encoded rows as arrays: what a shard or a request becomes on its way to a model.

Shapes: N rows, C categorical features, M numeric features, V values of one sequence feature.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.schema import Schema
from features.typed import GROUP, LABEL

Ragged = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Values ``[V]`` and offsets ``[N + 1]``."""


@dataclass(frozen=True)
class EncodedRows:
    """Rows of a prepared set, or of a request.

    Attributes:
        schema: The declaration; features keep its order.
        categorical: Tokens or ids, int64 ``[N, C]``.
        sequences: For each sequence feature its values and offsets.
        dense: Numerics, float32 ``[N, M]``; NaN is missing.
        label: float32 ``[N]``, or None in a request.
        group: int64 ``[N]``, or None where the schema has no group.
    """

    schema: Schema
    categorical: NDArray[np.int64]
    sequences: dict[str, Ragged]
    dense: NDArray[np.float32]
    label: NDArray[np.float32] | None = None
    group: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.dense)

    @classmethod
    def of(cls, frame: pl.DataFrame, schema: Schema) -> "EncodedRows":
        """Rows of a shard, which holds a column a feature and ``_label``."""
        categorical = [f.name for f in schema.sparse if f.kind == "categorical"]
        numeric = [f.name for f in schema.numeric]
        shape = (frame.height, 0)
        return cls(
            schema=schema,
            categorical=_matrix(frame, categorical) if categorical else np.zeros(shape, np.int64),
            sequences={f.name: _ragged(frame[f.name]) for f in schema.sparse if f.kind == "sequence"},
            dense=_matrix(frame, numeric) if numeric else np.zeros(shape, np.float32),
            label=frame[LABEL].to_numpy().astype(np.float32),
            group=frame[GROUP].to_numpy() if schema.group is not None else None,
        )

    def take(self, rows: NDArray[np.int64]) -> "EncodedRows":
        """The rows at some positions, in that order."""
        return EncodedRows(
            schema=self.schema,
            categorical=self.categorical[rows],
            sequences={name: _take_ragged(ragged, rows) for name, ragged in self.sequences.items()},
            dense=self.dense[rows],
            label=None if self.label is None else self.label[rows],
            group=None if self.group is None else self.group[rows],
        )


def concatenate(parts: list[EncodedRows]) -> EncodedRows:
    """Rows of several parts, one after the other."""
    first = parts[0]
    return EncodedRows(
        schema=first.schema,
        categorical=np.concatenate([p.categorical for p in parts]),
        sequences={name: _join_ragged([p.sequences[name] for p in parts]) for name in first.sequences},
        dense=np.concatenate([p.dense for p in parts]),
        label=None if first.label is None else np.concatenate([p.label for p in parts if p.label is not None]),
        group=None if first.group is None else np.concatenate([p.group for p in parts if p.group is not None]),
    )


def _matrix(frame: pl.DataFrame, columns: list[str]) -> NDArray[Any]:
    """Columns side by side; a row's values are neighbours in memory, since batches gather rows."""
    return np.ascontiguousarray(frame.select(columns).to_numpy())


def _ragged(lists: pl.Series) -> Ragged:
    lengths = lists.list.len().to_numpy().astype(np.int64)
    values = lists.list.explode(empty_as_null=False, keep_nulls=False).to_numpy()
    return values, np.concatenate([[0], lengths.cumsum()])


def _take_ragged(ragged: Ragged, rows: NDArray[np.int64]) -> Ragged:
    values, offsets = ragged
    lengths = np.diff(offsets)[rows]
    bounds = np.concatenate([[0], lengths.cumsum()])
    positions = np.arange(bounds[-1]) + np.repeat(offsets[rows] - bounds[:-1], lengths)
    return values[positions], bounds


def _join_ragged(parts: list[Ragged]) -> Ragged:
    lengths = np.concatenate([np.diff(offsets) for _, offsets in parts])
    return np.concatenate([values for values, _ in parts]), np.concatenate([[0], lengths.cumsum()])
