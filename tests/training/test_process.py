"""A process that trains keeps its memory from step to step."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MEGABYTES = 64
PAGES = MEGABYTES * 2**20 // os.sysconf("SC_PAGE_SIZE")

_SCRIPT = f"""
import resource
import statistics
import torch
from training.process import prepare_process

prepare_process()

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def use():
    torch.ones({MEGABYTES} * 2**18)

for _ in range(3):  # until the heap has a place for it
    use()
rounds = []
for _ in range(10):
    before = faults()
    use()
    rounds.append(faults() - before)
print(statistics.median_high(rounds))
"""

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the settings are those of glibc's malloc")


def page_faults(**environment: str) -> int:
    """Pages that the system gives a process which takes and frees the same memory again, in the middle of ten times.

    In the middle: what else the process does may move the memory to another place of its heap, but only now and then.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_", "THP_"))}
    command = [sys.executable, "-c", _SCRIPT]
    done = subprocess.run(
        command, cwd=ROOT, env={**kept, **environment}, capture_output=True, text=True, check=True, timeout=120
    )
    return int(done.stdout)


def test_freed_memory_is_kept_for_the_next_step() -> None:
    assert page_faults(THP_MEM_ALLOC_ENABLE="0") < PAGES / 100


def test_memory_settings_of_the_environment_hold() -> None:
    given_back = page_faults(THP_MEM_ALLOC_ENABLE="0", MALLOC_TRIM_THRESHOLD_="131072", MALLOC_MMAP_THRESHOLD_="131072")
    assert given_back >= 0.99 * PAGES
