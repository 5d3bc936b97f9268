"""Rows over time: units told by size, round steps, splits that overlap."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from features.datasets.prepared import PreparedSet
from features.profile.profile import profile
from features.profile.times import Times

Prepare = Callable[..., PreparedSet]
START = 1_767_571_200  # 2026-01-05 00:00 UTC
HOUR = 3600


@pytest.fixture
def over_time(log: Path, prepare_set: Prepare) -> Callable[..., Times]:
    """Prepare training and test rows at given times, a click every fourth, and measure."""

    def run(train: list[int], test: list[int]) -> Times:
        for name, times in (("train", train), ("test", test)):
            frame = pl.DataFrame({"click": [int(i % 4 == 0) for i in range(len(times))], "ad": "a", "time": times})
            frame.write_parquet(log / f"{name}.parquet")
        schema = {"label": "click", "timestamp": "time", "features": [{"name": "ad", "kind": "categorical"}]}
        made = profile(prepare_set(schema, log / "train.parquet", test=[log / "test.parquet"])).times
        assert made is not None
        return made

    return run


def test_rows_and_label_rate_by_hour(over_time: Callable[..., Times]) -> None:
    train = [START + i * HOUR // 4 for i in range(40)]
    made = over_time(train, [START + 10 * HOUR, START + 12 * HOUR - 1])
    assert (made.unit, made.step) == ("seconds", "1 hour")
    assert [bin.start for bin in made.bins][:2] == ["2026-01-05", "2026-01-05 01:00"]
    assert [bin.splits["train"].rows for bin in made.bins] == [4] * 10 + [0, 0]
    assert [bin.splits["train"].positives for bin in made.bins] == [1] * 10 + [0, 0]
    assert [bin.splits["test"].rows for bin in made.bins] == [0] * 10 + [1, 1]
    assert made.bins[0].label.rate == 0.25
    assert made.bins[0].label.rows == 4
    assert (made.first["test"], made.last["test"]) == ("2026-01-05 10:00", "2026-01-05 11:59:59")
    assert made.overlapping == ()


@pytest.mark.parametrize(("first", "overlapping"), [(50, ("test",)), (100, ())])
def test_a_test_row_before_a_training_row_overlaps(
    over_time: Callable[..., Times], first: int, overlapping: tuple[str, ...]
) -> None:
    assert over_time([START, START + 100], [START + first, START + 200]).overlapping == overlapping


@pytest.mark.parametrize(
    ("scale", "unit"), [(1, "seconds"), (1000, "milliseconds"), (10**6, "microseconds"), (10**9, "nanoseconds")]
)
def test_units_are_told_by_size(over_time: Callable[..., Times], scale: int, unit: str) -> None:
    made = over_time([START * scale, (START + 90) * scale], [(START + 3 * 24 * HOUR) * scale])
    assert (made.unit, made.step) == (unit, "6 hours")
    assert len(made.bins) == 13
    assert made.last["train"] == "2026-01-05 00:01:30"


@pytest.mark.parametrize(
    ("times", "step", "bins", "starts"),
    [
        ([0, 59], "1", 60, ["0", "1"]),
        ([-7, 300], "10", 32, ["-10", "0"]),
        ([5, 123_456], "5,000", 25, ["0", "5,000"]),
        ([7, 7], "1", 1, ["7"]),
    ],
)
def test_numbers_that_are_no_times_are_cut_by_round_steps(
    over_time: Callable[..., Times], times: list[int], step: str, bins: int, starts: list[str]
) -> None:
    made = over_time(times, times[-1:])
    assert (made.unit, made.step, len(made.bins)) == (None, step, bins)
    assert [bin.start for bin in made.bins][:2] == starts
    assert sum(bin.label.rows for bin in made.bins) == 3


def test_centuries_still_fit(over_time: Callable[..., Times]) -> None:
    made = over_time([500_000_000, 4_900_000_000], [4_900_000_001])
    assert made.step == "10 years"
    assert len(made.bins) < 20
