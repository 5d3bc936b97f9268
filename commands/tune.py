"""plexrank tune: the best settings of a run, by search."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.markup import escape
from rich.progress import Progress

from commands._console import console, errors, progress_bar, table

if TYPE_CHECKING:
    from evaluation.search.search import Search
    from evaluation.search.trial import Trial

_SHOWN = 10  # trials in the table at the end


def tune(
    config: Annotated[Path, typer.Option(help="A run file with a search section.")],
    output: Annotated[Path, typer.Option(help="Folder of the search; give it again to go on with it.")],
    trials: Annotated[int, typer.Option(min=1, help="How many runs to try, with those of earlier times.")] = 30,
    workers: Annotated[
        int, typer.Option(min=1, max=256, help="Trials at a time; they share out the cores, or the GPUs.")
    ] = 1,
    timeout: Annotated[
        float | None,
        typer.Option(
            min=0, help="Minutes after which no trial is begun; those that run end as they would.", metavar="MINUTES"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of what trials try; each is trained with the run's seed.")] = 0,
    pruner: Annotated[
        Literal["median", "hyperband", "none"],
        typer.Option(
            help="Which trials end early: those below the median of the others at the same epoch, those that "
            "Hyperband drops, or none."
        ),
    ] = "median",
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Replace a setting, like training.epochs=3. Repeatable.")
    ] = None,
) -> None:
    """Search for the best settings of a run.

    The run file's search section says what may vary, by dotted key; both ends of a range are tried too:

    search: {optimizer.learning_rate: {log_uniform: [1e-4, 1e-2]}, model.mlp1.dropout: {uniform: [0, 0.5]},
    embedding.dim: {integer: [4, 32], step: 4}, model.mlp1.hidden: {choice: [[64], [256, 128]]}}

    Each trial trains on the train split and is judged on valid, by training.monitor, after every epoch; later trials
    try what earlier ones make likely to be good. The test split is not opened. The first trial is the run file's own
    values, if they are in the space. A trial that cannot be trained, or falls behind, does not end the search.

    Leaves OUTPUT/best.yaml, a run file; OUTPUT/report.html with plots; OUTPUT/trials.jsonl, a json line a trial; and
    the best trial's artifact below OUTPUT/trials. A search that was killed or interrupted goes on when the same command
    is given again, as does one that is given more --trials. With one worker, the same command finds the same trials.

    Example: plexrank tune --config configs/simulated_finalmlp_search.yaml --output runs/search --trials 40

    Example: plexrank tune --config run.yaml --output runs/search --trials 200 --workers 4 --timeout 480
    """
    from common.files import write_text
    from evaluation.page.search import search_page
    from training.tuning.search import BEST
    from training.tuning.search import tune as search_in
    from training.tuning.space import Space

    space = Space.load(config, set_ or ())
    with progress_bar() as bar:
        search, interrupted = search_in(
            space, output, _Display(bar, trials),
            trials=trials, workers=workers, minutes=timeout, seed=seed, pruner=pruner,
        )  # fmt: skip
    settings = space.settings
    facts = {
        "run file": str(config),
        "prepared set": str(settings.data),
        "judged by": f"{settings.training.monitor} on valid",
    }
    write_text(output / "report.html", search_page(search, facts))
    _show(search)
    if interrupted:
        errors.print("Interrupted: give the same command again to go on.")
    best = search.best
    if best is None:
        if not search.trials:
            errors.print("The time was up before a trial began; give a longer --timeout.")
        elif not interrupted:
            errors.print(f"No trial has finished; {output / 'trials.jsonl'} says why not.", highlight=False)
        raise typer.Exit(130 if interrupted else 2)
    console.print(escape(search.caution()), soft_wrap=True, highlight=False)
    artifact = output / "trials" / str(best.number) / "artifact"
    console.print(
        f"Wrote {output / BEST} and {output / 'report.html'}; the trial's own artifact is {artifact}. "
        f"Next: plexrank train --config {output / BEST}",
        soft_wrap=True,
        highlight=False,
    )
    if interrupted:
        raise typer.Exit(130)


def _show(search: "Search") -> None:
    """Print the best trials."""
    rows = [
        [
            str(trial.number),
            trial.state,
            "" if trial.value is None else f"{search.shown(trial.value):.5f}",
            str(trial.best_epoch or ""),
            escape(search.settings_of(trial)),
        ]
        for trial in search.ranked()[:_SHOWN]
    ]
    states = [trial.state for trial in search.trials]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    title = f"The best of {len(states):,} trials ({counts})"
    console.print(table(title, ("trial", "", search.label, "epoch", "settings"), rows, numbers=False))
    own = None if search.own is None else search.trials[search.own].value
    if own is not None:
        console.print(f"The run file's own values, trial {search.own}: {search.label} {search.shown(own):.5f}")


class _Display:
    """Shows a bar of all trials with the best value, and a line for each that is over."""

    def __init__(self, bar: Progress, trials: int) -> None:
        self._bar = bar
        self._task = bar.add_task("search", total=trials, note="trials")

    def on_start(self, search: "Search") -> None:
        """Say what is there already."""
        over = sum(trial.state != "running" for trial in search.trials)
        if search.trials:
            self._bar.console.print(f"Going on with a search of {over:,} trials")
        self._update(search)

    def on_epoch(self, number: int, epoch: int, value: float, search: "Search") -> None:
        """Show the trial's last epoch."""
        self._update(search, f"; trial {number} epoch {epoch}: {search.shown(value):.5f}")

    def on_trial(self, trial: "Trial", search: "Search") -> None:
        """Print a line that stays."""
        found = "" if trial.value is None else f" {search.label} {search.shown(trial.value):.5f}"
        reason = f" ({trial.reason})" if trial.reason else ""
        line = f"trial {trial.number} {trial.state}{found}{reason}: {search.settings_of(trial)}"
        self._bar.console.print(escape(line), highlight=False)
        self._update(search)

    def _update(self, search: "Search", more: str = "") -> None:
        over = sum(trial.state != "running" for trial in search.trials)
        best = search.best
        found = "" if best is None or best.value is None else f", best {search.shown(best.value):.5f}"
        self._bar.update(self._task, completed=over, note=f"trials{found}{more}")
