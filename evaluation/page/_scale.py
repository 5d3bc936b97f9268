"""Axes: where they begin and end, and where their ticks are."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Literal

from evaluation.interval import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROOM = 0.06
_LONGEST = 1e12


@dataclass(frozen=True)
class Scale:
    """A stretch of numbers along an axis.

    Attributes:
        low: Where it begins; above 0 if logarithmic.
        high: Where it ends.
        logarithmic: Whether equal lengths are equal ratios.
    """

    low: float
    high: float
    logarithmic: bool = False

    @classmethod
    def around(
        cls, points: Iterable[float], intervals: Iterable[Interval], *, logarithmic: bool = False
    ) -> "Scale | None":
        """A stretch that holds all points, and of each interval as much as leaves the points apart.

        Args:
            points: What must be seen.
            intervals: What may reach beyond the ends.
            logarithmic: Whether it is; points that are not positive are then left out.

        Returns:
            The stretch; None where there is no point.
        """
        to, back = (math.log, math.exp) if logarithmic else (float, float)
        places = [to(point) for point in points if point > 0 or not logarithmic]
        if not places:
            return None
        reach = [(to(i.low), to(i.high)) for i in intervals if i.low > 0 or not logarithmic]
        low, high = min(places), max(places)
        span = max(high - low, median(end - start for start, end in reach) if reach else 0.0) or 0.01
        low = max(min([low, *(start for start, _ in reach)]), low - span)
        high = min(max([high, *(end for _, end in reach)]), high + span)
        room = _ROOM * ((high - low) or span)
        if logarithmic:
            return cls.decades(back(low - room), back(high + room))
        return cls(low - room, high + room)

    @classmethod
    def decades(cls, low: float, high: float) -> "Scale":
        """A logarithmic stretch, cut off below where it would be longer than can be read."""
        return cls(max(low, high / _LONGEST), high, logarithmic=True)

    def nearest(self, value: float) -> float:
        """The number, or the end of the stretch it lies beyond."""
        return min(max(value, self.low), self.high)

    def place(self, value: float) -> float:
        """How far along the stretch a number is, from 0 to 1; what lies outside is at the nearer end."""
        value = self.nearest(value)
        if self.logarithmic:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """A few round numbers on the stretch."""
        from matplotlib.ticker import MaxNLocator

        ratio = self.high / self.low if self.logarithmic else 1.0
        if ratio > 10:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            digits = (1, 2, 5) if ratio < 100 else (1, 3) if ratio < 3000 else (1,)
            found = [digit * 10.0**decade for decade in decades[:: 1 + len(decades) // 8] for digit in digits]
        else:
            found = [float(tick) for tick in MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(self.low, self.high)]
        return [tick for tick in found if self.low <= tick <= self.high]

    def apply(self, axes: "Axes", which: Literal["x", "y"]) -> None:
        """Give an axis of a plot these ends and ticks."""
        axes.set(**{f"{which}scale": "log" if self.logarithmic else "linear", f"{which}lim": (self.low, self.high)})
        axis, ticks = axes.xaxis if which == "x" else axes.yaxis, self.ticks()
        axis.set_ticks(ticks, labels=tick_texts(ticks))
        axis.set_ticks([], minor=True)


def tick_texts(ticks: Sequence[float]) -> list[str]:
    """Ticks as text, without a power of ten where it can be helped."""
    return [f"{tick:g}".replace("-", "\u2212") for tick in ticks]
