"""Rows and label rate over time."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.datasets.shards import Shards
from features.encoding.typed import LABEL, TIMESTAMP
from features.profile.counts import frames
from features.profile.rates import Rate

Ints = NDArray[np.int64]

_MOST = 60
_UNITS = {"seconds": 1, "milliseconds": 1_000, "microseconds": 1_000_000, "nanoseconds": 1_000_000_000}
_EARLIEST, _LATEST = 500_000_000, 5_000_000_000  # 1985 and 2128, in seconds: whole numbers in between are times
_STEPS = {
    "1 second": 1,
    "10 seconds": 10,
    "1 minute": 60,
    "10 minutes": 600,
    "1 hour": 3600,
    "6 hours": 6 * 3600,
    "1 day": 86_400,
    "7 days": 7 * 86_400,
    "30 days": 30 * 86_400,
    "365 days": 365 * 86_400,
    "10 years": 3650 * 86_400,
}


@dataclass(frozen=True)
class TimeBin:
    """Rows of a stretch of time.

    Attributes:
        start: When it starts: a date and time in UTC, or a plain number.
        splits: Rows and label rate by split, in the order of the splits.
    """

    start: str
    splits: dict[str, Rate]

    @property
    def label(self) -> Rate:
        """Rows and label rate of all splits."""
        return Rate.of(sum(r.rows for r in self.splits.values()), sum(r.positives for r in self.splits.values()))


@dataclass(frozen=True)
class Times:
    """Rows over time.

    Attributes:
        unit: What the timestamps count since 1970, by their size; None where they look like no times.
        step: Width of a bin, in words.
        first: For each split, when its first row was.
        last: For each split, when its last row was.
        bins: The bins in order, empty ones too.
        overlapping: Splits whose rows are not all later than those of the split before.
    """

    unit: str | None
    step: str
    first: dict[str, str]
    last: dict[str, str]
    bins: tuple[TimeBin, ...]
    overlapping: tuple[str, ...]


def over_time(shards: Mapping[str, Shards]) -> Times:
    """Count rows by time, in at most 61 bins of equal width that start at round times in UTC.

    Args:
        shards: Of each split that holds rows, in the order of the splits; the schema has a timestamp.

    Raises:
        DataError: A shard cannot be read.
    """
    ends = {split: _ends(some) for split, some in shards.items()}
    earliest, latest = min(first for first, _ in ends.values()), max(last for _, last in ends.values())
    unit = _unit(earliest, latest)
    words, step = _step(latest - earliest, unit)
    origin = earliest // step * step
    size = (latest - origin) // step + 1
    counted = {split: _counted(some, origin, step, size) for split, some in shards.items()}
    return Times(
        unit=unit,
        step=words,
        first={split: _text(first, unit) for split, (first, _) in ends.items()},
        last={split: _text(last, unit) for split, (_, last) in ends.items()},
        bins=tuple(
            TimeBin(
                _text(origin + i * step, unit),
                {split: Rate.of(int(rows[i]), int(positives[i])) for split, (rows, positives) in counted.items()},
            )
            for i in range(size)
        ),
        overlapping=tuple(later for earlier, later in pairwise(shards) if ends[later][0] < ends[earlier][1]),
    )


def _ends(shards: Shards) -> tuple[int, int]:
    ends = [
        frame.select(pl.col(TIMESTAMP).min().alias("first"), pl.col(TIMESTAMP).max().alias("last")).row(0)
        for frame in frames(shards, [TIMESTAMP])
    ]
    return min(first for first, _ in ends), max(last for _, last in ends)


def _counted(shards: Shards, origin: int, step: int, size: int) -> tuple[Ints, Ints]:
    """Rows and positives of each bin."""
    rows, positives = np.zeros(size, np.int64), np.zeros(size, np.int64)
    for frame in frames(shards, [TIMESTAMP, LABEL]):
        place = (frame[TIMESTAMP].to_numpy() - origin) // step
        rows += np.bincount(place, minlength=size)
        positives += np.bincount(place[frame[LABEL].to_numpy() == 1], minlength=size)
    return rows, positives


def _unit(earliest: int, latest: int) -> str | None:
    for unit, scale in _UNITS.items():
        if _EARLIEST * scale <= earliest and latest <= _LATEST * scale:
            return unit
    return None


def _step(span: int, unit: str | None) -> tuple[str, int]:
    """The narrowest step that leaves few enough bins, in words and in the timestamps' unit."""
    if unit is not None:
        steps = ((words, seconds * _UNITS[unit]) for words, seconds in _STEPS.items())
        return next((words, step) for words, step in steps if span // step < _MOST)
    power = 1
    while True:
        for step in (power, 2 * power, 5 * power):
            if span // step < _MOST:
                return f"{step:,}", step
        power *= 10


def _text(at: int, unit: str | None) -> str:
    if unit is None:
        return f"{at:,}"
    moment = datetime.fromtimestamp(at // _UNITS[unit], UTC)
    return f"{moment:%Y-%m-%d}" if moment.time() == time() else f"{moment:%Y-%m-%d %H:%M:%S}".removesuffix(":00")
