"""The reproduction's runs, a line of json each: what a report needs of a run after its folder is gone.

A reproduction takes more hours than a machine may be had for. What is recorded is not trained again, as long as the
run file says the same.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from common.files import sha256_json, write_text
from common.settings import Settings
from evaluation.leaderboard.run import Run
from evaluation.report.metric import Metric
from evaluation.report.report import Report
from training.run import run_document

# The sections of a run file that its result depends on; of the machine, by the precision.
_DECIDE = ("model", "embedding", "optimizer", "training", "machine")


class Judged(Settings):
    """What a run was worth on a split.

    Attributes:
        rows: Rows of the split.
        positives: Those of label 1.
        auc: The AUC.
        logloss: The logloss; null where it was not recorded.
    """

    rows: int
    positives: int
    auc: float
    logloss: float | None = None

    @classmethod
    def of(cls, report: Report) -> "Judged":
        """What a report says."""
        auc, logloss = report.metric("auc").value, report.metric("logloss").value
        assert auc is not None
        return cls(rows=report.rows, positives=int(report.positives), auc=auc, logloss=logloss)

    def report(self) -> Report:
        """The report, as far as it was recorded."""
        values = {"auc": self.auc, "logloss": self.logloss}
        metrics = tuple(
            Metric(name, value, reason="it was not recorded" if value is None else None)
            for name, value in values.items()
        )
        return Report(self.rows, self.positives, self.positives / self.rows, float("nan"), metrics)


class Reproduced(Settings):
    """A finished run.

    Attributes:
        run_file: Its run file's name, without folder and ending.
        recipe: Digest of what that file said of model, embedding, optimisers, loop and machine.
        seed: Its seed.
        date: The day it was made, as in 2026-11-22.
        model: The ranker's name.
        parameters: Numbers that training learned.
        schema_digest: Of the fitted schema of its data.
        machine: What it used of the machine, such as ``precision fp32``.
        epochs: Epochs that ran to their end.
        best_epoch: The epoch whose weights it kept.
        samples_per_second: Training rows a second, the median over epochs; null where it is not known.
        seconds: Training time without validation; null where it is not known.
        valid: What it was worth on the valid rows.
        test: What it was worth on the test rows.
    """

    run_file: str
    recipe: str
    seed: int
    date: str
    model: str
    parameters: int
    schema_digest: str
    machine: list[str]
    epochs: int
    best_epoch: int
    samples_per_second: float | None
    seconds: float | None
    valid: Judged
    test: Judged

    @classmethod
    def of(cls, run: Run, run_file: Path, date: str) -> "Reproduced":
        """What to record of a run."""
        return cls(
            run_file=run_file.stem,
            recipe=recipe(run_file),
            seed=run.seed,
            date=date,
            model=run.model,
            parameters=run.parameters,
            schema_digest=run.schema_digest,
            machine=list(run.machine),
            epochs=run.epochs,
            best_epoch=run.best_epoch,
            samples_per_second=run.speed,
            seconds=run.seconds,
            valid=Judged.of(run.reports["valid"]),
            test=Judged.of(run.reports["test"]),
        )

    def run(self, data: str) -> Run:
        """The run as a leaderboard sees it.

        Args:
            data: What to call its data.
        """
        settings: dict[str, Any] = {"run_file": self.run_file, "data": data, "seed": self.seed}
        return Run(
            folder=Path(f"{self.run_file}_{self.seed}"),
            model=self.model,
            settings=settings,
            parameters=self.parameters,
            schema_digest=self.schema_digest,
            reports={"valid": self.valid.report(), "test": self.test.report()},
            machine=tuple(self.machine),
            ranks=1,
            epochs=self.epochs,
            best_epoch=self.best_epoch,
            interrupted=False,
            speeds=() if self.samples_per_second is None else (self.samples_per_second,),
            seconds=self.seconds,
        )


def recipe(run_file: Path) -> str:
    """Digest of what a run file says of model, embedding, optimisers, loop and machine."""
    document = run_document(run_file)
    return sha256_json({section: document.get(section) for section in _DECIDE})


def read(path: Path) -> list[Reproduced]:
    """The recorded runs; none where there is no such file."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [Reproduced.model_validate_json(line) for line in lines]


def write(path: Path, runs: Iterable[Reproduced]) -> None:
    """Record runs, sorted by run file and seed."""
    ordered = sorted(runs, key=lambda run: (run.run_file, run.seed))
    write_text(path, "".join(f"{run.model_dump_json()}\n" for run in ordered))
