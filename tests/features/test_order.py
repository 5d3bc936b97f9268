"""The laws of the order: every row once, equal streams, and a resume that is the rest of the same epoch."""

from collections.abc import Iterator
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.datasets import order as order_module
from features.datasets.order import Order, Window


@pytest.fixture(autouse=True, scope="module")
def small_chunks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(order_module, "CHUNK_ROWS", 5)
        patch.setattr(order_module, "_UNSHUFFLED_ROWS", 12)
        yield


@st.composite
def orders(draw: st.DrawFn) -> Order:
    shards = tuple(draw(st.lists(st.integers(0, 40), min_size=1, max_size=8)))
    rows = sum(shards)
    if not rows:
        shards, rows = (1,), 1
    return Order(
        shards=shards,
        streams=draw(st.integers(1, min(rows, 6))),
        batch_size=draw(st.integers(2, 12)),
        seed=draw(st.integers(0, 2**63 - 1)),
        hold=draw(st.integers(0, rows + 5)),
    )


def batches(order: Order, stream: int, epoch: int, batch: int = 0) -> list[list[int]]:
    """A stream's batches, each row by its position in the split."""
    starts = np.cumsum([0, *order.shards])
    found = []
    for window in order.windows(stream, epoch, batch):
        rows = [starts[span.shard] + span.first + i for span in window.spans for i in range(span.rows)]
        assert all(span.first + span.rows <= order.shards[span.shard] for span in window.spans)
        found += [[int(rows[i]) for i in positions] for positions in window.batches]
    return found


@given(order=orders(), epoch=st.integers(0, 3))
def test_every_row_is_read_once_and_streams_are_equal(order: Order, epoch: int) -> None:
    streams = [batches(order, stream, epoch) for stream in range(order.streams)]
    assert sorted(row for stream in streams for batch in stream for row in batch) == list(range(order.rows))
    assert {len(stream) for stream in streams} == {order.batches}
    sizes = [sum(map(len, stream)) for stream in streams]
    assert max(sizes) - min(sizes) <= 1
    for stream in streams:
        assert {len(batch) for batch in stream[:-1]} <= {order.batch_size}
        assert min(2, order.rows // order.streams) <= len(stream[-1]) <= order.batch_size + 2
    if order.streams == 1:
        assert order.rows <= 2 or len(streams[0][-1]) <= order.batch_size + 1


@given(order=orders(), epoch=st.integers(0, 3), data=st.data())
def test_the_rest_of_an_epoch_is_what_it_would_have_been(order: Order, epoch: int, data: st.DataObject) -> None:
    stream = data.draw(st.integers(0, order.streams - 1))
    batch = data.draw(st.integers(0, order.batches))
    assert batches(order, stream, epoch, batch) == batches(order, stream, epoch)[batch:]


@given(order=orders(), epoch=st.integers(0, 3))
def test_a_stream_holds_no_more_than_it_may(order: Order, epoch: int) -> None:
    for stream in range(order.streams):
        for window in order.windows(stream, epoch):
            held = sum(span.rows for span in window.spans)
            if order.exact:
                assert held == order.rows <= order.hold
            elif order.hold:
                # Two windows are held at a time; a window has a whole batch at least.
                assert held <= max(order.hold // 2, order.batch_size) + 2


@given(order=orders())
def test_unshuffled_rows_keep_their_order(order: Order) -> None:
    kept = Order(order.shards, order.streams, order.batch_size, order.seed, hold=0)
    streams = [batches(kept, stream, epoch=1) for stream in range(kept.streams)]
    assert [row for stream in streams for batch in stream for row in batch] == list(range(kept.rows))


@pytest.mark.parametrize("hold", [1000, 100], ids=["exact", "windowed"])
def test_each_epoch_and_each_seed_has_an_order_of_its_own(hold: int) -> None:
    def read(seed: int, epoch: int) -> list[list[int]]:
        return batches(Order((200, 100), 1, 16, seed, hold), 0, epoch)

    assert read(0, 0) == read(0, 0)
    different = [read(0, 0), read(0, 1), read(1, 0), read(1, 1)]
    assert all(a != b for i, a in enumerate(different) for b in different[:i])


def test_the_exact_order_does_not_depend_on_how_many_read() -> None:
    alone = [row for batch in batches(Order((200, 100), 1, 16, 7, 300), 0, 2) for row in batch]
    shared = Order((200, 100), 3, 16, 7, 300)
    assert [row for stream in range(3) for batch in batches(shared, stream, 2) for row in batch] == alone


def test_windows_mix_rows_from_all_over_the_split() -> None:
    order = Order((500, 500), 1, 10, 0, hold=400)
    for window in islice(order.windows(0, 0), 4):
        rows = np.concatenate(
            [np.arange(span.first, span.first + span.rows) + 500 * span.shard for span in window.spans]
        )
        taken = np.concatenate([rows[batch] for batch in window.batches])
        assert np.ptp(rows) > 700
        # Neighbours in a window are no neighbours in the split.
        assert (np.abs(np.diff(taken)) == 1).mean() < 0.1


def test_a_batch_never_has_one_row_unless_there_is_no_other() -> None:
    assert [len(batch) for batch in batches(Order((33,), 1, 16, 0, 0), 0, 0)] == [16, 17]
    assert [len(batch) for batch in batches(Order((34,), 1, 16, 0, 0), 0, 0)] == [16, 16, 2]
    assert [len(batch) for batch in batches(Order((32,), 1, 16, 0, 0), 0, 0)] == [16, 16]
    assert [len(batch) for batch in batches(Order((1,), 1, 16, 0, 0), 0, 0)] == [1]


def test_skipped_windows_are_not_even_named() -> None:
    order = Order((100, 100, 100), 1, 10, 0, hold=0)
    first: Window = next(order.windows(0, 0, batch=25))
    assert first.spans == ((2, 50, 10),)


def test_neighbours_are_read_at_once() -> None:
    whole: Window = next(Order((12, 13), 1, 5, 0, hold=25).windows(0, 0))
    assert whole.spans == ((0, 0, 12), (1, 0, 13))
