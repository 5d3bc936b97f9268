"""Parcels: the batches that come out are those that went in."""

from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from features.datasets._parcel import Parcel
from features.datasets.batch import Batch
from features.encoding.encoded import EncodedRows
from features.encoding.typed import GROUP, LABEL
from features.schema import parse_schema
from tests.features.handmade import bytes_of

ROWS = 11
KINDS = {"ad": "categorical", "past": "sequence", "price": "numeric", "place": "categorical"}


def encoded(names: tuple[str, ...], *, group: bool) -> EncodedRows:
    document: dict[str, Any] = {"label": "y", "features": [{"name": name, "kind": KINDS[name]} for name in names]}
    schema = parse_schema(document | ({"group": "ad"} if group else {}), source="test")
    rows = np.arange(ROWS)
    frame = pl.DataFrame(
        {
            "ad": rows + 100,
            "place": rows + 200,
            "past": pl.Series([[row] * (row % 4) for row in rows.tolist()], dtype=pl.List(pl.Int64)),
            "price": pl.Series([None if row % 3 else row for row in rows.tolist()], dtype=pl.Float32),
            LABEL: pl.Series(rows % 2, dtype=pl.UInt8),
            GROUP: rows // 2,
        }
    )
    return EncodedRows.of(frame, schema)


@pytest.mark.parametrize("names", [("ad", "past", "price", "place"), ("ad", "price", "place"), ("past",), ("price",)])
@pytest.mark.parametrize("group", [True, False])
@pytest.mark.parametrize("label", [True, False])
@pytest.mark.parametrize("cuts", [[], [4, 8], [1, 2, 10]])
def test_batches_come_out_as_they_went_in(names: tuple[str, ...], group: bool, label: bool, cuts: list[int]) -> None:
    rows = encoded(names, group=group and "ad" in names)
    if not label:
        rows = EncodedRows(rows.schema, rows.categorical, rows.lists, rows.dense, group=rows.group)
    batches = [Batch.of(rows.take(positions)) for positions in np.split(np.arange(ROWS), cuts)]
    given = list(Parcel.of(batches).batches())
    assert [bytes_of(batch) for batch in given] == [bytes_of(batch) for batch in batches]
    for found, expected in zip(given, batches, strict=True):
        assert found.sparse.keys() == expected.sparse.keys()
        assert found.sparse.stride() == expected.sparse.stride()
        assert found.dense.shape == expected.dense.shape
        assert [found.label is None, found.group is None] == [expected.label is None, expected.group is None]


def test_lengths_that_all_are_1_are_not_carried() -> None:
    def lengths(*names: str) -> torch.Tensor | None:
        return Parcel.of([Batch.of(encoded(names, group=False))]).lengths

    assert lengths("ad", "place") is None
    assert lengths("ad", "past") is not None
