"""A finished run as a leaderboard sees it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from evaluation.report.report import Report

_ITS_OWN = ("seed", "output")  # settings that no other run shares


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        folder: Where it lies.
        model: The ranker's name.
        settings: Its run file with every default filled in, values by dotted key, such as ``embedding.dim``.
        parameters: Numbers that training learned.
        schema_digest: Of the fitted schema of its data.
        reports: What it is worth, by split.
        machine: What it used of the machine, such as ``precision fp32``.
        ranks: Processes that trained it together.
        epochs: Epochs that ran to their end.
        best_epoch: The epoch whose weights it kept.
        interrupted: Whether Ctrl-C ended it before its time.
        speeds: Training rows a second, an epoch each; empty where they are not known.
        seconds: Training time without validation; None where it is not known.
    """

    folder: Path
    model: str
    settings: Mapping[str, Any]
    parameters: int
    schema_digest: str
    reports: Mapping[str, Report]
    machine: tuple[str, ...]
    ranks: int
    epochs: int
    best_epoch: int
    interrupted: bool
    speeds: tuple[float, ...]
    seconds: float | None

    @property
    def seed(self) -> int:
        """Its seed."""
        seed: int = self.settings["seed"]
        return seed

    @property
    def name(self) -> str:
        """Its folder's name without the seed: that of ``lr_2021``, ``lr-seed2021`` and ``lr/2021`` is ``lr``."""
        folder = self.folder.resolve()
        return re.sub(rf"(^|[-_.])(seed[-_.]?)?{self.seed}$", "", folder.name) or folder.parent.name

    @property
    def speed(self) -> float | None:
        """Training rows a second: the median over its epochs; None where it is not known."""
        return median(self.speeds) if self.speeds else None

    @property
    def recipe(self) -> dict[str, Any]:
        """What runs that differ only in seed have in common.

        That is the run file less ``seed`` and ``output``. Of its ``machine`` section only the precision counts, and as
        it was used rather than as it was asked for: device, compilation and threads change a result by rounding alone,
        bf16 changes the arithmetic. The number of ranks counts, since each takes batches of its own.
        """
        settings = {
            key: value for key, value in self.settings.items() if key not in _ITS_OWN and not key.startswith("machine.")
        }
        used = [some.removeprefix("precision ") for some in self.machine if some.startswith("precision ")]
        return {**settings, "machine.precision": ", ".join(used), "ranks": self.ranks}

    def to_json_dict(self, split: str) -> dict[str, Any]:
        """The run in types that strict JSON knows, with the metrics of a split."""
        return {
            "folder": str(self.folder),
            "seed": self.seed,
            "metrics": {metric.name: metric.value for metric in self.reports[split].metrics},
            "valid_auc": self.reports["valid"].metric("auc").value,
            "epochs": self.epochs,
            "best_epoch": self.best_epoch,
            "interrupted": self.interrupted,
            "samples_per_second": list(self.speeds),
            "seconds": self.seconds,
            "machine": list(self.machine),
        }
