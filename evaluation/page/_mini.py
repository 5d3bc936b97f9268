"""An estimate with its interval, small enough for a cell of a table."""

from dataclasses import dataclass

from evaluation.interval import Interval
from evaluation.page._forest import Line
from evaluation.page._scale import Scale


@dataclass(frozen=True)
class Mini:
    """Places along a cell, from 0 at its left to 1 at its right.

    Attributes:
        value: Of the estimate.
        interval: Of its interval's ends.
        simultaneous: Of the ends of the wider one.
        reference: Of what it is held against.
    """

    value: float
    interval: tuple[float, float] | None
    simultaneous: tuple[float, float] | None
    reference: float | None


def mini(line: Line, scale: Scale | None, reference: float | None) -> Mini | None:
    """Place an estimate; None where it cannot be shown on the scale."""
    if scale is None or line.value is None or (scale.logarithmic and line.value <= 0):
        return None

    def placed(interval: Interval | None) -> tuple[float, float] | None:
        return None if interval is None else (scale.place(interval.low), scale.place(interval.high))

    return Mini(
        scale.place(line.value),
        placed(line.interval),
        placed(line.simultaneous),
        None if reference is None else scale.place(reference),
    )
