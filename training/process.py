"""What a process that trains sets for itself, once and for its whole life."""

import ctypes
import os
import sys

import torch

# The parameters of mallopt that malloc.h names M_MMAP_THRESHOLD and M_TRIM_THRESHOLD.
_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1
_KEPT = 2**30  # bytes; a larger block goes back to the system
_KEPT_BY_OLDER = 2**25  # the most that older versions of glibc let one ask for
_NEVER = -1


def prepare_process() -> None:
    """Make this process's results repeat, and its memory cheap to take again.

    The memory settings speed up a CPU's training and change no number: they hold on Linux with glibc, where the user's
    environment does not say otherwise, and the larger pages only where torch has allocated nothing yet.
    """
    torch.use_deterministic_algorithms(True)
    # Filling memory before it is written costs time and changes no result.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # torch asks for large pages; it looks once
    _keep_freed_memory()


def _keep_freed_memory() -> None:
    """Keep what a step frees for the next step: the system would have to map and to clear every page of it again."""
    told = any(name in os.environ for name in ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"))
    mallopt = None if told or sys.platform != "linux" else getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # by the user's wish, or of another C library
        return
    if not mallopt(_MMAP_THRESHOLD, _KEPT):
        mallopt(_MMAP_THRESHOLD, _KEPT_BY_OLDER)
    mallopt(_TRIM_THRESHOLD, _NEVER)
