"""What a report says of the machine it was made on."""

import importlib.metadata
import os
import platform
import re
from pathlib import Path

import torch


def description() -> str:
    """The processor, its cores, the GPU if there is one, and the versions that matter, in one line."""
    installed = {found.name.lower() for found in importlib.metadata.distributions() if found.name}
    parts = [_processor(), f"{os.cpu_count()} cores"]
    libraries = ["torch", "polars"]
    if torch.cuda.is_available():
        parts.append(torch.cuda.get_device_name())
        libraries.append("triton")
    parts.append(f"Python {platform.python_version()}")
    # A GPU machine that runs one benchmark need not have every library.
    parts += [f"{name} {importlib.metadata.version(name)}" for name in libraries if name in installed]
    return ", ".join([*parts, f"{torch.get_num_threads()} threads"])


def slug() -> str:
    """The machine as part of a file's name, such as ``xeon-2-cores``, or ``h100`` where there is a GPU."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name().removeprefix("NVIDIA ").split()[0].lower()
    family = re.search(r"xeon|epyc|ryzen|core|neoverse|apple", _processor().lower())
    return f"{family[0] if family else platform.machine()}-{os.cpu_count()}-cores"


def _processor() -> str:
    try:
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor() or platform.machine()
