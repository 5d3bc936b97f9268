"""plexrank train: a run file to an artifact."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress, TaskID

from commands._console import console, errors, progress_bar, table

if TYPE_CHECKING:
    from training.records import Epoch, Start


def train(
    config: Annotated[Path, typer.Option(help="The run file, yaml; configs/ has some to start from.")],
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Replace a setting, like training.epochs=3. Repeatable.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run's artifact if it exists.")] = False,
) -> None:
    """Train a ranker and write its artifact.

    Leaves OUTPUT/artifact, OUTPUT/metrics.jsonl (a json line an epoch) and OUTPUT/tensorboard. Ctrl-C ends training and
    keeps the best epoch so far. A run that was killed goes on from its last epoch when the same command is given again.

    Example: plexrank train --config configs/frappe_finalmlp.yaml --set seed=7

    On several devices or machines: torchrun --nproc-per-node 2 -m commands.main train --config RUN.yaml
    """
    from common.files import refuse_existing
    from training.loop import train as run
    from training.ranks import speaks
    from training.records import RunRecords
    from training.run import load_run

    settings = load_run(config, set_ or ())
    refuse_existing(settings.output / "artifact", overwrite=overwrite)
    if settings.search and speaks():
        errors.print(f"The search section of {config} is for plexrank tune; this trains with the file's own values.")
    console.quiet = not speaks()
    with progress_bar(shown=speaks()) as bar:
        outcome = run(settings, [_Display(bar), RunRecords(settings.output)], overwrite=overwrite)
    rows = [
        [name, f"{report.rows:,}", *(report.metric(metric).as_text()[0] for metric in _METRICS)]
        for name, report in outcome.reports.items()
    ]
    console.print(
        table(f"Epoch {outcome.best_epoch}, the best of {outcome.epochs}", ("split", "rows", *_METRICS), rows)
    )
    if outcome.interrupted:
        errors.print("Interrupted: the artifact holds the best epoch so far.")
    console.print(
        f"Wrote {outcome.artifact}. Next: plexrank evaluate --artifact {outcome.artifact} --data {settings.data}"
    )
    if outcome.interrupted:
        raise typer.Exit(130)


_METRICS = ("auc", "gauc", "logloss", "calibration_ratio")


class _Display:
    """Shows a bar an epoch, and a line for each that is over."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task: TaskID | None = None
        self._steps = 0

    def on_start(self, start: "Start") -> None:
        """Say what is trained, how, and what memory it takes."""
        self._steps = start.steps
        show = self._bar.console.print
        show(
            f"Training {start.model}: {start.parameters:,} parameters, {start.rows:,} rows, "
            f"{start.steps:,} steps an epoch"
        )
        if start.done:
            show(f"Going on after epoch {start.done}, where this run was broken off")
        for line in (f"memory: {start.memory}", f"backend {start.backend}", *start.machine):
            show(f"  {line}", highlight=False)

    def on_step(self, epoch: int, step: int, loss: float, samples_per_second: float) -> None:
        """Move the bar."""
        if self._task is None:
            self._task = self._bar.add_task(f"epoch {epoch}", total=self._steps, note="")
        note = f"steps, loss {loss:.5f}, {samples_per_second:,.0f} samples/s"
        self._bar.update(self._task, completed=step, note=note)

    def on_epoch(self, record: "Epoch") -> None:
        """Replace the bar by the epoch's line."""
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None
        valid = ", ".join(f"{name} {record.valid[name]:.5f}" for name in _METRICS if name in record.valid)
        self._bar.console.print(
            f"epoch {record.epoch}: train loss {record.train_loss:.5f}, valid {valid}; lr {record.learning_rate:.1g}, "
            f"{record.samples_per_second:,.0f} samples/s{'' if record.gained else ' (no gain)'}"
        )
        if record.warning:
            self._bar.console.print(f"[yellow]Warning: {record.warning}[/yellow]")

    def close(self) -> None:
        """Nothing to close: the bar ends with its block."""
