"""Rows kept apart by a code against a loop over the codes, in memory and from a file."""

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import DiskError
from evaluation.state.partitions import Partitions

CODES = st.lists(st.integers(0, 5) | st.sampled_from([255, 256, 70_000]), max_size=30)
CHUNKS = st.lists(CODES, max_size=4)
MEMORY = st.sampled_from([0, 1024])
Table = list[tuple[int, dict[str, list[Any]]]]


def columns_of(numbers: list[int]) -> dict[str, npt.NDArray[Any]]:
    """Columns of several dtypes that tell rows apart."""
    array = np.array(numbers, np.int64)
    return {"number": array, "half": (array / 2).astype(np.float32), "odd": array % 2 == 1}


def state_of(chunks: list[list[int]], start: int, memory_mb: int) -> Partitions:
    made = Partitions(memory_mb=memory_mb)
    for codes in chunks:
        made.update(np.array(codes, np.int64), **columns_of(list(range(start, start + len(codes)))))
        start += len(codes)
    return made


def by_loop(chunks: list[list[int]]) -> Table:
    codes = [code for chunk in chunks for code in chunk]
    numbers = {code: [row for row, other in enumerate(codes) if other == code] for code in sorted(set(codes))}
    return [(code, {name: c.tolist() for name, c in columns_of(rows).items()}) for code, rows in numbers.items()]


def as_table(partitions: Partitions, most: int | None = None) -> Table:
    return [(code, {name: c.tolist() for name, c in columns.items()}) for code, columns in partitions.each(most=most)]


@given(CHUNKS, MEMORY)
def test_rows_come_back_by_code_in_the_order_given(chunks: list[list[int]], memory_mb: int) -> None:
    state = state_of(chunks, 0, memory_mb)
    assert as_table(state) == by_loop(chunks)
    assert as_table(state) == by_loop(chunks), "a second reading differs"
    assert state.rows == sum(map(len, chunks))


@given(CHUNKS, CHUNKS, MEMORY, MEMORY)
def test_merged_rows_stand_behind(a: list[list[int]], b: list[list[int]], memory_a: int, memory_b: int) -> None:
    first, second = state_of(a, 0, memory_a), state_of(b, sum(map(len, a)), memory_b)
    before = as_table(second)
    first.merge(second)
    assert as_table(first) == by_loop(a + b)
    assert as_table(second) == before


@given(CHUNKS, MEMORY, st.integers(1, 7))
def test_no_more_rows_at_once_than_asked_for(chunks: list[list[int]], memory_mb: int, most: int) -> None:
    pieces = as_table(state_of(chunks, 0, memory_mb), most)
    assert all(0 < len(columns["number"]) <= most for _, columns in pieces)
    whole: dict[int, dict[str, list[Any]]] = {}
    for code, columns in pieces:
        at = whole.setdefault(code, {name: [] for name in columns})
        for name, values in columns.items():
            at[name] += values
    assert list(whole.items()) == by_loop(chunks)


def test_dtypes_stay_and_widen() -> None:
    for memory_mb in (0, 1024):
        state = Partitions(memory_mb=memory_mb)
        state.update(np.array([1, 0]), score=np.array([0.1, 0.2], np.float32))
        assert [columns["score"].dtype for _, columns in state.each()] == [np.float32] * 2
        state.update(np.array([1], np.uint8), score=np.array([0.1]))
        found = dict(state.each())[1]["score"]
        assert found.dtype == np.float64
        assert found.tolist() == [float(np.float32(0.1)), 0.1]


def test_rows_beyond_the_budget_leave_memory() -> None:
    draws = np.random.default_rng(0)
    state, codes, total = Partitions(memory_mb=4), [], 0
    tracemalloc.start()
    try:
        for _ in range(40):
            codes.append(draws.integers(0, 16, 100_000, np.uint8))
            state.update(codes[-1], value=np.arange(total, total + 100_000))
            total += 100_000
        for code, columns in state.each():
            assert np.array_equal(columns["value"], np.flatnonzero(np.concatenate(codes) == code))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert state.spilled
    assert peak < 24 * 2**20  # the rows alone take 34 MiB


def test_nothing_is_left_in_the_folder(tmp_path: Path) -> None:
    state = Partitions(memory_mb=0, folder=tmp_path)
    state.update(np.array([0, 1]), value=np.array([5, 6]))
    assert state.spilled
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    state = Partitions(memory_mb=0, folder=tmp_path / "absent")
    with pytest.raises(DiskError, match="absent"):
        state.update(np.array([0]), value=np.array([5]))
    assert state.rows == 0
    assert list(state.each()) == []


def test_misuse() -> None:
    state = Partitions()
    with pytest.raises(ValueError, match="code -1 is below 0"):
        state.update(np.array([0, -1]), value=np.zeros(2))
    with pytest.raises(ValueError, match=r"columns of shapes \[\(3,\)\] with codes of \(2,\)"):
        state.update(np.array([0, 1]), value=np.zeros(3))
    state.update(np.array([0, 1]), value=np.zeros(2))
    with pytest.raises(ValueError, match="after"):
        state.update(np.array([0, 1]), other=np.zeros(2))
    other = Partitions()
    other.update(np.array([0]), other=np.zeros(1))
    with pytest.raises(ValueError, match="after"):
        state.merge(other)
    assert as_table(state) == [(0, {"value": [0.0]}), (1, {"value": [0.0]})]


@given(CHUNKS, MEMORY, st.sets(st.integers(0, 5)))
def test_only_codes_that_are_wanted(chunks: list[list[int]], memory_mb: int, wanted: set[int]) -> None:
    found = [code for code, _ in state_of(chunks, 0, memory_mb).each(codes=wanted)]
    assert found == [code for code, _ in by_loop(chunks) if code in wanted]
