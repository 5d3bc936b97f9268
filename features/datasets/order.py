"""The order of rows: which rows each reader of a split takes, and when, as a pure function of a seed.

Several readers (ranks times workers), here called *streams*, share a split. Stream j of J takes the positions from
j n / J to (j + 1) n / J of one order of all n rows that all streams agree on without talking to each other. So no row
is lost or doubled, and streams differ by at most one row.

- *exact*: a stream can hold the whole split. The order is one permutation of all rows.
- *windowed*: it cannot. Chunks of consecutive rows are permuted; a stream reads its share of them in windows as large
  as it can hold, and permutes the rows of each window.
- unshuffled: the order is that of the shards.

Every stream has the same number of batches, so that ranks which wait for each other do so equally often.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

CHUNK_ROWS = 65_536
"""Rows that stay together until a window permutes them.

Shards have row groups of as many, so that a chunk is read without its neighbours.
"""

_UNSHUFFLED_ROWS = 65_536  # of a window, where its size does not matter to the order


class Span(NamedTuple):
    """Consecutive rows of a shard."""

    shard: int
    first: int
    rows: int


@dataclass(frozen=True)
class Window:
    """Rows that a stream holds at once.

    Attributes:
        spans: The rows to read, one span after the other.
        batches: For each batch the positions of its rows among them, int64.
    """

    spans: tuple[Span, ...]
    batches: tuple[NDArray[np.int64], ...]


@dataclass(frozen=True)
class Order:
    """The order of a split's rows.

    Attributes:
        shards: Rows of each shard.
        streams: How many streams share them; not more than there are rows.
        batch_size: Rows of a batch. The last batch of an epoch takes what is left, at least two rows (batch
            normalisation cannot learn from one) and at most ``batch_size + 2``; with one stream ``batch_size + 1``.
        seed: Of the shuffling.
        hold: Rows that a stream may hold to shuffle them; 0 keeps the order of the shards.
    """

    shards: tuple[int, ...]
    streams: int
    batch_size: int
    seed: int
    hold: int

    @property
    def rows(self) -> int:
        """Rows of the split."""
        return sum(self.shards)

    @property
    def exact(self) -> bool:
        """Whether a stream holds the whole split."""
        return 0 < self.rows <= self.hold

    @property
    def window(self) -> int:
        """Rows of a window; the last one of an epoch may have others."""
        if self.exact:
            return self.rows
        # Two windows are held at a time: one is given out while the next is read.
        rows = self.hold // 2 if self.hold else _UNSHUFFLED_ROWS
        return max(1, rows // self.batch_size) * self.batch_size

    @property
    def batches(self) -> int:
        """Batches of each stream in an epoch."""
        return max(1, -(-(self.rows // self.streams - 1) // self.batch_size))

    def windows(self, stream: int, epoch: int, batch: int = 0) -> Iterator[Window]:
        """The windows of a stream in an epoch.

        Args:
            stream: Which stream, from 0.
            epoch: Which epoch, from 0; each has another order.
            batch: The first batch to give, from 0; earlier windows are skipped unread.

        Yields:
            Windows of whole batches.
        """
        if batch >= self.batches:
            return
        first, last = (self.rows * share // self.streams for share in (stream, stream + 1))
        chunks = self._chunks()
        if self.exact:
            order = self._random(epoch).permutation(self.rows)[first:last]
            yield Window(_spans(chunks, 0, self.rows), self._cut(order, self.batches)[batch:])
            return
        if self.hold:
            chunks = self._random(epoch).permutation(chunks)
        window_batches = self.window // self.batch_size
        for window in range(batch // window_batches, -(-self.batches // window_batches)):
            before = window * window_batches
            count = min(window_batches, self.batches - before)
            start = first + before * self.batch_size
            stop = last if before + count == self.batches else start + count * self.batch_size
            rows = stop - start
            order = self._random(epoch, stream, window).permutation(rows) if self.hold else np.arange(rows)
            yield Window(_spans(chunks, start, stop), self._cut(order, count)[max(batch - before, 0) :])

    def _cut(self, order: NDArray[np.int64], count: int) -> tuple[NDArray[np.int64], ...]:
        """Cut an order into batches; the last takes what is left."""
        return tuple(np.split(order, range(self.batch_size, count * self.batch_size, self.batch_size)))

    def _chunks(self) -> NDArray[np.int64]:
        """All rows as chunks: shard, first row, rows ``[chunks, 3]``."""
        return np.array(
            [
                (shard, first, min(CHUNK_ROWS, rows - first))
                for shard, rows in enumerate(self.shards)
                for first in range(0, rows, CHUNK_ROWS)
            ]
        )

    def _random(self, *key: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))


def _spans(chunks: NDArray[np.int64], start: int, stop: int) -> tuple[Span, ...]:
    """The rows from position ``start`` to ``stop`` of a list of chunks; neighbours are one span, read at once."""
    ends = chunks[:, 2].cumsum()
    starts = ends - chunks[:, 2]
    touched = range(int(np.searchsorted(ends, start, side="right")), int(np.searchsorted(starts, stop)))
    spans: list[Span] = []
    for i in touched:
        skipped = max(start - int(starts[i]), 0)
        rows = min(stop, int(ends[i])) - int(starts[i]) - skipped
        span = Span(int(chunks[i, 0]), int(chunks[i, 1]) + skipped, rows)
        if spans and span[:2] == (spans[-1].shard, spans[-1].first + spans[-1].rows):
            before = spans.pop()
            span = before._replace(rows=before.rows + rows)
        spans.append(span)
    return tuple(spans)
