"""A search's memory: the trials of an Optuna study, in a journal on disk that survives a kill at any moment.

One process writes it. What a trial tries depends on the seed, its number and what is known of the trials before it, so
a search of one worker that was killed goes on to the same trials as an unbroken one.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import optuna
from optuna.samplers import TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from common.errors import ConfigError, DataError
from evaluation.search.trial import State, Trial
from training.tuning.domain import Domain

Pruner = Literal["median", "hyperband", "none"]
"""How trials that fall behind are found: below the median of the others at the same epoch; by Hyperband; not at all."""

_JOURNAL = "optuna.journal"
_STATES: dict[TrialState, State] = {
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}
_ENOUGH = 10  # finished trials, to tell what matters
_BEST = 5  # of them at least are held against the others


class Study:
    """The trials of a search; made by :func:`opened`.

    Args:
        study: The study, with its storage and pruner.
        domains: What varies.
        seed: Of what trials try.
    """

    def __init__(self, study: optuna.Study, domains: Mapping[str, Domain], seed: int) -> None:
        self._study, self._domains, self._seed = study, domains, seed
        broken_off = study.get_trials(states=(TrialState.RUNNING,))
        self._broken_off = [trial._trial_id for trial in broken_off]  # Optuna has no public name for it
        self._running: dict[int, optuna.Trial] = {}

    @property
    def begun(self) -> int:
        """Trials that have begun, finished or not."""
        return sum(trial.state != TrialState.WAITING for trial in self._study.get_trials(deepcopy=False))

    @property
    def broken_off(self) -> bool:
        """Whether a trial waits to be taken up again that ran when an earlier process ended."""
        return bool(self._broken_off)

    def suggest_first(self, values: Mapping[str, Any]) -> None:
        """Let the first trial try these values; without effect if there is one already."""
        if not self._study.get_trials(deepcopy=False):
            self._study.enqueue_trial({key: domain.stored(values[key]) for key, domain in self._domains.items()})

    def begin(self) -> tuple[int, dict[str, Any]]:
        """Begin a trial, or take one up again.

        Returns:
            Its number, and the value of each key.
        """
        if self._broken_off:
            trial = optuna.Trial(self._study, self._broken_off.pop(0))
            self._seed_sampler(trial.number)
        else:
            self._seed_sampler(self.begun)
            trial = self._study.ask()
        self._running[trial.number] = trial
        return trial.number, {key: domain.suggest(trial, key) for key, domain in self._domains.items()}

    def report(self, number: int, epoch: int, value: float) -> bool:
        """Note what an epoch was judged by.

        Args:
            number: The trial.
            epoch: The epoch, from 1.
            value: What it was judged by; more is better.

        Returns:
            Whether the trial is worth going on with.
        """
        trial = self._running[number]
        if epoch not in self._frozen(number).intermediate_values:  # else it is repeated after a kill
            trial.report(value, epoch)
        return not trial.should_prune()

    def end(self, number: int, state: State, *, reason: str, error: float | None, seconds: float) -> None:
        """Note that a trial is over.

        Args:
            number: The trial.
            state: What became of it.
            reason: Why, where it has not finished.
            error: Standard error of its value.
            seconds: How long it ran.
        """
        trial = self._running[number]
        for name, value in (("reason", reason), ("error", error), ("seconds", seconds)):
            trial.set_user_attr(name, value)
        curve = self._frozen(number).intermediate_values
        if state == "finished":
            self._study.tell(number, max(curve.values()))
        else:
            self._study.tell(number, state=TrialState.PRUNED if state == "pruned" and curve else TrialState.FAIL)
        del self._running[number]

    def trials(self) -> tuple[Trial, ...]:
        """All trials that have begun, in their order."""
        found = self._study.get_trials(deepcopy=False)
        return tuple(self._trial(trial) for trial in found if trial.state != TrialState.WAITING)

    def importances(self) -> dict[str, float]:
        """The share of each key in how good a trial is (PED-ANOVA, Watanabe et al. 2023), in all 1, largest first.

        What tells the best tenth of the finished trials, but five at least, from the others is important.

        Returns:
            Shares by key; none where fewer than ten trials have finished.
        """
        from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

        finished = len(self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))
        if finished < _ENOUGH:
            return {}
        evaluator = PedAnovaImportanceEvaluator(target_quantile=max(0.1, _BEST / finished))
        return get_param_importances(self._study, evaluator=evaluator)

    def _seed_sampler(self, number: int) -> None:
        """Each trial draws from a generator of its own, which no earlier trial has moved."""
        (seed,) = np.random.SeedSequence((self._seed, number)).generate_state(1)
        self._study.sampler = TPESampler(seed=int(seed))

    def _frozen(self, number: int) -> FrozenTrial:
        return self._study.get_trials(deepcopy=False)[number]

    def _trial(self, trial: FrozenTrial) -> Trial:
        known = trial.user_attrs
        return Trial(
            number=trial.number,
            state=_STATES[trial.state],
            values={key: self._domains[key].read(value) for key, value in trial.params.items()},
            curve=dict(sorted(trial.intermediate_values.items())),
            error=known.get("error"),
            seconds=known.get("seconds"),
            reason=known.get("reason", ""),
        )


@contextlib.contextmanager
def opened(
    folder: Path,
    domains: Mapping[str, Domain],
    identity: Mapping[str, str],
    *,
    seed: int,
    pruner: Pruner,
    epochs: int,
) -> Iterator[Study]:
    """Open a search's memory, or begin one.

    Args:
        folder: The search's folder.
        domains: What varies.
        identity: Digests of all that must be the same for trials to be comparable, by what people call it.
        seed: Of what trials try.
        pruner: How trials that fall behind are found.
        epochs: Of a trial, at most.

    Yields:
        The study.

    Raises:
        ConfigError: The folder holds something else or another search, another process searches there, or it cannot be
            written.
        DataError: The journal is damaged.
    """
    path = folder / _JOURNAL
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not path.is_file()):
        raise ConfigError(f"{folder} already holds something that is no search; name another --output")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        journal = path.open("a+b")
    except OSError as problem:
        raise ConfigError(f"{folder} cannot be written: {problem.strerror}; choose another folder") from None
    with journal:
        try:
            fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f"another process is searching in {folder}; wait for it, or name another folder"
            ) from None
        _mend(journal.fileno(), path)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        try:
            study = optuna.create_study(
                storage=JournalStorage(JournalFileBackend(str(path))),
                study_name="search",
                direction="maximize",
                load_if_exists=True,
                pruner=_pruner(pruner, epochs),
            )
        except (ValueError, KeyError):
            raise DataError(f"{path} is damaged; remove {folder} to begin anew") from None
        for name, digest in identity.items():
            if study.user_attrs.get(name, digest) != digest:
                raise ConfigError(
                    f"{folder} holds a search with another {name}, whose trials cannot be compared with new ones; "
                    f"name another --output, or give the {name} it began with"
                )
            if name not in study.user_attrs:
                study.set_user_attr(name, digest)
        yield Study(study, domains, seed)


def _mend(journal: int, path: Path) -> None:
    """Remove what a process that was killed while it wrote has left: half a line, and Optuna's lock."""
    content = path.read_bytes()
    os.ftruncate(journal, content.rfind(b"\n") + 1)
    path.with_name(f"{path.name}.lock").unlink(missing_ok=True)


def _pruner(name: Pruner, epochs: int) -> optuna.pruners.BasePruner:
    if name == "median":
        return optuna.pruners.MedianPruner()
    if name == "hyperband":
        return optuna.pruners.HyperbandPruner(min_resource=1, max_resource=epochs)
    return optuna.pruners.NopPruner()
