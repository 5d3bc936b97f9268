"""What a run uses of the machine it is on: device, precision, compilation, threads, each with its reason."""

import os
import shutil
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field

from common.errors import ConfigError
from common.settings import Settings

Precision = Literal["fp32", "bf16"]

Plan = Literal["row_wise", "table_wise", "column_wise"]
"""How a table is cut: a range of rows a rank; whole, on rank 0; a range of columns a rank."""

_WORTH_COMPILING = 1_500
"""Steps from which on a run is long enough to be worth the time that compilation takes."""

_BF16_UNITS = {"amx_bf16": "AMX", "avx512_bf16": "AVX-512", "arm_bf16": "Arm"}


class MachineSettings(Settings):
    """Settings of the machine; ``auto`` looks at what is there.

    Attributes:
        device: ``auto``: a GPU if torch sees one.
        precision: Of the dense part's matrix products. ``bf16`` is autocast: weights, table, loss and updates stay
            float32. ``auto``: bf16 where the processor multiplies it natively. Scoring is always float32.
        compile: Whether ``torch.compile`` fuses the dense part. ``auto``: where it can, if the run is long enough to
            win back the time it takes.
        threads: Of torch's operators on a CPU; null: as OMP_NUM_THREADS says, else the cores that this process may
            use, shared out among the ranks on the machine.
        sharding: How ranks started by torchrun share the table: a range of rows each, all of it on the first, or a
            range of columns each.
    """

    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    compile: Literal["auto"] | bool = "auto"
    threads: int | None = Field(default=None, ge=1, le=1024)
    sharding: Plan = "row_wise"

    def place(self) -> torch.device:
        """The kind of device that is meant.

        Raises:
            ConfigError: It is not there.
        """
        available = torch.cuda.is_available()
        if self.device == "cuda" and not available:
            raise ConfigError("machine.device is cuda, but torch sees no GPU; set it to auto or cpu")
        wanted = ("cuda" if available else "cpu") if self.device == "auto" else self.device
        return torch.device(wanted)


@dataclass(frozen=True)
class Machine:
    """What a run uses.

    Attributes:
        device: Where tensors live.
        precision: Of the dense part.
        compile: Whether the dense part is compiled.
        threads: Of torch on the CPU.
        reasons: A sentence a decision.
    """

    device: torch.device
    precision: Precision
    compile: bool
    threads: int
    reasons: tuple[str, ...]

    @classmethod
    def choose(cls, settings: MachineSettings, device: torch.device, *, steps: int) -> "Machine":
        """Decide.

        Args:
            settings: What the user leaves open, and what not.
            device: This process's, of the kind that ``settings.place()`` says.
            steps: Training steps at most.

        Raises:
            ConfigError: Something was asked for that this machine cannot do.
        """
        precision, precision_reason = _precision(settings.precision, device)
        compiled, compile_reason = _compile(settings.compile, device, steps)
        threads, threads_reason = _threads(settings.threads)
        sees = torch.cuda.get_device_name(device) if device.type == "cuda" else "torch sees no GPU"
        return cls(
            device,
            precision,
            compiled,
            threads,
            (
                f"device {device}: {sees if settings.device == 'auto' else 'as set'}",
                f"precision {precision}: {precision_reason}",
                f"compile {'on' if compiled else 'off'}: {compile_reason}",
                f"threads {threads}: {threads_reason}",
            ),
        )


def usable_cores() -> int:
    """Cores that this process may use: its affinity, within the quota of its container."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        return cores
    return cores if quota == "max" else max(1, min(cores, int(quota) // int(period)))


def compiler() -> str | None:
    """The C++ compiler that torch.compile would use on a CPU, or None where it or Python's headers are missing."""
    found = next((name for name in (os.environ.get("CXX"), "g++", "clang++") if name and shutil.which(name)), None)
    headers = Path(sysconfig.get_paths()["include"]) / "Python.h"
    return found if headers.exists() else None


def _threads(wanted: int | None) -> tuple[int, str]:
    ranks_here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # by torchrun, which also sets OMP_NUM_THREADS to 1
    if wanted:
        return wanted, "as set"
    if ranks_here > 1:
        return max(1, usable_cores() // ranks_here), f"the cores of {ranks_here} processes of this machine, shared out"
    if os.environ.get("OMP_NUM_THREADS"):
        return torch.get_num_threads(), "as OMP_NUM_THREADS says"
    return usable_cores(), "the cores this process may use"


def _precision(wanted: str, device: torch.device) -> tuple[Precision, str]:
    if wanted == "fp32":
        return "fp32", "as set"
    if wanted == "bf16":
        return "bf16", "as set"
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return ("bf16", "the GPU multiplies it natively") if native else ("fp32", "the GPU has no native bf16")
    capabilities = torch.cpu.get_capabilities()
    unit = next((name for key, name in _BF16_UNITS.items() if capabilities.get(key)), None)
    return ("bf16", f"the CPU multiplies it natively ({unit})") if unit else ("fp32", "the CPU has no native bf16")


def _compile(wanted: Literal["auto"] | bool, device: torch.device, steps: int) -> tuple[bool, str]:
    if wanted is False:
        return False, "as set"
    tool = "Triton" if device.type == "cuda" else compiler()
    if tool is None:
        if wanted is True:
            raise ConfigError(
                "machine.compile is on, but there is no C++ compiler with Python's headers (g++ and python3-dev); "
                "install them, or set it to auto"
            )
        return False, "no C++ compiler with Python's headers was found (g++ and python3-dev)"
    if wanted is True:
        return True, f"as set, with {tool}"
    if steps < _WORTH_COMPILING:
        return False, f"{steps:,} steps are too few to win back the time it takes"
    return True, f"with {tool}"
