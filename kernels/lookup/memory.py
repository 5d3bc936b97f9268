"""How much memory a table takes, and whether the machine has it: told before anything is allocated."""

import os
from dataclasses import dataclass
from pathlib import Path

import torch

from common.errors import ConfigError
from kernels.lookup.layout import TableLayout, TableOptimizer

_FLOAT32 = 4


@dataclass(frozen=True)
class Footprint:
    """Memory of a table, in bytes.

    Attributes:
        table: The rows.
        state: The fused optimiser's state; of a dense gradient the gradient and Adam's two averages, which an optimiser
            outside keeps.
    """

    table: int
    state: int

    @classmethod
    def of(cls, layout: TableLayout, optimizer: TableOptimizer | None) -> "Footprint":
        """The memory that a layout will take in training with an optimiser."""
        table = layout.rows * layout.dim * _FLOAT32
        if optimizer is None:
            return cls(table, 3 * table)
        shapes = optimizer.state_shapes(layout).values()
        return cls(table, sum(_FLOAT32 * layout.rows * (shape[1] if len(shape) > 1 else 1) for shape in shapes))

    def fits(self, device: torch.device, *, training: bool) -> bool:
        """Whether a device has the memory; with the optimiser's state in training."""
        if device.type == "meta":  # where nothing is allocated
            return True
        return self.table + (self.state if training else 0) <= free_memory(device)

    def check(self, device: torch.device, *, training: bool, ranks: int = 1) -> None:
        """Refuse what does not fit.

        Args:
            device: Where the table shall live.
            training: Whether the optimiser's state is needed too.
            ranks: How many processes share the table.

        Raises:
            ConfigError: The free memory of the device is less; the message says how much would do.
        """
        if not Footprint(self.table // ranks, self.state // ranks).fits(device, training=training):
            parts = f"a table of {_shown(self.table)}" + (
                f" and {_shown(self.state)} for its optimiser" if training and self.state else ""
            )
            raise ConfigError(
                f"{parts} need more than the {_shown(free_memory(device))} of memory that are free on {device}; lower "
                "embedding.rows or embedding.memory_mb, or take an optimizer.embedding with less state (sgd has none, "
                "rowwise_adagrad a number a row)"
            )

    def check_state(self, device: torch.device) -> None:
        """Refuse what a dense optimiser will keep of a table that is built, before its first step makes it.

        Raises:
            ConfigError: The free memory of the device is less.
        """
        if self.state > free_memory(device):
            raise ConfigError(
                f"the table's dense gradient and its two averages need {_shown(self.state)}, more than the "
                f"{_shown(free_memory(device))} of memory that are free on {device}; set a fused optimizer.embedding "
                "such as rowwise_adagrad, or a smaller table"
            )

    def __str__(self) -> str:
        return f"table {_shown(self.table)}, optimiser state {_shown(self.state)}"


def free_memory(device: torch.device) -> int:
    """Bytes that can be allocated on a device: of the GPU, or of the machine within the limit of its container."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
        group = Path("/sys/fs/cgroup")
        limit = (group / "memory.max").read_text().strip()
        if limit != "max":
            free = min(free, int(limit) - int((group / "memory.current").read_text()))
    except (OSError, StopIteration):
        pass  # no Linux, or no container: what is known so far stands
    return free


def _shown(size: int) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB"
