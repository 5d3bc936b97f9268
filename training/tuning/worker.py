"""Processes that train trials, each one at a time, and what they say to the search."""

import contextlib
import math
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from common.errors import ConfigError, PlexrankError
from evaluation.interval import quantile
from evaluation.report.report import Report
from evaluation.search.trial import State
from training.machine import usable_cores
from training.records import Epoch, Start
from training.run import RunSettings

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

_THREADS = ("OMP_NUM_THREADS", "POLARS_MAX_THREADS")
_FAREWELL = 10.0  # seconds


@dataclass(frozen=True)
class Judged:
    """An epoch is over and judged; the process waits to be told whether to go on."""

    epoch: int
    value: float


@dataclass(frozen=True)
class Ended:
    """A trial is over.

    Attributes:
        state: What became of it.
        reason: Why, where it has not finished.
        error: Standard error of its best epoch's value.
        misfit: Whether the settings do not fit together, the data, or the machine.
    """

    state: State
    reason: str = ""
    error: float | None = None
    misfit: bool = False


class Worker:
    """A process that trains trials.

    Args:
        place: Which of the search's workers it is, from 0; with several GPUs, they take turns.
        workers: How many there are: each gets as many of the cores.
    """

    def __init__(self, place: int, workers: int) -> None:
        self._place, self._workers = place, workers
        self._since = 0.0
        self._start()

    @property
    def pipe(self) -> Connection:
        """What becomes ready to read when the process has something to say, or has died."""
        return self._pipe

    @property
    def seconds(self) -> float:
        """Since its trial began."""
        return time.monotonic() - self._since

    def begin(self, settings: RunSettings) -> None:
        """Let it train a run."""
        self._since = time.monotonic()
        self._training = True
        self._tell(settings)

    def go_on(self, wanted: bool) -> None:
        """Answer what it has said of an epoch."""
        self._tell(wanted)

    def hear(self) -> Judged | Ended:
        """What it says, once its pipe is ready. A process that has died is replaced."""
        try:
            said: Judged | Ended = self._pipe.recv()
            self._training = isinstance(said, Judged)
            return said
        except (EOFError, ConnectionError):
            self._process.join()
            how = self._process.exitcode or 0
            self.close()
            self._start()
            means = f"by signal {-how}" if how < 0 else f"with exit code {how}"
            return Ended(
                "failed", f"its process ended {means}; if memory ran out, use fewer workers or a smaller table"
            )

    def close(self) -> None:
        """End the process, whatever it does; it gets time to give back what it holds of the machine."""
        self._pipe.close()  # which ends one that waits
        if self._training:
            self._process.terminate()
        self._process.join(_FAREWELL)
        self._process.kill()
        self._process.join()

    def _tell(self, something: RunSettings | bool) -> None:
        with contextlib.suppress(ConnectionError):  # it has died: that is heard next
            self._pipe.send(something)

    def _start(self) -> None:
        context = get_context("spawn")  # forked, polars would wait for threads that the child does not have
        self._pipe, theirs = context.Pipe()
        process: SpawnProcess = context.Process(target=_work, args=(theirs, self._place))
        share = str(max(1, usable_cores() // self._workers))
        own = {name: share for name in _THREADS if self._workers > 1 and name not in os.environ}
        # Processes inherit the mask: Ctrl-C is for the search, which ends them. What tracks shared memory is a process
        # that must run before, as starting it takes the mask away.
        resource_tracker.ensure_running()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        os.environ.update(own)
        try:
            process.start()
        finally:
            for name in own:
                del os.environ[name]
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        self._process, self._training = process, False


class _PrunedError(Exception):
    """The search does not want the trial to go on."""


class _Reporter:
    """An observer that says of each epoch what it was judged by, and waits for the answer."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def on_start(self, start: Start) -> None:
        """Nothing to say."""

    def on_step(self, epoch: int, step: int, loss: float, samples_per_second: float) -> None:
        """Nothing to say."""

    def on_epoch(self, record: Epoch) -> None:
        """Ask whether to go on."""
        self._pipe.send(Judged(record.epoch, record.monitored))
        if not self._pipe.recv():
            raise _PrunedError(f"after epoch {record.epoch}")

    def close(self) -> None:
        """Nothing to close."""


def _work(pipe: Connection, place: int) -> None:
    """What a worker's process does."""
    import torch

    threading.Thread(target=_end_with_search, daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # as an exit, so that semaphores are given back
    os.environ["LOCAL_RANK"] = str(place % max(1, torch.cuda.device_count()))
    with contextlib.suppress(EOFError, ConnectionError):  # the search has ended
        while True:
            settings: RunSettings = pipe.recv()
            pipe.send(_trained(settings, pipe))
            # Else torch would stop compiling, without a word, after a few models.
            torch.compiler.reset()


def _end_with_search() -> None:
    search = parent_process()
    assert search is not None
    connection.wait([search.sentinel])
    os._exit(1)


def _trained(settings: RunSettings, pipe: Connection) -> Ended:
    from training.loop import train

    try:
        # A search that was killed may have left an artifact that it did not come to count.
        outcome = train(settings, [_Reporter(pipe)], overwrite=True, judge_test=False)
    except _PrunedError as ended:
        return Ended("pruned", str(ended))
    except PlexrankError as problem:
        return Ended("failed", str(problem), misfit=isinstance(problem, ConfigError))
    except Exception as problem:  # of one trial, out of memory perhaps; the others go on
        return Ended("failed", f"{type(problem).__name__}: {problem}")
    return Ended("finished", error=_error(outcome.reports["valid"], settings.training.monitor))


def _error(report: Report, monitor: str) -> float | None:
    """The standard error of what is monitored, as its intervals tell; of a difference, at most."""
    total = 0.0
    for name in monitor.split("-"):
        interval = report.metric(name).interval
        if interval is None:
            return None
        total += (interval.high - interval.low) / 2 / quantile(interval.level)
    return total if math.isfinite(total) else None
