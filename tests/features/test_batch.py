"""Encoded rows and batches: what is where, and which rows are taken."""

from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from numpy.typing import NDArray

from features.datasets.batch import Batch, batches
from features.encoding.encoded import EncodedRows, columns
from features.encoding.typed import GROUP, LABEL
from features.schema import Schema, parse_schema

SCHEMA = parse_schema(
    {
        "label": "y",
        "group": "user",
        "features": [
            {"name": "age", "kind": "numeric"},
            {"name": "past", "kind": "sequence", "of": "ad"},
            {"name": "user", "kind": "categorical"},
            {"name": "price", "kind": "numeric"},
            {"name": "words", "kind": "sequence"},
            {"name": "ad", "kind": "categorical"},
        ],
    },
    source="test",
)
FRAME = pl.DataFrame(
    {
        "age": pl.Series([1.0, None, 3.0, 4.0], dtype=pl.Float32),
        "past": [[10, 11], [], [12], []],
        "user": [1, 2, 3, 4],
        "price": pl.Series([0.5, 1.5, 2.5, None], dtype=pl.Float32),
        "words": [[], [-20], [], [-21, -22, -23]],
        "ad": [-5, -6, -7, -8],
        LABEL: pl.Series([0, 1, 1, 0], dtype=pl.UInt8),
        GROUP: [7, 8, 7, 9],
    }
)


def schema_of(*kinds: str) -> Schema:
    features = [{"name": f"f{i}", "kind": kind} for i, kind in enumerate(kinds)]
    return parse_schema({"label": "y", "features": features}, source="test")


def one_hot(count: int) -> EncodedRows:
    """Rows whose token, number and label all say their position."""
    frame = pl.DataFrame({"f0": range(count), "f1": pl.Series(range(count), dtype=pl.Float32), LABEL: [0] * count})
    return EncodedRows.of(frame, schema_of("categorical", "numeric"))


def same(a: EncodedRows, b: EncodedRows) -> bool:
    """Whether all arrays are equal to the byte, types and shapes too."""
    pairs: list[tuple[NDArray[Any] | None, NDArray[Any] | None]]
    pairs = [(a.categorical, b.categorical), (a.dense, b.dense), (a.label, b.label), (a.group, b.group)]
    pairs += [(x, y) for name in a.lists for x, y in zip(a.lists[name], b.lists[name], strict=True)]
    return a.lists.keys() == b.lists.keys() and all(
        x is y if x is None or y is None else (x.dtype, x.shape, x.tobytes()) == (y.dtype, y.shape, y.tobytes())
        for x, y in pairs
    )


def test_a_batch_is_laid_out_key_by_key_in_the_order_of_the_schema() -> None:
    batch = Batch.of(EncodedRows.of(FRAME, SCHEMA))
    assert batch.sparse.keys() == ["past", "user", "words", "ad"]
    assert batch.sparse.stride() == 4
    assert batch.sparse.lengths().tolist() == [2, 0, 1, 0, 1, 1, 1, 1, 0, 1, 0, 3, 1, 1, 1, 1]
    assert batch.sparse.values().tolist() == [10, 11, 12, 1, 2, 3, 4, -20, -21, -22, -23, -5, -6, -7, -8]
    assert batch.sparse.values().dtype == torch.int64
    jagged = batch.sparse.to_dict()
    assert [row.tolist() for row in jagged["past"].to_dense()] == FRAME["past"].to_list()
    assert jagged["ad"].values().tolist() == FRAME["ad"].to_list()
    assert batch.dense.dtype == torch.float32
    assert batch.dense.shape == (4, 2)
    assert torch.equal(
        batch.dense.isnan(), torch.tensor([[False, False], [True, False], [False, False], [False, True]])
    )
    assert batch.dense.nan_to_num(-1).tolist() == [[1, 0.5], [-1, 1.5], [3, 2.5], [4, -1]]
    assert batch.label is not None
    assert batch.label.dtype == torch.float32
    assert batch.label.tolist() == [0, 1, 1, 0]
    assert batch.group is not None
    assert batch.group.tolist() == [7, 8, 7, 9]


def test_without_sequences_every_length_is_1() -> None:
    frame = pl.DataFrame({"f0": [1, 2, 3], "f1": [4, 5, 6], LABEL: [0, 1, 0]})
    batch = Batch.of(EncodedRows.of(frame, schema_of("categorical", "categorical")))
    assert batch.sparse.lengths().tolist() == [1] * 6
    assert batch.sparse.values().tolist() == [1, 2, 3, 4, 5, 6]
    assert batch.dense.shape == (3, 0)
    assert batch.group is None


def test_without_sparse_features_there_are_no_keys() -> None:
    frame = pl.DataFrame({"f0": pl.Series([1.5, 2.5], dtype=pl.Float32), LABEL: [0, 1]})
    batch = Batch.of(EncodedRows.of(frame, schema_of("numeric")))
    assert batch.sparse.keys() == []
    assert batch.sparse.values().numel() == 0
    assert batch.dense.tolist() == [[1.5], [2.5]]


def test_sequences_that_are_all_empty() -> None:
    frame = pl.DataFrame({"f0": pl.Series([[], []], dtype=pl.List(pl.Int64)), LABEL: [0, 1]})
    rows = EncodedRows.of(frame, schema_of("sequence"))
    assert Batch.of(rows).sparse.lengths().tolist() == [0, 0]
    assert same(rows.take(np.array([0, 1, 0])), EncodedRows.of(pl.concat([frame, frame[:1]]), schema_of("sequence")))


@pytest.mark.parametrize("rows", [[0, 1, 2, 3], [3, 1], [2, 2, 0], []])
def test_taken_rows_are_the_rows_of_the_frame(rows: list[int]) -> None:
    taken = EncodedRows.of(FRAME, SCHEMA).take(np.array(rows, dtype=np.int64))
    assert len(taken) == len(rows)
    assert same(taken, EncodedRows.of(FRAME[rows], SCHEMA))


@pytest.mark.parametrize("cuts", [[0, 4], [0, 1, 4], [0, 0, 2, 3, 4]])
def test_joined_frames_are_the_whole(cuts: list[int]) -> None:
    parts = (FRAME[a:b] for a, b in pairwise(cuts))
    assert same(EncodedRows.joined(parts, 4, SCHEMA), EncodedRows.of(FRAME, SCHEMA))


def test_rows_are_made_of_the_columns_that_are_named() -> None:
    assert columns(SCHEMA) == ["age", "past", "user", "price", "words", "ad", LABEL, GROUP]
    assert columns(schema_of("numeric")) == ["f0", LABEL]
    assert same(EncodedRows.of(FRAME.select(columns(SCHEMA)), SCHEMA), EncodedRows.of(FRAME, SCHEMA))


def test_no_frames_are_no_rows() -> None:
    rows = EncodedRows.joined([], 0, SCHEMA)
    assert same(rows, EncodedRows.of(FRAME.clear(), SCHEMA))
    assert Batch.of(rows).sparse.values().numel() == 0


def test_every_kind_has_its_place() -> None:
    features: list[dict[str, Any]] = [
        {"name": "words", "kind": "multivalued"},
        {"name": "ad", "kind": "categorical"},
        {"name": "both", "kind": "cross", "of": ["ad", "age"]},
        {"name": "price", "kind": "numeric"},
        {"name": "past", "kind": "sequence", "of": "ad"},
        {"name": "age", "kind": "bucketized", "edges": [1.0]},
    ]
    schema = parse_schema({"label": "y", "features": features}, source="test")
    tokens = {name: pl.Series([position, position + 1]) for position, name in enumerate(("ad", "both", "age"))}
    frame = pl.DataFrame(
        {
            **tokens,
            "words": [[70, 71, 72], []],
            "past": [[], [80]],
            "price": pl.Series([0.5, None], dtype=pl.Float32),
            LABEL: pl.Series([1, 0], dtype=pl.UInt8),
        }
    )
    batch = Batch.of(EncodedRows.of(frame, schema))
    assert batch.sparse.keys() == ["words", "ad", "both", "past", "age"]
    assert batch.sparse.lengths().tolist() == [3, 0, 1, 1, 1, 1, 0, 1, 1, 1]
    assert batch.sparse.values().tolist() == [70, 71, 72, 0, 1, 1, 2, 80, 2, 3]
    assert batch.dense.nan_to_num(-1).tolist() == [[0.5], [-1]]


def test_a_request_has_no_label() -> None:
    rows = EncodedRows.of(FRAME, SCHEMA)
    bare = EncodedRows(rows.schema, rows.categorical, rows.lists, rows.dense)
    taken = bare.take(np.array([0, 2]))
    assert (taken.label, taken.group, len(taken)) == (None, None, 2)
    assert (Batch.of(bare).label, Batch.of(bare).group) == (None, None)


def test_batches_keep_the_order_and_the_last_may_be_smaller() -> None:
    rows = one_hot(10)
    found = list(batches(rows, 4))
    assert [b.sparse.values().tolist() for b in found] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert [len(b.dense) for b in found] == [4, 4, 2]
    assert [len(b.dense) for b in batches(rows, 5)] == [5, 5]
    assert [len(b.dense) for b in batches(rows, 99)] == [10]
    assert list(batches(one_hot(0), 4)) == []


def test_a_batch_may_be_changed_without_touching_the_rows() -> None:
    # A frame's memory is read-only; torch must not be handed it.
    frame = pl.DataFrame({"f0": pl.Series([1.0, 2.0], dtype=pl.Float32), LABEL: [0, 1]})
    rows = EncodedRows.of(frame, schema_of("numeric"))
    Batch.of(rows).dense.add_(1)
    assert frame["f0"].to_list() == [1.0, 2.0]


def test_lengths_that_batches_share_are_no_inference_tensors() -> None:
    # 7 is a size that no other test asks for: the first who does is in inference mode here.
    with torch.inference_mode():
        scored = Batch.of(one_hot(7)).sparse.lengths()
    trained = Batch.of(one_hot(7)).sparse.lengths()
    assert not scored.is_inference()
    assert trained.tolist() == [1] * 7
