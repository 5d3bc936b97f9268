"""The state of pooled metrics: the same blocks for any order, any chunks, any merges and any memory."""

import contextlib
import os
import resource
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import DataError, DiskError
from evaluation.metrics.auc import auc_of
from evaluation.state.score_distribution import Block, ScoreDistribution

TINY = 1e-5  # MiB: ten bytes, so that every update sends what came before to the file
Chunk = tuple[npt.NDArray[np.bool_], npt.NDArray[Any], npt.NDArray[np.float64] | None]


@st.composite
def chunks(draw: st.DrawFn) -> list[Chunk]:
    """Chunks of rows with many ties; some float32, some weighted."""
    made: list[Chunk] = []
    for _ in range(draw(st.integers(1, 6))):
        size = draw(st.integers(1, 12))
        dtype = draw(st.sampled_from([np.float32, np.float64]))
        score = st.sampled_from([-1.0, -0.0, 0.0, 0.25, 7.0]) | st.floats(-10, 10, width=32)
        scores = np.array(draw(st.lists(score, min_size=size, max_size=size)), dtype)
        labels = np.array(draw(st.lists(st.booleans(), min_size=size, max_size=size)))
        weight = st.sampled_from([0.0, 1.0, 0.1]) | st.floats(1e-3, 1e3)
        weights = draw(st.none() | st.lists(weight, min_size=size, max_size=size))
        made.append((labels, scores, None if weights is None else np.array(weights)))
    return made


def _same(found: list[Block], expected: list[Block]) -> None:
    assert len(found) == len(expected)
    for block, other in zip(found, expected, strict=True):
        for name, column in vars(other).items():
            assert vars(block)[name].dtype == column.dtype
            assert vars(block)[name].tobytes() == column.tobytes()


@contextlib.contextmanager
def _files_of_at_most(size: int) -> Iterator[None]:
    """Lets the system refuse longer files, as a full disk would."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@given(chunks(), st.randoms(use_true_random=False))
def test_blocks_depend_on_the_rows_alone(parts: list[Chunk], random: Any) -> None:
    inside = ScoreDistribution()
    for part in parts:
        inside.update(*part)
    shards = [ScoreDistribution(memory_mb=TINY) for _ in range(3)]
    for labels, scores, weights in random.sample(parts, len(parts)):
        order = random.sample(range(labels.size), labels.size)
        for half in (order[::2], order[1::2]):
            if half:
                shard = random.choice(shards)
                shard.update(labels[half], scores[half], None if weights is None else weights[half])
    merged = ScoreDistribution(memory_mb=TINY)
    for shard in random.sample(shards, 3):
        merged.merge(shard)
    assert (merged.rows, merged.positive_rows, merged.negative_rows) == (
        inside.rows,
        inside.positive_rows,
        inside.negative_rows,
    )
    if not inside.rows:
        with pytest.raises(DataError, match="there are no rows to evaluate"):
            merged.blocks()
        return
    assert (merged.low, merged.high, merged.dtype) == (inside.low, inside.high, inside.dtype)
    assert (merged.positives, merged.negatives) == (inside.positives, inside.negatives)
    _same(list(merged.blocks()), list(inside.blocks()))


@given(chunks())
def test_blocks_hold_the_masses_of_every_distinct_score(parts: list[Chunk]) -> None:
    distribution, masses = ScoreDistribution(memory_mb=TINY), [Counter[float]() for _ in range(4)]
    rows = 0
    for labels, scores, weights in parts:
        distribution.update(labels, scores, weights)
        for i, (label, score) in enumerate(zip(labels.tolist(), scores.tolist(), strict=True)):
            weight = 1.0 if weights is None else float(weights[i])
            if weight:
                rows += 1
                masses[label][score + 0.0] += weight
                masses[2 + label][score + 0.0] += weight**2
    assert distribution.rows == rows
    if not rows:
        return
    blocks = list(distribution.blocks())
    assert len(blocks) == 1
    block = blocks[0]
    assert block.scores.tolist() == sorted(set(masses[0]) | set(masses[1]))
    assert not np.signbit(block.scores[block.scores == 0]).any()
    found = (block.negatives, block.positives, block.negative_squares, block.positive_squares)
    for column, expected in zip(found, masses, strict=True):
        assert column.dtype == (np.float64 if distribution.weighted else np.int64)
        assert column.tolist() == pytest.approx([expected[score] for score in block.scores.tolist()], rel=1e-14)
    assert distribution.positives == pytest.approx(masses[1].total(), rel=1e-14)
    assert distribution.negatives == pytest.approx(masses[0].total(), rel=1e-14)


@pytest.mark.parametrize("weighted", [False, True])
def test_blocks_are_of_2_to_the_18_distinct_scores_whatever_the_memory(*, weighted: bool) -> None:
    random = np.random.default_rng(0)
    scores = random.permutation(700_000).astype(np.float32)
    scores[::7] = 5.0
    labels = random.random(scores.size) < 0.3
    weights = random.random(scores.size) if weighted else None
    inside = ScoreDistribution.of(labels, scores, weights)
    outside = ScoreDistribution(memory_mb=1)
    for start in range(0, scores.size, 60_000):
        part = slice(start, start + 60_000)
        outside.update(labels[part], scores[part], None if weights is None else weights[part])
    expected = list(inside.blocks())
    assert {block.scores.size for block in expected[:-1]} == {2**18}
    assert (np.diff(np.concatenate([block.scores for block in expected])) > 0).all()
    _same(list(outside.blocks()), expected)
    # A second walk keeps the blocks, a third comes from those.
    for _ in range(2):
        _same(list(inside.blocks()), expected)
    assert auc_of(outside) == auc_of(inside)


def test_rows_added_after_a_walk_are_in_the_next_one() -> None:
    distribution = ScoreDistribution()
    for rows in range(1, 4):
        distribution.update([0, 1], np.array([rows, rows + 0.5]))
        for _ in range(3):
            assert sum(block.scores.size for block in distribution.blocks()) == 2 * rows
    other = ScoreDistribution.of([0], np.array([99.0]))
    distribution.merge(other)
    assert [block.scores.max() for block in distribution.blocks()] == [99.0]
    assert other.rows == 1
    distribution.merge(distribution)
    assert distribution.rows == 14
    assert [block.negatives.sum() for block in distribution.blocks()] == [8]


def test_float32_stays_until_float64_comes() -> None:
    distribution = ScoreDistribution()
    distribution.update([0, 1], np.array([0.1, 0.2], np.float32))
    assert [block.scores.dtype for block in distribution.blocks()] == [np.float32]
    distribution.update([0, 1], np.array([0.1, 0.2]))
    (block,) = distribution.blocks()
    assert block.scores.tolist() == [0.1, float(np.float32(0.1)), 0.2, float(np.float32(0.2))]


def test_callers_arrays_may_change_afterwards() -> None:
    labels, scores = np.array([False, True]), np.array([0.2, 0.1])
    distribution = ScoreDistribution.of(labels, scores)
    list(distribution.blocks())
    assert scores.tolist() == [0.2, 0.1]
    scores[:] = 9
    labels[:] = True
    (block,) = distribution.blocks()
    assert block.scores.tolist() == [0.1, 0.2]
    assert block.positives.tolist() == [1, 0]


def test_rows_refused_are_not_added() -> None:
    distribution = ScoreDistribution.of([0, 1], np.array([0.1, 0.2]))
    with pytest.raises(DataError, match="score nan in row 1"):
        distribution.update([0, 1], np.array([0.1, np.nan]))
    with pytest.raises(DataError, match=r"weight -1\.0 in row 0"):
        distribution.update([0, 1], np.array([0.1, 0.2]), [-1.0, 1.0])
    assert (distribution.rows, distribution.weighted) == (2, False)


def test_a_folder_that_cannot_be_written_is_an_error_and_adds_no_rows(tmp_path: Path) -> None:
    distribution = ScoreDistribution(memory_mb=TINY, folder=tmp_path / "none")
    distribution.update([0, 1], np.array([0.1, 0.2]))
    with pytest.raises(DiskError, match="No such file or directory; free some space, name another folder"):
        distribution.update([0, 1], np.array([0.3, 0.4]))
    assert distribution.rows == 2
    assert auc_of(distribution).value == 1


def test_a_full_disk_is_an_error_and_adds_no_rows(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    labels = np.arange(100_000) % 2 == 0
    distribution = ScoreDistribution(memory_mb=1, folder=tmp_path)
    # Every update sends the rows before it to the file, of which two runs fit.
    for _ in range(3):
        distribution.update(labels, random.random(labels.size))
    with _files_of_at_most(2**21), pytest.raises(DiskError, match="cannot be written"):
        distribution.update(labels, random.random(labels.size))
    assert distribution.rows == 300_000
    assert sum(int((block.negatives + block.positives).sum()) for block in distribution.blocks()) == 300_000
    distribution.update(labels, random.random(labels.size))
    assert sum(int((block.negatives + block.positives).sum()) for block in distribution.blocks()) == 400_000


@pytest.mark.parametrize("weighted", [False, True])
def test_few_distinct_scores_take_little_space(tmp_path: Path, *, weighted: bool) -> None:
    random = np.random.default_rng(0)
    distribution = ScoreDistribution(memory_mb=1, folder=tmp_path)
    labels, weights = np.arange(100_000) % 4 == 0, np.where(np.arange(100_000) % 4 == 0, 1.0, 10.0)
    with _files_of_at_most(2**14):
        for _ in range(20):
            distribution.update(labels, random.integers(0, 9, labels.size) / 9, weights if weighted else None)
    (block,) = distribution.blocks()
    assert block.scores.size == 9
    assert block.positives.sum() == 500_000
    assert block.negatives.sum() == (15_000_000 if weighted else 1_500_000)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs Linux's list of open files")
def test_the_file_has_no_name_and_is_closed_with_the_last_that_reads_it(tmp_path: Path) -> None:
    def handles() -> list[str]:
        links = [os.path.realpath(path) for path in Path("/proc/self/fd").iterdir()]
        return [link for link in links if link.startswith(str(tmp_path))]

    distribution = ScoreDistribution(memory_mb=TINY, folder=tmp_path)
    for _ in range(3):
        distribution.update([0, 1], np.array([0.1, 0.2]))
    assert list(tmp_path.iterdir()) == []
    assert len(handles()) == 1
    other = ScoreDistribution()
    other.merge(distribution)
    del distribution
    assert [block.positives.tolist() for block in other.blocks()] == [[0, 3]]
    del other
    assert handles() == []
