"""Splits: their shares, that each row is in one, and that nothing but the row decides which."""

import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import ConfigError, DataError
from features import sources
from features.prepared import PreparedSet
from features.schema import parse_schema
from features.sources import RawFile
from features.split import SPLITS, FileSplit, Fractions, RowSplit, TimeSplit, split_by_time
from features.typed import ROW, TIMESTAMP

SCHEMA = parse_schema({"label": "y", "timestamp": "t", "features": [{"name": "x", "kind": "numeric"}]}, source="test")
PLAIN: dict[str, Any] = {"label": "y", "keep": ["id"], "features": [{"name": "x", "kind": "categorical"}]}


def positions(count: int) -> pl.DataFrame:
    return pl.DataFrame({ROW: np.arange(count)})


def rows_of(prepared: PreparedSet) -> dict[str, list[int]]:
    return {name: [i for shard in prepared.shards(name) for i in shard[ROW]] for name in SPLITS}


def numbered(count: int) -> pl.DataFrame:
    """Rows that know their position: as text in ``id``, as a categorical value in ``x``."""
    ids = [f"r{i}" for i in range(count)]
    return pl.DataFrame({"y": [i % 2 for i in range(count)], "x": ids, "id": ids})


@pytest.mark.parametrize("text", ["0.8,0.1,0.1", "1,0,0", "0.9, 0.1, 0", "0.7,0.2,0.1", "0.5,0,0.5"])
def test_three_shares_are_a_split(text: str) -> None:
    fractions = Fractions.parse(text)
    assert [fractions.train, fractions.valid, fractions.test] == [float(part) for part in text.split(",")]


@pytest.mark.parametrize(
    "text",
    ["", "0.8", "0.8,0.2", "a,b,c", "0.8,0.1,0.2", "0,0.5,0.5", "1.1,-0.1,0", "nan,0,1", "inf,0,0", "0.8;0.1;0.1"],
)
def test_other_shares_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"is no split; .* like 0\.8,0\.1,0\.1"):
        Fractions.parse(text)


@pytest.mark.parametrize("shares", [(0.8, 0.1, 0.1), (0.5, 0.5, 0.0), (1.0, 0.0, 0.0), (0.6, 0.0, 0.4)])
@pytest.mark.parametrize("seed", [0, 2021])
def test_shares_of_rows_are_as_asked(shares: tuple[float, float, float], seed: int) -> None:
    count = 100_000
    found = RowSplit(Fractions(*shares), seed).assign(positions(count)).to_numpy()
    for index, share in enumerate(shares):
        assert abs(np.sum(found == index) - share * count) <= 5 * math.sqrt(count * share * (1 - share))


def test_the_draw_of_a_row_never_changes() -> None:
    # Pinned: a set prepared again by a later version must have the same test rows.
    split = RowSplit(Fractions(0.4, 0.3, 0.3), seed=7)
    assert "".join(str(i) for i in split.assign(positions(40))) == "2012010100220201120112112210100011011001"


def test_a_row_is_drawn_alone() -> None:
    split, frame = RowSplit(Fractions(0.6, 0.2, 0.2), seed=1), positions(1000)
    whole = split.assign(frame)
    assert pl.concat([split.assign(frame[:1]), split.assign(frame[1:700]), split.assign(frame[700:])]).equals(whole)
    assert split.assign(frame.reverse()).reverse().equals(whole)
    assert not RowSplit(Fractions(0.6, 0.2, 0.2), seed=2).assign(frame).equals(whole)


@pytest.mark.parametrize("batch", [7, 1000])
@pytest.mark.parametrize("cuts", [[100], [30, 30, 40], [1, 98, 1]])
def test_files_and_batches_do_not_move_rows(
    log: Path,
    prepare_set: Callable[..., PreparedSet],
    monkeypatch: pytest.MonkeyPatch,
    cuts: list[int],
    batch: int,
) -> None:
    frame = numbered(100)
    frame.write_csv(log / "whole.csv")
    parts = []
    for i, size in enumerate(cuts):
        parts.append(log / f"part{i}.csv")
        frame[sum(cuts[:i]) : sum(cuts[:i]) + size].write_csv(parts[-1])
    whole = prepare_set(PLAIN, log / "whole.csv", output="whole", seed=3)
    monkeypatch.setattr(sources, "BATCH_ROWS", batch)
    cut = prepare_set(PLAIN, *parts, output="cut", seed=3)
    for name in SPLITS:
        assert pl.concat(cut.shards(name)).equals(pl.concat(whole.shards(name)))


@pytest.mark.parametrize("options", [{}, {"fractions": Fractions(0.5, 0.3, 0.2), "seed": 5}, {"by_time": True}])
def test_each_row_is_in_one_split(log: Path, prepare_set: Callable[..., PreparedSet], options: dict[str, Any]) -> None:
    numbered(200).with_columns(t=pl.int_range(200) // 3).write_parquet(log / "log.parquet")
    found = rows_of(prepare_set({**PLAIN, "timestamp": "t"}, log / "log.parquet", **options))
    assert sorted(i for rows in found.values() for i in rows) == list(range(200))
    assert all(rows == sorted(rows) and rows for rows in found.values())


def test_given_files_are_the_splits(log: Path, prepare_set: Callable[..., PreparedSet]) -> None:
    frame = numbered(30)
    for name, part in {"a": frame[:10], "b": frame[10:15], "c": frame[15:18], "d": frame[18:]}.items():
        part.write_csv(log / f"{name}.csv")
    found = prepare_set(PLAIN, log / "a.csv", log / "d.csv", valid=[log / "b.csv"], test=[log / "c.csv"])
    assert rows_of(found) == {"train": list(range(22)), "valid": list(range(22, 27)), "test": list(range(27, 30))}
    only_test = prepare_set(PLAIN, log / "a.csv", test=[log / "c.csv"], output="other")
    assert [only_test.rows(name) for name in SPLITS] == [10, 0, 3]


def test_a_file_cannot_be_in_two_splits(log: Path, prepare_set: Callable[..., PreparedSet]) -> None:
    for name in ("day1.csv", "day2.csv"):
        numbered(10).write_csv(log / name)
    with pytest.raises((ConfigError, DataError), match=r"day2\.csv"):
        prepare_set(PLAIN, log / "*.csv", valid=[log / "day2.csv"])


def test_a_split_by_file_takes_every_row() -> None:
    assert FileSplit(2).assign(positions(3)).to_list() == [2, 2, 2]
    assert FileSplit(1).assign(positions(0)).to_list() == []


def cut_times(times: list[int], fractions: Fractions) -> TimeSplit:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.parquet"
        pl.DataFrame({"y": 0, "x": 0.0, "t": times}).write_parquet(path, row_group_size=4)
        return split_by_time([RawFile(path, SCHEMA.columns)], SCHEMA, fractions)


@settings(deadline=None)
@given(
    times=st.lists(st.integers(-(10**4), 10**4) | st.integers(-(2**60), 2**60), min_size=2, max_size=30),
    shares=st.sampled_from([(0.8, 0.1, 0.1), (0.5, 0.5, 0.0), (0.34, 0.33, 0.33), (1.0, 0.0, 0.0), (0.7, 0.0, 0.3)]),
)
def test_time_cuts_reach_their_shares_within_a_bin(times: list[int], shares: tuple[float, float, float]) -> None:
    if min(times) == max(times):
        times.append(times[0] + 1)
    split = cut_times(times, Fractions(*shares))
    bin_width = (max(times) - min(times)) // 2**20 + 1
    cuts = [(split.valid_from, shares[0])]
    if split.test_from is not None:
        cuts.append((split.test_from, shares[0] + shares[1]))
    for cut, share in cuts:
        before = sum(t < cut for t in times) / len(times)
        without_last_bin = sum(t < cut - bin_width for t in times) / len(times)
        assert before >= share - 1e-9
        assert without_last_bin < share or share == 1
    assert (split.test_from is None) == (shares[2] == 0)
    found = split.assign(pl.DataFrame({TIMESTAMP: sorted(times)})).to_list()
    assert found == sorted(found)


def test_distinct_times_split_exactly() -> None:
    times = list(range(1000, 1100))
    split = cut_times(times[::-1], Fractions(0.8, 0.1, 0.1))
    found = split.assign(pl.DataFrame({TIMESTAMP: times})).to_list()
    assert found == [0] * 80 + [1] * 10 + [2] * 10


def test_rows_of_one_time_stay_together() -> None:
    split = cut_times([1] * 5 + [2] * 90 + [3] * 5, Fractions(0.5, 0.25, 0.25))
    assert split.assign(pl.DataFrame({TIMESTAMP: [1, 2, 3]})).to_list() == [0, 0, 2]


@pytest.mark.parametrize("times", [[-(2**63), 0, 2**63 - 1], [2**63 - 2, 2**63 - 1], [-(2**63), -(2**63) + 1]])
def test_the_ends_of_the_integers_split_too(times: list[int]) -> None:
    split = cut_times(times, Fractions(0.5, 0.5, 0.0))
    found = split.assign(pl.DataFrame({TIMESTAMP: times})).to_list()
    assert (found[0], found[-1]) == (0, 1)


def test_one_time_cannot_be_split() -> None:
    with pytest.raises(DataError, match="all rows have the same 't'; split by row instead"):
        cut_times([7, 7, 7], Fractions(0.8, 0.1, 0.1))


@pytest.mark.parametrize("by", ["row", "files", "time"])
def test_what_is_fitted_comes_from_training_rows_only(
    log: Path, prepare_set: Callable[..., PreparedSet], by: str
) -> None:
    document = {
        "label": "y",
        "timestamp": "t",
        "keep": ["v", "price"],
        "features": [
            {"name": "v", "kind": "categorical", "encoding": "vocabulary"},
            {"name": "s", "kind": "sequence", "encoding": "vocabulary"},
            {"name": "price", "kind": "numeric", "transforms": ["standardize"]},
        ],
    }
    frame = pl.DataFrame({"y": [0, 1] * 100, "t": range(200), "v": [f"v{i}" for i in range(200)]}).with_columns(
        s=pl.concat_list("v"), price=pl.col("t").cast(pl.Float64) ** 2
    )
    frame.write_parquet(log / "all.parquet")
    frame[:150].write_parquet(log / "train.parquet")
    frame[150:].write_parquet(log / "valid.parquet")
    if by == "files":
        found = prepare_set(document, log / "train.parquet", valid=[log / "valid.parquet"])
    else:
        found = prepare_set(document, log / "all.parquet", by_time=by == "time")
    train, valid = (pl.concat(found.shards(name)) for name in ("train", "valid"))
    # Every value occurs once: it is known if its row trains, and unseen otherwise.
    assert sorted(train["v"]) == list(range(2, 2 + train.height))
    assert valid.height > 0
    assert set(valid["v"]) == {1}
    assert valid["s"].to_list() == [[1]] * valid.height
    prices = train["keep:price"].to_numpy()
    for rows in (train, valid):
        expected = (rows["keep:price"].to_numpy() - prices.mean()) / prices.std()
        np.testing.assert_allclose(rows["price"].to_numpy(), expected, rtol=1e-6, atol=1e-6)
