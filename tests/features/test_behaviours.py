import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from features.histories._behaviours import Behaviours

Row = tuple[int, int, int, bool]  # user, time, item, whether it is a behaviour


def rows_in_time_order() -> st.SearchStrategy[list[Row]]:
    row = st.tuples(st.integers(0, 3), st.integers(-3, 8), st.integers(0, 9), st.booleans())
    return st.lists(row, max_size=60).map(lambda rows: sorted(rows, key=lambda row: row[1]))


def cuts(rows: list[Row]) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, len(rows)), max_size=12).map(lambda at: [0, *sorted(at), len(rows)])


def by_definition(rows: list[Row]) -> list[list[int]]:
    return [[i for u, t, i, acts in rows if acts and u == user and t < time] for user, time, _, _ in rows]


def columns(rows: list[Row]) -> tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.uint32], NDArray[np.bool_]]:
    user, time, item, acts = zip(*rows, strict=True) if rows else ((), (), (), ())
    return np.array(user, np.uint32), np.array(time, np.int64), np.array(item, np.uint32), np.array(acts, np.bool_)


@settings(deadline=None, max_examples=300)
@given(data=st.data(), rows=rows_in_time_order(), max_length=st.integers(1, 6), slack=st.sampled_from([1, 5, 1000]))
def test_each_history_is_what_the_definition_says_however_rows_are_cut(
    data: st.DataObject, rows: list[Row], max_length: int, slack: int
) -> None:
    store = Behaviours(max_length, slack=slack)
    found: list[list[int]] = []
    counts: list[int] = []
    for first, stop in pairwise(data.draw(cuts(rows))):
        ends = store.extend(*columns(rows[first:stop]))
        items, offsets = store.items(ends)
        found += [items[a:b].tolist() for a, b in pairwise(offsets.tolist())]
        counts += store.counts(ends).tolist()
    wanted = by_definition(rows)
    assert found == [history[-max_length:] for history in wanted]
    assert counts == [len(history) for history in wanted]


def test_one_time_over_many_calls() -> None:
    """A moment of thousands of rows is never seen whole, and none of its rows sees another."""
    store = Behaviours(3, slack=4)
    store.extend(*columns([(0, 1, item, True) for item in range(5)]))
    for item in range(500):
        ends = store.extend(*columns([(0, 2, 100 + item, True), (1, 2, 7, True)]))
        assert store.items(ends)[0].tolist() == [2, 3, 4]
        assert store.counts(ends).tolist() == [5, 0]
    ends = store.extend(*columns([(0, 3, 0, True)]))
    assert store.items(ends)[0].tolist() == [597, 598, 599]
    assert store.counts(ends).tolist() == [505]


@pytest.mark.parametrize("moments", [1, 200])
def test_memory_does_not_grow_with_the_rows(moments: int) -> None:
    """Whether the rows come at many times or all at one."""
    rng = np.random.default_rng(0)
    store = Behaviours(8, slack=1000)
    held = []
    tracemalloc.start()
    try:
        for step in range(200):
            users = rng.integers(0, 50, 1000).astype(np.uint32)
            times = np.full(1000, step * moments // 200)
            store.extend(users, times, users, np.ones(1000, np.bool_))
            held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert max(held[100:]) < 1.2 * max(held[:20])
