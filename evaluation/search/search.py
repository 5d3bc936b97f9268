"""A search: all its trials, the best of them, and how far that one flatters."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evaluation.search.trial import Trial, value_text

_LABELS = {"auc": "AUC", "logloss": "logloss", "auc-logloss": "AUC less logloss"}


@dataclass(frozen=True)
class Axis:
    """What varies.

    Attributes:
        key: Dotted, as in the run file.
        corners: Both ends of a stretch of numbers, or all choices.
        chosen: Whether they are choices.
        logarithmic: Whether equal ratios are equally likely.
    """

    key: str
    corners: tuple[Any, ...]
    chosen: bool = False
    logarithmic: bool = False


@dataclass(frozen=True)
class Search:
    """What a search has found so far.

    Attributes:
        title: What was searched, such as the run file's name.
        monitor: What trials are judged by, as in ``training.monitor``.
        axes: What varies.
        trials: In their order.
        own: Number of the trial of the run file's own values; None where they are not in the space.
        importances: The share of what varies in how good a trial is, by key; empty where trials are too few to tell.
    """

    title: str
    monitor: str
    axes: tuple[Axis, ...]
    trials: tuple[Trial, ...]
    own: int | None
    importances: Mapping[str, float]

    @property
    def label(self) -> str:
        """What trials are judged by, in words."""
        return _LABELS[self.monitor]

    def shown(self, value: float) -> float:
        """What trials are judged by as people know it: a logloss is monitored with its sign turned."""
        return -value if self.monitor == "logloss" else value

    def name_of(self, key: str) -> str:
        """The last part of a key, where no other key that varies ends so."""
        last = key.split(".")[-1]
        return last if sum(axis.key.split(".")[-1] == last for axis in self.axes) == 1 else key

    def settings_of(self, trial: Trial) -> str:
        """What a trial was trained with, as text."""
        keys = [axis.key for axis in self.axes if axis.key in trial.values]
        return ", ".join(f"{self.name_of(key)} {value_text(trial.values[key])}" for key in keys)

    @property
    def best(self) -> Trial | None:
        """The finished trial of the highest value, the first of several; None where none has finished."""
        finished = [trial for trial in self.trials if trial.state == "finished"]
        return max(finished, key=lambda trial: trial.value or 0.0, default=None)

    @property
    def looks(self) -> int:
        """How many values of the valid split the best one is the highest of."""
        return sum(len(trial.curve) for trial in self.trials)

    @property
    def flattery(self) -> float | None:
        """How much better the best value looks than it is, about at most, on average over samples of the valid rows.

        The values of N models on the same rows are off by errors of standard deviation s at most; however these go
        together, the largest of them is s sqrt(2 ln N) on average at most (Boucheron, Lugosi and Massart 2013, theorem
        2.5, for normal errors). The best model's error is taken for s. That the values of some trials decide what later
        ones try is not allowed for.

        Returns:
            The bound; None where there is no best trial, or its error is not known.
        """
        best = self.best
        if best is None or best.error is None:
            return None
        return best.error * math.sqrt(2 * math.log(self.looks))

    def ranked(self) -> list[Trial]:
        """The finished trials, best first, then the pruned, then the others."""
        order = {"finished": 0, "pruned": 1, "running": 2, "failed": 3}
        return sorted(
            self.trials,
            key=lambda trial: (order[trial.state], -math.inf if trial.value is None else -trial.value, trial.number),
        )

    def caution(self) -> str:
        """A sentence on how far the best value is to be trusted; empty where there is none."""
        best = self.best
        if best is None:
            return ""
        assert best.value is not None
        better = "lowest" if self.monitor == "logloss" else "highest"
        about = (
            f"it looks better than it is, by up to about {self.flattery:.2g} (its standard error is {best.error:.2g})"
            if self.flattery is not None and best.error is not None
            else "it looks better than it is"
        )
        return (
            f"{self.label} {self.shown(best.value):.5f} is the {better} of {self.looks:,} values on the same valid "
            f"rows ({len(self.trials):,} trials, every epoch), so {about}; the test split, which the search has not "
            "looked at, tells what the run is worth."
        )

    def lines(self) -> list[dict[str, Any]]:
        """The trials in types that json knows, in their order."""
        return [
            {
                "trial": trial.number,
                "state": trial.state,
                self.monitor: None if trial.value is None else self.shown(trial.value),
                "standard_error": trial.error,
                "best_epoch": trial.best_epoch,
                "epochs": [self.shown(value) for _, value in sorted(trial.curve.items())],
                "seconds": trial.seconds,
                "reason": trial.reason,
                "values": dict(trial.values),
            }
            for trial in self.trials
        ]
