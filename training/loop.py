"""The training loop: from a run file to an artifact."""

import contextlib
import math
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from common.errors import DataError
from common.files import atomic_folder, refuse_existing
from evaluation.report import Report
from features.datasets.dataset import ClickDataset
from features.datasets.feed import Feed
from features.datasets.prepared import PreparedSet
from kernels.lookup.dispatch import choose
from kernels.lookup.memory import Footprint
from models.ranker import Ranker, parameter_count
from models.registry import build_model
from training.artifact import finish, load_weights, save_weights
from training.machine import Machine
from training.optimizers import Optimizers, table_optimizer
from training.plateau import Plateau
from training.records import Epoch, Observer, Start
from training.run import LoopSettings, RunSettings
from training.scoring import SCORING_BATCH, judge
from training.step import TrainingStep

_REPORT_EVERY = 20  # steps


@dataclass(frozen=True)
class Outcome:
    """What training came to.

    Attributes:
        artifact: The artifact's folder.
        best_epoch: The epoch whose weights it holds.
        epochs: Epochs that ran to their end.
        interrupted: Whether Ctrl-C ended it.
        reports: The best weights' report on each split that has rows, without train.
    """

    artifact: Path
    best_epoch: int
    epochs: int
    interrupted: bool
    reports: dict[str, Report]


def train(settings: RunSettings, observers: Sequence[Observer] = (), *, overwrite: bool = False) -> Outcome:
    """Train a model and write its artifact.

    The best weights by the monitored metric go to disk as they appear, in a folder no command reads; the artifact is
    renamed into place at the end. The first Ctrl-C ends training after the running step and keeps the best epoch.

    Args:
        settings: The run.
        observers: Told how it goes.
        overwrite: Replace an existing artifact.

    Returns:
        The outcome.

    Raises:
        ConfigError: The settings do not fit the data, or the artifact exists.
        DataError: The prepared set is damaged, or the loss stops being finite.
        KeyboardInterrupt: Ctrl-C before the first epoch was over, when there is nothing to keep.
    """
    target = settings.output / "artifact"
    refuse_existing(target, overwrite=overwrite)
    prepared = PreparedSet(settings.data)
    torch.manual_seed(settings.seed)
    torch.use_deterministic_algorithms(True)
    # Filling memory before it is written costs time and changes no result.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    loop = settings.training
    feed = Feed(
        ClickDataset(
            prepared,
            "train",
            batch_size=loop.batch_size,
            seed=settings.seed,
            shuffle_memory_mb=loop.shuffle_memory_mb,
            workers=loop.workers,
        )
    )
    machine = Machine.choose(settings.machine, steps=loop.epochs * len(feed))
    torch.set_num_threads(machine.threads)
    model = build_model(
        settings.architecture,
        prepared.fitted,
        optimizer=table_optimizer(settings.optimizer),
        backend=settings.backend,
        device=machine.device,
    )
    valid = _judged(prepared, "valid")
    rows = prepared.rows("train")
    plateau = Plateau(loop.patience)
    try:
        for observer in observers:
            observer.on_start(_start(settings, model, rows, len(feed), machine))
        with atomic_folder(target, overwrite=overwrite) as folder, _Interrupt() as interrupt:
            epochs = _epochs(model, machine, feed, valid, rows, settings, plateau, folder, observers, interrupt)
            if plateau.best_epoch == 0:
                raise KeyboardInterrupt
            load_weights(folder, model)
            reports = {"valid": _report(model, valid)}
            if prepared.rows("test"):
                reports["test"] = _report(model, _judged(prepared, "test"))
            finish(
                folder,
                name=settings.output.name,
                architecture=settings.architecture,
                fitted=prepared.fitted,
                model=model,
                metrics={split: report.to_json_dict() for split, report in reports.items()},
                provenance={
                    "run": settings.model_dump(mode="json"),
                    "epochs": epochs,
                    "best_epoch": plateau.best_epoch,
                    "interrupted": interrupt.requested,
                },
            )
    finally:
        for observer in observers:
            observer.close()
    return Outcome(target, plateau.best_epoch, epochs, interrupt.requested, reports)


def _start(settings: RunSettings, model: Ranker, rows: int, steps: int, machine: Machine) -> Start:
    """What the observers are told before the first step."""
    lookup = model.embedding.lookup
    backend, memory = "none: no feature has a table", "no table"
    if lookup is not None:
        kind = lookup.optimizer.kind if lookup.optimizer else None
        choice = choose(machine.device, kind, settings.backend)
        backend, memory = f"{choice.backend}: {choice.reason}", str(Footprint.of(lookup.layout, lookup.optimizer))
    return Start(settings.model.name, parameter_count(model), rows, steps, memory, backend, machine.reasons)


def _epochs(
    model: Ranker,
    machine: Machine,
    feed: Feed,
    valid: Feed,
    rows: int,
    settings: RunSettings,
    plateau: Plateau,
    folder: Path,
    observers: Sequence[Observer],
    interrupt: "_Interrupt",
) -> int:
    """Run epochs until the plateau, the limit or Ctrl-C; returns how many ran to their end."""
    loop = settings.training
    optimizers = Optimizers(model, settings.optimizer)
    step = TrainingStep(model, optimizers, machine, loop.batch_size)
    for epoch in range(1, loop.epochs + 1):
        started = time.perf_counter()
        model.train()
        loss = _epoch(step, feed, epoch, observers, interrupt)
        seconds = time.perf_counter() - started
        if loss is None:
            return epoch - 1
        report = _report(model, valid)
        monitored = _monitored(report, loop)
        gained = plateau.update(epoch, monitored)
        if gained:
            save_weights(folder, model)
        record = Epoch(
            epoch=epoch,
            train_loss=loss,
            valid={m.name: m.value for m in report.metrics if m.value is not None},
            monitored=monitored,
            gained=gained,
            learning_rate=optimizers.learning_rate,
            seconds=seconds,
            samples_per_second=rows / seconds,
        )
        for observer in observers:
            observer.on_epoch(record)
        if plateau.exhausted or interrupt.requested:
            return epoch
        if not gained:
            optimizers.reduce(loop)
    return loop.epochs


def _epoch(
    train_on: TrainingStep,
    feed: Feed,
    epoch: int,
    observers: Sequence[Observer],
    interrupt: "_Interrupt",
) -> float | None:
    """Train on every row once; returns the mean loss, or None when Ctrl-C cut it short."""
    total, recent, seen, since = 0.0, 0.0, 0, 0
    clock = time.perf_counter()
    with contextlib.closing(iter(feed)) as batches:
        for step, batch in enumerate(batches, 1):
            assert batch.label is not None
            size = batch.label.numel()
            summed = train_on(batch) * size
            total, recent, seen, since = total + summed, recent + summed, seen + size, since + size
            if not math.isfinite(total):
                raise DataError(f"the loss is not finite at epoch {epoch}, step {step}; lower optimizer.learning_rate")
            if interrupt.requested:
                return None
            if step % _REPORT_EVERY == 0 or step == len(feed):
                now = time.perf_counter()
                for observer in observers:
                    observer.on_step(epoch, step, recent / since, since / (now - clock))
                recent, since, clock = 0.0, 0, now
    return total / seen


def _judged(prepared: PreparedSet, split: str) -> Feed:
    """The rows of a split that judges, in their order."""
    return Feed(ClickDataset(prepared, split, batch_size=SCORING_BATCH, shuffle=False))


def _report(model: Ranker, feed: Feed) -> Report:
    with contextlib.closing(iter(feed)) as batches:
        return judge(model, batches)


def _monitored(report: Report, loop: LoopSettings) -> float:
    """What an epoch is judged by; more is better."""
    values: dict[str, Any] = {metric.name: metric for metric in report.metrics}
    for name in loop.monitor.split("-"):
        if values[name].value is None:
            raise DataError(f"the valid split cannot judge by {name}: {values[name].reason}; mend the split")
    auc, logloss = values["auc"].value, values["logloss"].value
    monitored: float = {"auc": auc, "logloss": -logloss}.get(loop.monitor, (auc or 0.0) - logloss)
    return monitored


class _Interrupt:
    """Turns the first Ctrl-C into a request; a second one interrupts at once."""

    def __init__(self) -> None:
        self.requested = False

    def __enter__(self) -> "_Interrupt":
        self._previous = signal.signal(signal.SIGINT, self._request)
        return self

    def __exit__(self, *problem: object) -> None:
        signal.signal(signal.SIGINT, self._previous)

    def _request(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
