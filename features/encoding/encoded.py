"""Encoded rows as arrays: what shards or a request become on their way to a model.

Shapes: N rows, C sparse features of one value a row, M numeric features, V values of one list feature.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.encoding.typed import GROUP, LABEL
from features.schema import ListFeature, Schema

Ragged = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Values ``[V]`` and offsets ``[N + 1]``."""


@dataclass(frozen=True)
class EncodedRows:
    """Rows of a prepared set, or of a request.

    Attributes:
        schema: The declaration; features keep its order.
        categorical: Tokens or ids of the features with one value a row, int64 ``[N, C]``. A row's values are
            neighbours in memory, since batches gather rows.
        lists: For each multivalued or sequence feature its values and offsets.
        dense: Numerics, float32 ``[N, M]``; NaN is missing.
        label: float32 ``[N]``, or None in a request.
        group: int64 ``[N]``, or None where the schema has no group.
    """

    schema: Schema
    categorical: NDArray[np.int64]
    lists: dict[str, Ragged]
    dense: NDArray[np.float32]
    label: NDArray[np.float32] | None = None
    group: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.dense)

    @classmethod
    def of(cls, frame: pl.DataFrame, schema: Schema) -> "EncodedRows":
        """Rows of a frame that holds the :func:`columns` of a schema."""
        return cls.joined([frame], frame.height, schema)

    @classmethod
    def joined(cls, frames: Iterable[pl.DataFrame], rows: int, schema: Schema) -> "EncodedRows":
        """Rows of several frames, one after the other, each copied once into arrays of the final size.

        Args:
            frames: As for :meth:`of`; taken one at a time.
            rows: Rows of all of them.
            schema: The declaration.
        """
        one_hot = [f.name for f in schema.sparse if not isinstance(f, ListFeature)]
        numeric = [f.name for f in schema.numeric]
        columns: dict[str, list[pl.Series]] = {f.name: [] for f in schema.sparse if isinstance(f, ListFeature)}
        categorical = np.empty((rows, len(one_hot)), np.int64)
        dense = np.empty((rows, len(numeric)), np.float32)
        label = np.empty(rows, np.float32)
        group = np.empty(rows, np.int64) if schema.group is not None else None
        start = 0
        for frame in frames:
            here = slice(start, start := start + frame.height)
            if one_hot:
                categorical[here] = frame.select(one_hot).to_numpy()
            if numeric:
                # Nulls become NaN on the way to numpy too, at four times the cost.
                dense[here] = frame.select(numeric).fill_null(math.nan).to_numpy()
            label[here] = frame[LABEL].to_numpy()
            if group is not None:
                group[here] = frame[GROUP].to_numpy()
            for name, parts in columns.items():
                parts.append(frame[name])
        # One list feature after the other, so that no more than one of them is there twice.
        lists = {name: _ragged(columns.pop(name)) for name in tuple(columns)}
        return cls(schema, categorical, lists, dense, label, group)

    def take(self, rows: NDArray[np.int64]) -> "EncodedRows":
        """The rows at some positions, in that order."""
        # np.take, since indexing costs twice its time on rows.
        return EncodedRows(
            schema=self.schema,
            categorical=self.categorical.take(rows, axis=0),
            lists={name: _take_ragged(ragged, rows) for name, ragged in self.lists.items()},
            dense=self.dense.take(rows, axis=0),
            label=None if self.label is None else self.label.take(rows),
            group=None if self.group is None else self.group.take(rows),
        )


def columns(schema: Schema) -> list[str]:
    """The columns of a shard that :class:`EncodedRows` is made of."""
    return [*(f.name for f in schema.features), LABEL, *([GROUP] if schema.group is not None else [])]


def _ragged(parts: list[pl.Series]) -> Ragged:
    lengths = np.concatenate([np.zeros(1, np.int64), *(part.list.len().to_numpy() for part in parts)])
    values = [part.list.explode(empty_as_null=False, keep_nulls=False).to_numpy() for part in parts]
    return np.concatenate([np.zeros(0, np.int64), *values]), lengths.cumsum()


def _take_ragged(ragged: Ragged, rows: NDArray[np.int64]) -> Ragged:
    values, offsets = ragged
    starts = offsets.take(rows)
    lengths = offsets.take(rows + 1) - starts
    bounds = np.concatenate([np.zeros(1, np.int64), lengths.cumsum()])
    positions = np.arange(bounds[-1]) + np.repeat(starts - bounds[:-1], lengths)
    return values.take(positions), bounds
