"""The search: trials are begun, judged epoch by epoch, and what they come to is kept.

    FOLDER/optuna.journal     every trial; what a killed search goes on from
    FOLDER/trials.jsonl       a json line a trial
    FOLDER/trials/NUMBER/     the best trial's artifact, and those of trials that run
    FOLDER/best.yaml          the run file of the best trial
    FOLDER/report.html        plots and a table

A search that is killed leaves each of these whole; the command writes the report.
"""

import contextlib
import json
import shutil
import time
from collections.abc import Iterator
from multiprocessing import connection
from pathlib import Path
from typing import Protocol

import yaml

from common.errors import ConfigError
from common.files import sha256_json, write_text
from evaluation.search.search import Axis, Search
from evaluation.search.trial import Trial
from features.datasets.prepared import PreparedSet
from training.loop import check_judge
from training.ranks import launched
from training.tuning.space import Space
from training.tuning.study import Pruner, Study, opened
from training.tuning.worker import Ended, Worker

BEST = "best.yaml"
_TRIALS = "trials"


class Watcher(Protocol):
    """Told how a search goes."""

    def on_start(self, search: Search) -> None:
        """Called once, with what an earlier process has found."""

    def on_epoch(self, number: int, epoch: int, value: float, search: Search) -> None:
        """Called after each epoch of each trial."""

    def on_trial(self, trial: Trial, search: Search) -> None:
        """Called when a trial is over."""


def tune(
    space: Space,
    folder: Path,
    watcher: Watcher,
    *,
    trials: int,
    workers: int = 1,
    minutes: float | None = None,
    seed: int = 0,
    pruner: Pruner = "median",
) -> tuple[Search, bool]:
    """Search for the best run of a space, or go on with a search that was broken off.

    Trials train on the train split and are judged on valid by the run's monitor; the test split is not opened. The
    first tries the run file's own values, if they are in the space. A trial that cannot be trained counts as failed.
    With one worker, a seed makes the same trials every time.

    Args:
        space: The runs that may be tried.
        folder: Where the search is kept.
        watcher: Told how it goes.
        trials: How many there shall be in all, with those of earlier processes.
        workers: How many are trained at a time, each by a process of its own.
        minutes: After which none is begun; those that run are trained to their end.
        seed: Of what trials try.
        pruner: How trials that fall behind are found, to be ended early.

    Returns:
        What has been found, and whether Ctrl-C ended it.

    Raises:
        ConfigError: The folder holds another search, or the first trial does not fit the data or the machine: then
            nothing is left.
        DataError: The prepared set or the search's journal is damaged, or its valid rows cannot judge a trial.
    """
    if launched():
        raise ConfigError("a search starts its own processes; run plexrank tune without torchrun and give --workers")
    prepared = PreparedSet(space.settings.data)
    check_judge(prepared, space.settings.training)
    deadline = None if minutes is None else time.monotonic() + 60 * minutes
    identity = _identity(space, prepared)
    with (
        _nothing_left_of(folder),
        opened(folder, space.domains, identity, seed=seed, pruner=pruner, epochs=_epochs(space)) as study,
        contextlib.ExitStack() as crew,
    ):
        run = _Run(space, folder, study, watcher, trials, deadline)
        watcher.on_start(run.keep())
        interrupted = False
        if run.more:
            idle = [Worker(place, workers) for place in range(min(workers, trials))]
            for worker in idle:
                crew.callback(worker.close)
            try:
                run.to_the_end(idle)
            except KeyboardInterrupt:
                interrupted = True
        return run.search(importances=True), interrupted


class _NeverFitsError(ConfigError):
    """The first trial does not fit the data or the machine."""


@contextlib.contextmanager
def _nothing_left_of(folder: Path) -> Iterator[None]:
    """Remove a search that never fits."""
    try:
        yield
    except _NeverFitsError:
        shutil.rmtree(folder)
        raise


class _Run:
    """The trials of one process of a search.

    Args:
        space: The runs that may be tried.
        folder: The search's.
        study: Its memory.
        watcher: Told how it goes.
        trials: How many there shall be in all.
        deadline: Monotonic time after which none is begun.
    """

    def __init__(
        self, space: Space, folder: Path, study: Study, watcher: Watcher, trials: int, deadline: float | None
    ) -> None:
        self.space, self.folder, self.study, self.watcher = space, folder, study, watcher
        self.trials, self.deadline = trials, deadline
        self.numbers: dict[Worker, int] = {}
        self.own = space.own_values()
        if self.own is not None:
            study.suggest_first(self.own)
        self.axes = tuple(
            Axis(key, domain.corners, domain.choice is not None, domain.logarithmic)
            for key, domain in space.domains.items()
        )

    @property
    def more(self) -> bool:
        """Whether another trial is to be begun."""
        late = self.deadline is not None and time.monotonic() >= self.deadline
        return not late and (self.study.broken_off or self.study.begun < self.trials)

    def search(self, *, importances: bool = False) -> Search:
        """What has been found so far."""
        trials = self.study.trials()
        return Search(
            title=self.space.source,
            monitor=self.space.settings.training.monitor,
            axes=self.axes,
            trials=trials,
            own=0 if trials and self.own == trials[0].values else None,
            importances=self.study.importances() if importances else {},
        )

    def to_the_end(self, idle: list[Worker]) -> None:
        """Train trials until there are enough, or the time is up."""
        while True:
            while idle and self.more:
                if self.begin(idle[-1]):
                    idle.pop()
            if not self.numbers:
                return
            ready = connection.wait([worker.pipe for worker in self.numbers])
            for worker in [worker for worker in self.numbers if worker.pipe in ready]:
                said = worker.hear()
                number = self.numbers[worker]
                if isinstance(said, Ended):
                    del self.numbers[worker]
                    idle.append(worker)
                    self.end(number, said, worker.seconds)
                else:
                    worker.go_on(self.study.report(number, said.epoch, said.value))
                    self.watcher.on_epoch(number, said.epoch, said.value, self.search())

    def begin(self, worker: Worker) -> bool:
        """Begin a trial; returns whether it keeps the worker busy: one whose values do not fit together does not."""
        number, values = self.study.begin()
        try:
            settings = self.space.settings_of(values)
        except ConfigError as problem:
            self.end(number, Ended("failed", str(problem), misfit=True), 0.0)
            return False
        worker.begin(settings.model_copy(update={"output": _folder(self.folder, number)}))
        self.numbers[worker] = number
        return True

    def end(self, number: int, ended: Ended, seconds: float) -> None:
        """Keep what a trial came to."""
        if ended.misfit and not any(trial.curve for trial in self.study.trials()):
            raise _NeverFitsError(f"trial {number} does not fit: {ended.reason}")
        self.study.end(number, ended.state, reason=ended.reason, error=ended.error, seconds=seconds)
        search = self.keep()
        self.watcher.on_trial(search.trials[number], search)

    def keep(self) -> Search:
        """Write what has been found, and remove the artifacts of trials that are over and not the best."""
        search = self.search()
        best = search.best
        wanted = {trial.number for trial in search.trials if trial is best or trial.state == "running"}
        for folder in (self.folder / _TRIALS).glob("*"):
            if folder.name not in map(str, wanted):
                shutil.rmtree(folder)
        write_text(self.folder / "trials.jsonl", "".join(json.dumps(line) + "\n" for line in search.lines()))
        if best is not None:
            write_text(self.folder / BEST, self.best_file(search, best))
        return search

    def best_file(self, search: Search, best: Trial) -> str:
        """The run file of the best trial."""
        assert best.value is not None
        document = {**self.space.run(best.values), "output": str(self.folder / "best")}
        found = f"# Trial {best.number} of a search over {search.title}: {search.label} {search.shown(best.value):.5f}"
        return f"{found} on valid.\n" + yaml.safe_dump(document, sort_keys=False, default_flow_style=None)


def _folder(search: Path, number: int) -> Path:
    return search / _TRIALS / str(number)


def _identity(space: Space, prepared: PreparedSet) -> dict[str, str]:
    """Digests of all that must be the same for trials to be comparable."""
    run = {name: value for name, value in space.settings.itself.items() if name not in ("data", "output", "machine")}
    domains = {key: domain.model_dump(mode="json") for key, domain in space.domains.items()}
    return {
        "run file": sha256_json(run),
        "search space": sha256_json(domains),
        "prepared set": sha256_json(prepared.document.model_dump(mode="json")),
    }


def _epochs(space: Space) -> int:
    """Epochs of a trial, at most."""
    domain = space.domains.get("training.epochs")
    return max(domain.corners) if domain else space.settings.training.epochs
