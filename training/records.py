"""What a run leaves for machines and for TensorBoard: a json line an epoch, and scalars."""

import contextlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from common.quiet import quiet_import


@dataclass(frozen=True)
class Epoch:
    """What an epoch came to.

    Attributes:
        epoch: Its number, from 1.
        train_loss: Mean of what :class:`training.step.TrainingStep` returns over its rows.
        valid: The valid split's metrics.
        monitored: What the epoch was judged by.
        gained: Whether it is the best so far.
        learning_rate: The dense learning rate at its end.
        seconds: How long training took, without validation.
        samples_per_second: Training rows a second.
        warning: What looks wrong and what helps, a sentence; None where nothing does.
    """

    epoch: int
    train_loss: float
    valid: dict[str, float]
    monitored: float
    gained: bool
    learning_rate: float
    seconds: float
    samples_per_second: float
    warning: str | None


@dataclass(frozen=True)
class Start:
    """What a run is about to do.

    Attributes:
        model: The ranker's name.
        parameters: Numbers that training learns.
        rows: Training rows.
        steps: Steps of an epoch.
        done: Epochs that a run that was killed had done; this one goes on after them.
        memory: What the table and its optimiser's state take, in words.
        backend: Which lookup backend holds the table, and why, in words.
        machine: What is used of the machine and why, a sentence each.
    """

    model: str
    parameters: int
    rows: int
    steps: int
    done: int
    memory: str
    backend: str
    machine: tuple[str, ...]


class Observer(Protocol):
    """Told how training goes."""

    def on_start(self, start: Start) -> None:
        """Called once, when the model is built and before its first step."""

    def on_step(self, epoch: int, step: int, loss: float, samples_per_second: float) -> None:
        """Called every few steps; ``step`` counts from 1 within its epoch."""

    def on_epoch(self, record: Epoch) -> None:
        """Called after each validation."""

    def close(self) -> None:
        """Called at the end, however training ends."""


class RunRecords:
    """Writes ``metrics.jsonl`` and ``tensorboard/`` into the run's folder.

    Args:
        folder: The run's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = contextlib.ExitStack()
        self._steps = 0

    def on_start(self, start: Start) -> None:
        """Open the files: only now is it sure that there is something to record."""
        with quiet_import():
            from torch.utils.tensorboard import SummaryWriter
        self._steps = start.steps
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / "metrics.jsonl"
        # A run that goes on repeats an epoch that was recorded and not yet kept.
        written = path.read_text(encoding="utf-8").splitlines(keepends=True) if start.done else []
        self._lines = self._files.enter_context(path.open("w", encoding="utf-8"))
        self._lines.writelines(line for line in written if json.loads(line)["epoch"] <= start.done)
        self._lines.flush()
        self._board: Any = self._files.enter_context(SummaryWriter(str(self._folder / "tensorboard")))

    def on_step(self, epoch: int, step: int, loss: float, samples_per_second: float) -> None:
        """Draw the loss and the speed."""
        at = (epoch - 1) * self._steps + step
        self._board.add_scalar("train/loss", loss, at)
        self._board.add_scalar("train/samples_per_second", samples_per_second, at)

    def on_epoch(self, record: Epoch) -> None:
        """Write the epoch's line and draw its metrics."""
        self._lines.write(json.dumps(asdict(record), allow_nan=False) + "\n")
        self._lines.flush()
        for name, value in record.valid.items():
            self._board.add_scalar(f"valid/{name}", value, record.epoch)
        self._board.add_scalar("train/learning_rate", record.learning_rate, record.epoch)

    def close(self) -> None:
        """Close the files."""
        self._files.close()
