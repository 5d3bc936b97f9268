"""What a report says of the machine it was made on."""

import os
import platform
import re
from pathlib import Path

import torch


def description() -> str:
    """The processor, its cores, and the versions that matter, in one line."""
    return (
        f"{_processor()}, {os.cpu_count()} cores, Python {platform.python_version()}, torch {torch.__version__}, "
        f"{torch.get_num_threads()} threads"
    )


def slug() -> str:
    """The machine as part of a file's name, such as ``xeon-2-cores``."""
    family = re.search(r"xeon|epyc|ryzen|core|neoverse|apple", _processor().lower())
    return f"{family[0] if family else platform.machine()}-{os.cpu_count()}-cores"


def _processor() -> str:
    try:
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor() or platform.machine()
