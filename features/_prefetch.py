"""Prefetching: the next items are made in a thread while the caller uses the present one."""

import contextlib
from collections import deque
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
_END = object()


def prefetched(items: Generator[T], depth: int) -> Generator[T]:
    """Make items ahead of the caller, in one thread.

    An error in the thread is raised here. Closing this generator closes ``items`` and ends the thread.

    Args:
        items: What makes them; it is used by one thread at a time, never by two at once.
        depth: Items that are made or wait, besides the one that the caller has.

    Yields:
        The items, in order.
    """
    with contextlib.closing(items):
        pool = ThreadPoolExecutor(1, thread_name_prefix="prefetch")
        try:
            ahead = deque(pool.submit(next, items, _END) for _ in range(depth))
            while (item := ahead.popleft().result()) is not _END:
                ahead.append(pool.submit(next, items, _END))
                yield item  # type: ignore[misc]
        finally:
            pool.shutdown(cancel_futures=True)
