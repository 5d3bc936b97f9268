"""Rows in order of score, the same for any order, any chunks, any merges and any memory."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import DataError, DiskError
from evaluation.state.sorted_rows import RowBlock, SortedRows

TINY = 1e-5
Columns = tuple[npt.NDArray[Any], ...]


@st.composite
def columns(draw: st.DrawFn) -> Columns:
    """Labels, scores with ties, groups, and perhaps weights."""
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    score = st.sampled_from([-1.0, -0.0, 0.0, 7.0]) | st.floats(-10, 10, width=32)
    group = st.sampled_from([-(2**63), 0, 3, 2**63 - 1])
    row = st.tuples(st.booleans(), score, group, st.sampled_from([0.0, 0.5, 1.0, 2.0]))
    labels, scores, groups, weights = zip(*draw(st.lists(row, min_size=1, max_size=40)), strict=True)
    made = (np.array(labels), np.array(scores, dtype), np.array(groups, np.int64))
    return (*made, np.array(weights)) if draw(st.booleans()) else made


def _whole(blocks: list[RowBlock]) -> list[list[Any]]:
    """The columns of all blocks, joined."""
    names = ("scores", "groups", "labels", *(["weights"] if blocks[0].weights is not None else []))
    return [np.concatenate([vars(block)[name] for block in blocks]).tolist() for name in names]


@given(columns(), st.randoms(use_true_random=False))
def test_rows_come_in_order_whatever_the_chunks_and_the_memory(rows: Columns, random: Any) -> None:
    labels, scores, groups, *weights = rows
    expected = sorted(
        row[:4] if weights else row[:3]
        for row in zip(
            (scores + 0.0).tolist(), groups.tolist(), labels.tolist(), *(w.tolist() for w in weights), strict=True
        )
        if not weights or row[3] > 0
    )
    shards = [SortedRows(memory_mb=TINY), SortedRows(memory_mb=TINY), SortedRows()]
    order = random.sample(range(labels.size), labels.size)
    for start in range(0, labels.size, 3):
        part = order[start : start + 3]
        random.choice(shards).update(*(column[part] for column in rows))
    merged = SortedRows(memory_mb=TINY)
    for shard in shards:
        merged.merge(shard)
    assert merged.rows == len(expected)
    if not expected:
        with pytest.raises(DataError, match="there are no rows to evaluate"):
            merged.blocks()
        return
    for state in (merged, merged):
        blocks = list(state.blocks())
        assert [list(row) for row in zip(*_whole(blocks), strict=True)] == [list(row) for row in expected]
        assert blocks[0].scores.dtype == scores.dtype


def test_equal_scores_are_never_in_two_blocks_and_borders_do_not_depend_on_memory() -> None:
    random = np.random.default_rng(0)
    scores = random.integers(0, 50_000, 600_000).astype(np.float32)
    scores[:100_000] = 17.0
    labels, groups = random.random(scores.size) < 0.3, random.integers(0, 99, scores.size)
    inside, outside = SortedRows(), SortedRows(memory_mb=2)
    inside.update(labels, scores, groups)
    for start in range(0, scores.size, 50_000):
        part = slice(start, start + 50_000)
        outside.update(labels[part], scores[part], groups[part])
    expected = list(inside.blocks())
    assert len(expected) == 3
    assert all(block.scores.size >= 2**18 for block in expected[:-1])
    assert all(a.scores[-1] < b.scores[0] for a, b in itertools.pairwise(expected))
    for found, block in zip(outside.blocks(), expected, strict=True):
        assert found.scores.tobytes() == block.scores.tobytes()
        assert found.labels.tobytes() == block.labels.tobytes()
        assert found.groups.tobytes() == block.groups.tobytes()
        assert found.weights is None


def test_rows_without_weights_beside_rows_with_them_have_weight_1() -> None:
    for memory in (1024, TINY):
        rows = SortedRows(memory_mb=memory)
        rows.update([0, 1], np.array([0.1, 0.2], np.float32), [1, 2])
        rows.update([0], np.array([0.15]), [3], [0.5])
        (block,) = rows.blocks()
        assert block.weights is not None
        assert block.weights.tolist() == [1, 0.5, 1]
        assert block.groups.tolist() == [1, 3, 2]
        assert block.scores.dtype == np.float64


def test_rows_refused_are_not_added(tmp_path: Path) -> None:
    rows = SortedRows(memory_mb=TINY, folder=tmp_path / "none")
    rows.update([0, 1], np.array([0.1, 0.2]), [1, 2])
    with pytest.raises(DataError, match="groups must be integers"):
        rows.update([0, 1], np.array([0.1, 0.2]), [1.0, 2.0])
    with pytest.raises(DiskError, match="cannot be written"):
        rows.update([0, 1], np.array([0.1, 0.2]), [1, 2])
    assert rows.rows == 2
    assert [block.labels.tolist() for block in rows.blocks()] == [[False, True]]
