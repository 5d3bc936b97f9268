"""One trial of a search."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

State = Literal["running", "finished", "pruned", "failed"]
"""``pruned``: ended early, because it fell behind the others. ``failed``: it could not be trained."""


@dataclass(frozen=True)
class Trial:
    """What became of one run.

    Attributes:
        number: From 0, in the order in which trials began.
        state: What became of it.
        values: What it was trained with, by dotted key of the run file; only what varies.
        curve: What each epoch was judged by on the valid split, by epoch from 1; more is better.
        error: Standard error of the best epoch's value; None where it is not known.
        seconds: How long it ran since it was last begun; None while it runs.
        reason: Why it was pruned or failed; empty otherwise.
    """

    number: int
    state: State
    values: Mapping[str, Any]
    curve: Mapping[int, float]
    error: float | None = None
    seconds: float | None = None
    reason: str = ""

    @property
    def best_epoch(self) -> int | None:
        """The epoch that was judged best; None before the first is over."""
        return max(self.curve, key=lambda epoch: self.curve[epoch], default=None)

    @property
    def value(self) -> float | None:
        """What the best epoch was judged by; more is better."""
        return max(self.curve.values(), default=None)


def value_text(value: Any) -> str:
    """A value of a run file as people read it: numbers in four digits."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
