"""What a key of a run file may be in a search: a stretch of numbers, or some values.

    search:
      optimizer.learning_rate: {log_uniform: [1e-4, 1e-2]}
      model.mlp1.dropout: {uniform: [0.0, 0.5]}
      model.heads: {integer: [1, 8], log: true}
      model.mlp1.hidden: {choice: [[64], [128, 64]]}

The ends of a stretch belong to it.
"""

import json
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from common.settings import Settings

if TYPE_CHECKING:
    from optuna.trial import Trial

_KINDS = ("uniform", "log_uniform", "integer", "choice")


class Domain(Settings):
    """One of ``uniform``, ``log_uniform``, ``integer`` and ``choice``.

    Attributes:
        uniform: Ends of a stretch of numbers.
        log_uniform: The same, where equal ratios are equally likely.
        integer: Ends of a stretch of whole numbers.
        step: Of ``integer``: every so many only.
        log: Of ``integer``: whether equal ratios are equally likely.
        choice: At least two values of any kind: numbers, texts, lists, mappings.
    """

    uniform: tuple[float, float] | None = None
    log_uniform: tuple[float, float] | None = None
    integer: tuple[int, int] | None = None
    step: int = Field(default=1, ge=1)
    log: bool = False
    choice: tuple[Any, ...] | None = Field(default=None, min_length=2)

    @model_validator(mode="after")
    def _is_one_kind(self) -> "Domain":
        given = [kind for kind in _KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(f"give one of {', '.join(_KINDS)}; given: {', '.join(given) or 'none'}")
        if self.integer is None and (self.step != 1 or self.log):
            raise ValueError("step and log go with integer alone; for numbers that are not whole use log_uniform")
        if self.choice is not None:
            if len(set(map(_numbers_alike, self.choice))) < len(self.choice):
                raise ValueError("a choice is given twice; leave one out")
            return self
        low, high = self._stretch
        if low >= high:
            raise ValueError(f"{given[0]} goes from the smaller end to the larger, got {low:g} to {high:g}")
        if self.logarithmic and low <= 0:
            raise ValueError(f"on a logarithmic scale both ends are above 0, got {low:g}")
        if self.step != 1 and (self.log or (high - low) % self.step):
            raise ValueError(
                "step and log exclude each other"
                if self.log
                else f"steps of {self.step} from {low:g} do not meet {high:g}; move an end"
            )
        return self

    @property
    def logarithmic(self) -> bool:
        """Whether equal ratios are equally likely."""
        return self.log or self.log_uniform is not None

    @property
    def corners(self) -> tuple[Any, ...]:
        """Both ends of a stretch, or all choices."""
        return self._stretch if self.choice is None else self.choice

    def holds(self, value: Any) -> bool:
        """Whether a value is one of those that may be tried."""
        if self.choice is not None:
            return _numbers_alike(value) in map(_numbers_alike, self.choice)
        if isinstance(value, bool) or not isinstance(value, int if self.integer else int | float):
            return False
        low, high = self._stretch
        return bool(low <= value <= high) and (not self.integer or (value - low) % self.step == 0)

    def suggest(self, trial: "Trial", key: str) -> Any:
        """What a trial of Optuna tries; the same, however often it is asked."""
        if self.choice is not None:
            return json.loads(trial.suggest_categorical(key, [_as_text(value) for value in self.choice]))
        low, high = self._stretch
        if self.integer is not None:
            return trial.suggest_int(key, int(low), int(high), step=self.step, log=self.log)
        return trial.suggest_float(key, low, high, log=self.logarithmic)

    def stored(self, value: Any) -> Any:
        """A value that :meth:`holds`, as Optuna has it: choices are json there, for it knows no lists, no mappings."""
        if self.choice is None:
            return value
        return next(_as_text(some) for some in self.choice if _numbers_alike(some) == _numbers_alike(value))

    def read(self, stored: Any) -> Any:
        """The value of which :meth:`stored` was made."""
        return stored if self.choice is None else json.loads(stored)

    @property
    def _stretch(self) -> tuple[float, float]:
        stretch = self.uniform or self.log_uniform or self.integer
        assert stretch is not None
        return stretch


def _as_text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _numbers_alike(value: Any) -> str:
    """A value as text in which 1 and 1.0 are the same: yaml tells them apart, settings do not."""
    return _as_text(json.loads(_as_text(value), parse_int=float))
