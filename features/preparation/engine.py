"""Engines: what runs the work on the parts of an input, here or on a cluster."""

import os
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

from features.preparation.plan import Part

Job = TypeVar("Job")
Result = TypeVar("Result")
_MOST_WORKERS = 8  # each holds a part in memory


class Engine(Protocol):
    """Runs a function over parts."""

    def map(self, function: Callable[[Job, Part], Result], job: Job, parts: Sequence[Part]) -> Generator[Result]:
        """Give the function's result for each part, in the order of the parts.

        Close it when done: left to the garbage collector, it might wait for its threads where nothing may wait.

        Args:
            function: Called as ``function(job, part)``, wherever the engine sees fit.
            job: The same for all parts.
            parts: The parts.

        Raises:
            PlexrankError: What the function raised for the first part that it failed on.
        """
        ...


class LocalEngine:
    """Threads of this process: almost all the work is done in polars and NumPy, which let other threads run.

    Args:
        workers: Parts in work at once; by default one a core, but no more than eight.
    """

    def __init__(self, workers: int | None = None) -> None:
        self._workers = workers or min(len(os.sched_getaffinity(0)), _MOST_WORKERS)

    def map(self, function: Callable[[Job, Part], Result], job: Job, parts: Sequence[Part]) -> Generator[Result]:
        """See :class:`Engine`; at most one result waits beside those in work."""
        running: deque[Future[Result]] = deque()
        with ThreadPoolExecutor(self._workers, thread_name_prefix="prepare") as pool:
            try:
                for part in parts:
                    if len(running) > self._workers:
                        yield running.popleft().result()
                    running.append(pool.submit(function, job, part))
                while running:
                    yield running.popleft().result()
            finally:
                for future in running:
                    future.cancel()
