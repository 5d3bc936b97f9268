"""Prefetching: order, errors, and an end that leaves no thread."""

import signal
import subprocess
import sys
import threading
from collections.abc import Generator
from pathlib import Path

import pytest

from features._prefetch import prefetched


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("prefetch")]


def test_items_keep_their_order_and_the_thread_ends() -> None:
    assert list(prefetched((i for i in range(100)), 3)) == list(range(100))
    assert list(prefetched((i for i in range(0)), 3)) == []
    assert threads() == []


def test_items_are_made_ahead_and_no_further() -> None:
    made = [threading.Event() for _ in range(10)]

    def make() -> Generator[int]:
        for i, event in enumerate(made):
            event.set()
            yield i

    items = prefetched(make(), 2)
    assert next(items) == 0
    assert made[2].wait(10)
    assert not made[3].wait(0.2)
    assert next(items) == 1
    assert made[3].wait(10)
    items.close()


def test_an_error_is_raised_where_the_item_would_have_come() -> None:
    def make() -> Generator[int]:
        yield 0
        yield 1
        raise ValueError("no third")

    items = prefetched(make(), 4)
    assert [next(items), next(items)] == [0, 1]
    with pytest.raises(ValueError, match="no third"):
        next(items)
    assert threads() == []


def test_closing_ends_the_thread_and_what_it_reads_from() -> None:
    closed = []

    def make() -> Generator[int]:
        try:
            yield from range(1000)
        finally:
            closed.append(True)

    items = prefetched(make(), 4)
    next(items)
    assert threads()
    items.close()
    assert threads() == []
    assert closed == [True]


def test_ctrl_c_interrupts_the_wait_for_an_item() -> None:
    program = """
import time
from features._prefetch import prefetched
def make():
    yield 0
    while True:
        time.sleep(0.2)
        yield 0
items = prefetched(make(), 1)
next(items)
print("started", flush=True)
for _ in items: pass
"""
    command = [sys.executable, "-c", program]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        process.send_signal(signal.SIGINT)
        _, problem = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGINT
    assert "KeyboardInterrupt" in problem
