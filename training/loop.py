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
from common.files import refuse_existing, resumable_folder, sha256_json
from evaluation.report.report import Report
from features.datasets.dataset import ClickDataset
from features.datasets.feed import Feed
from features.datasets.prepared import PreparedSet
from models.ranker import Ranker, parameter_count
from training.artifact import finish
from training.build import Built, build
from training.checkpoint import Checkpoints, resume_feed
from training.machine import Machine
from training.optimizers import Optimizers
from training.plateau import Plateau
from training.process import prepare_process
from training.ranks import on_first, rank, ranks, summed, world_size
from training.records import Epoch, Observer, Start
from training.run import LoopSettings, RunSettings
from training.scoring import SCORING_BATCH, judge
from training.step import TrainingStep

_REPORT_EVERY = 20  # steps
_FIRST_EPOCHS, _DEAD_AUC = 3, 0.51  # a run that is stuck from its start shows by then


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


def train(
    settings: RunSettings, observers: Sequence[Observer] = (), *, overwrite: bool = False, judge_test: bool = True
) -> Outcome:
    """Train a model and write its artifact; under torchrun, all ranks do so together.

    The best weights by the monitored metric go to disk as they appear, and a checkpoint an epoch, in a folder that no
    command reads; the artifact is renamed into place at the end. The first Ctrl-C ends training after the running step
    and keeps the best epoch. A run that was killed goes on from its last checkpoint when the same run is trained again.

    Args:
        settings: The run.
        observers: Told how it goes, on rank 0. What one of them raises ends training, and leaves no artifact.
        overwrite: Replace an existing artifact.
        judge_test: Report on the test split too, if it has rows; not where that could decide what is trained next.

    Returns:
        The outcome.

    Raises:
        ConfigError: The settings do not fit the data or the machine, or the artifact exists.
        DataError: The prepared set is damaged, its valid rows cannot judge an epoch, or the loss stops being finite.
        KeyboardInterrupt: Ctrl-C before the first epoch was over, when there is nothing to keep.
    """
    prepare_process()
    target = settings.output / "artifact"
    refuse_existing(target, overwrite=overwrite)
    prepared = PreparedSet(settings.data)
    check_judge(prepared, settings.training)
    with ranks(settings.machine.place()) as device:
        loop = settings.training
        feed = _feed(
            prepared,
            "train",
            batch_size=loop.batch_size,
            seed=settings.seed,
            shuffle_memory_mb=loop.shuffle_memory_mb,
            workers=loop.workers,
        )
        machine = Machine.choose(settings.machine, device, steps=loop.epochs * len(feed))
        torch.set_num_threads(machine.threads)
        torch.manual_seed(settings.seed)
        built = build(settings, prepared.fitted, device)
        torch.manual_seed(settings.seed + rank())  # dropout draws differently on each rank
        valid = _feed(prepared, "valid", batch_size=SCORING_BATCH, shuffle=False)
        told = observers if rank() == 0 else ()
        run_itself = {name: value for name, value in settings.itself.items() if name not in ("output", "machine")}
        key = sha256_json([run_itself, _contents(feed), prepared.document.model_dump(mode="json")])
        with contextlib.ExitStack() as whole:
            for observer in told:
                whole.callback(observer.close)
            folder = on_first(lambda: whole.enter_context(resumable_folder(target, key, overwrite=overwrite)))
            interrupt = whole.enter_context(_Interrupt())
            run = _Run(settings, built, machine, feed, valid, prepared.rows("train"), told, folder, interrupt)
            epochs = run.to_the_end()
            built.restore(folder)
            reports = {"valid": _report(built.model, valid)}
            if judge_test and prepared.rows("test"):
                reports["test"] = _report(built.model, _feed(prepared, "test", batch_size=SCORING_BATCH, shuffle=False))
            provenance = {
                "run": settings.itself,
                "epochs": epochs,
                "best_epoch": run.plateau.best_epoch,
                "interrupted": interrupt.requested,
                "ranks": world_size(),
                "machine": machine.reasons,
            }

            def complete() -> None:
                run.checkpoints.remove()
                finish(
                    folder,
                    name=settings.output.name,
                    architecture=settings.architecture,
                    fitted=prepared.fitted,
                    model=built.model,
                    metrics={split: report.to_json_dict() for split, report in reports.items()},
                    provenance=provenance,
                )
                whole.close()  # renames the artifact into place

            on_first(complete)
        return Outcome(target, run.plateau.best_epoch, epochs, interrupt.requested, reports)


def check_judge(prepared: PreparedSet, loop: LoopSettings) -> None:
    """Refuse a prepared set whose valid rows cannot judge an epoch, before the first.

    Raises:
        DataError: The AUC is monitored, and all valid rows have one label.
    """
    split = prepared.document.splits.get("valid")
    if "auc" in loop.monitor and split is not None and split.rows and split.positives in (0, split.rows):
        raise DataError(
            f"the valid split of {prepared.folder} cannot judge by auc: all its {split.rows:,} rows have label "
            f"{int(split.positives > 0)}; prepare one with both labels, or set training.monitor to logloss"
        )


class _Run:
    """The epochs of a run.

    Args:
        settings: The run.
        built: The model, and what trains it.
        machine: What is used of the machine.
        feed: Training rows.
        valid: The rows that judge.
        rows: Training rows of an epoch, of all ranks.
        observers: Told how it goes.
        folder: Where best weights and checkpoints go.
        interrupt: Asked whether to end.
    """

    def __init__(
        self,
        settings: RunSettings,
        built: Built,
        machine: Machine,
        feed: Feed,
        valid: Feed,
        rows: int,
        observers: Sequence[Observer],
        folder: Path,
        interrupt: "_Interrupt",
    ) -> None:
        self.settings, self.built, self.machine = settings, built, machine
        self.feed, self.valid, self.rows = feed, valid, rows
        self.observers, self.folder, self.interrupt = observers, folder, interrupt
        self.plateau = Plateau(settings.training.patience)
        self.checkpoints = Checkpoints(folder / "checkpoints")
        self.optimizers = Optimizers(built.model, settings.optimizer, settings.training.epochs * len(feed))
        self.step = TrainingStep(built, self.optimizers, machine, settings.training.batch_size)

    def to_the_end(self) -> int:
        """Run epochs until the plateau, the limit or Ctrl-C; returns how many ran to their end.

        Raises:
            KeyboardInterrupt: Ctrl-C before the first epoch was over.
        """
        done = self._go_on()
        for observer in self.observers:
            observer.on_start(self._start(done))
        while done < self.settings.training.epochs and not self.plateau.exhausted and not self.interrupt.requested:
            if not self._epoch(done + 1):
                break
            done += 1
        if self.plateau.best_epoch == 0:
            raise KeyboardInterrupt
        return done

    def _go_on(self) -> int:
        """Load what a killed run left; returns the epochs that are done."""
        if not on_first(self.checkpoints.any):
            return 0
        progress = self.checkpoints.load(self.built.model, self.optimizers.dense)
        resume_feed(self.feed, progress["feed"])
        self.plateau = Plateau(self.settings.training.patience, **progress["plateau"])
        self.optimizers.go_on(progress["optimizers"])
        done: int = progress["epoch"]
        return done

    def _epoch(self, epoch: int) -> bool:
        """Train on every row once, judge, and keep what is best; returns whether Ctrl-C left time for that."""
        loop, model = self.settings.training, self.built.model
        started = time.perf_counter()
        model.train()
        loss = self._pass(epoch)
        seconds = time.perf_counter() - started
        if loss is None:
            return False
        report = _report(model, self.valid)
        monitored = _monitored(report, loop)
        gained = self.plateau.update(epoch, monitored)
        if gained:
            self.built.save(self.folder)
        record = Epoch(
            epoch=epoch,
            train_loss=loss,
            valid={m.name: m.value for m in report.metrics if m.value is not None},
            monitored=monitored,
            gained=gained,
            learning_rate=self.optimizers.learning_rate,
            seconds=seconds,
            samples_per_second=self.rows / seconds,
            warning=self._dead_start(epoch, report),
        )
        for observer in self.observers:
            observer.on_epoch(record)
        if not gained:
            self.optimizers.reduce(loop)
        progress = {
            "epoch": epoch,
            "plateau": self.plateau.progress(),
            "optimizers": self.optimizers.progress(),
            "feed": self.feed.state_dict(),
        }
        self.checkpoints.save(model, self.optimizers.dense, step=epoch * len(self.feed), progress=progress)
        return True

    def _dead_start(self, epoch: int, report: Report) -> str | None:
        """Say so when the first epochs end no better than chance."""
        auc = report.metric("auc").value
        if epoch > _FIRST_EPOCHS or auc is None or auc > _DEAD_AUC:
            return None
        hint = self.built.model.network.dead_start_hint
        return (
            f"valid AUC {auc:.4f} after epoch {epoch}: the model ranks no better than chance; what helps: a lower "
            f"optimizer.learning_rate, a larger embedding.init_std, another seed{f', {hint}' if hint else ''}"
        )

    def _pass(self, epoch: int) -> float | None:
        """Train on every row once; returns the mean loss, or None when Ctrl-C cut it short."""
        total, recent, seen, since = 0.0, 0.0, 0, 0
        clock = time.perf_counter()
        with contextlib.closing(iter(self.feed)) as batches:
            for step, batch in enumerate(batches, 1):
                assert batch.label is not None
                size = batch.label.numel()
                loss = self.step(batch) * size
                total, recent, seen, since = total + loss, recent + loss, seen + size, since + size
                # Ranks have to leave together, or one waits for the others for ever.
                report = step % _REPORT_EVERY == 0 or step == len(self.feed)
                if report or world_size() == 1:
                    ended, finite = self._agree(total)
                    if not finite:
                        raise DataError(
                            f"the loss is not finite at epoch {epoch}, step {step}; lower optimizer.learning_rate"
                        )
                    if ended:
                        return None
                if report:
                    now = time.perf_counter()
                    shown, rows = summed(recent, since)
                    for observer in self.observers:
                        observer.on_step(epoch, step, shown / rows, rows / (now - clock))
                    recent, since, clock = 0.0, 0, now
        total, rows = summed(total, seen)
        return total / rows

    def _agree(self, total: float) -> tuple[bool, bool]:
        """Whether Ctrl-C has reached any rank, and whether every rank's loss is finite."""
        requested, infinite = summed(self.interrupt.requested, not math.isfinite(total))
        return requested > 0, infinite == 0

    def _start(self, done: int) -> Start:
        return Start(
            model=self.settings.model.name,
            parameters=parameter_count(self.built.model),
            rows=self.rows,
            steps=len(self.feed),
            done=done,
            memory=self.built.memory,
            backend=self.built.backend,
            machine=self.machine.reasons,
        )


def _contents(feed: Feed) -> dict[str, Any]:
    """What a feed gives, whoever shares it and wherever it is."""
    position = ("epoch", "batch", "world_size")
    return {name: value for name, value in feed.state_dict().items() if name not in position}


def _feed(prepared: PreparedSet, split: str, **order: Any) -> Feed:
    """This rank's share of a split."""
    return Feed(ClickDataset(prepared, split, rank=rank(), world_size=world_size(), **order))


def _report(model: Ranker, feed: Feed) -> Report:
    with contextlib.closing(iter(feed)) as batches:
        return judge(model, batches)


def _monitored(report: Report, loop: LoopSettings) -> float:
    """What an epoch is judged by; more is better."""
    values: dict[str, Any] = {metric.name: metric for metric in report.metrics}
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
