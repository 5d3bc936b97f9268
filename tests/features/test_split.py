"""Splits: their shares, that each row is in one, and that nothing but the row decides which."""

import math
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import ConfigError, DataError
from features.datasets.prepared import PreparedSet
from features.encoding.typed import GROUP, ROW, TIMESTAMP
from features.preparation import plan
from features.preparation.split import SPLITS, Fractions, GroupSplit, RowSplit, TimeHistogram, TimeSplit
from features.sources import _csv

PLAIN: dict[str, Any] = {"label": "y", "keep": ["id"], "features": [{"name": "x", "kind": "categorical"}]}
SHARES = [(0.8, 0.1, 0.1), (0.5, 0.5, 0.0), (0.34, 0.33, 0.33), (1.0, 0.0, 0.0), (0.7, 0.0, 0.3)]


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


@pytest.mark.parametrize("split", [RowSplit, GroupSplit])
@pytest.mark.parametrize("shares", SHARES)
@pytest.mark.parametrize("seed", [0, 2021])
def test_shares_are_as_asked(shares: tuple[float, float, float], seed: int, split: type[RowSplit | GroupSplit]) -> None:
    count = 100_000
    rows = positions(count).with_columns(pl.format("user {}", ROW).alias(GROUP))
    found = split(Fractions(*shares), seed).assign(rows).to_list()
    for index, share in enumerate(shares):
        assert abs(found.count(index) - share * count) <= 5 * math.sqrt(count * share * (1 - share))


def test_a_draw_never_changes() -> None:
    # Pinned: a set prepared again by a later version must have the same test rows.
    fractions = Fractions(0.4, 0.3, 0.3)
    by_row = RowSplit(fractions, seed=7).assign(positions(40))
    assert "".join(map(str, by_row)) == "2012010100220201120112112210100011011001"
    groups = pl.DataFrame({GROUP: [None, "", "u1", "u2", "é日🙂", "0", "1", "2", "3", "4", "5", "6"]})
    assert "".join(map(str, GroupSplit(fractions, seed=7).assign(groups))) == "110202012010"


Rows = st.lists(
    st.tuples(st.integers(0, 2**62), st.none() | st.text(max_size=2), st.integers(-(2**63), 2**63 - 1)), max_size=30
)
Assigns = st.one_of(
    st.builds(RowSplit, st.sampled_from([Fractions(*s) for s in SHARES]), st.integers(0, 2**64 - 1)),
    st.builds(GroupSplit, st.sampled_from([Fractions(*s) for s in SHARES]), st.integers(0, 2**64 - 1)),
    st.builds(TimeSplit, st.integers(-(2**63), 0), st.none() | st.integers(0, 2**63)),
)


@given(split=Assigns, rows=Rows, data=st.data())
def test_a_row_is_drawn_alone(split: RowSplit | GroupSplit | TimeSplit, rows: list[Any], data: st.DataObject) -> None:
    schema = {ROW: pl.Int64, GROUP: pl.String, TIMESTAMP: pl.Int64}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    whole = split.assign(frame)
    assert whole.dtype == pl.UInt8
    assert whole.is_in([0, 1, 2]).all()
    order = data.draw(st.permutations(range(frame.height)))
    assert split.assign(frame[order]).to_list() == [whole[i] for i in order]
    cut = data.draw(st.integers(0, frame.height))
    assert pl.concat([split.assign(frame[:cut]), split.assign(frame[cut:])]).equals(whole)
    # And by what it is split by, not by what else it holds.
    key = {RowSplit: ROW, GroupSplit: GROUP, TimeSplit: TIMESTAMP}[type(split)]
    alike = pl.DataFrame([frame[key], whole.alias("split")]).group_by(key).n_unique()
    assert (alike["split"] == 1).all()
    assert split.assign(frame.select(key)).equals(whole)


def test_seeds_draw_apart() -> None:
    rows = positions(1000).with_columns(pl.col(ROW).cast(pl.String).alias(GROUP))
    fractions = Fractions(0.6, 0.2, 0.2)
    for split in (RowSplit, GroupSplit):
        assert not split(fractions, seed=1).assign(rows).equals(split(fractions, seed=2).assign(rows))


def test_groups_stay_together_and_rows_without_one_are_a_group() -> None:
    groups = [None if i % 7 == 0 else f"u{i % 50}" for i in range(5000)]
    found = GroupSplit(Fractions(0.5, 0.25, 0.25), seed=3).assign(pl.DataFrame({GROUP: groups}))
    sides = pl.DataFrame({"group": groups, "split": found}).unique()
    assert sides["group"].is_unique().all()
    assert set(sides["split"]) == {0, 1, 2}


def test_times_are_split_where_the_cuts_lie() -> None:
    frame = pl.DataFrame({TIMESTAMP: [-(2**63), 9, 10, 19, 20, 2**63 - 1]})
    assert TimeSplit(10, 20).assign(frame).to_list() == [0, 0, 1, 1, 2, 2]
    assert TimeSplit(10, None).assign(frame).to_list() == [0, 0, 1, 1, 1, 1]
    assert TimeSplit(20, 20).assign(frame).to_list() == [0, 0, 0, 0, 2, 2]
    # The end of the last bin that there can be.
    assert TimeSplit(2**63, None).assign(frame).to_list() == [0] * 6


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
    whole = prepare_set(PLAIN, log / "whole.csv", output="whole", split={"seed": 3})
    monkeypatch.setattr(_csv, "BLOCK", batch)
    monkeypatch.setattr(_csv, "PIECE", batch)
    monkeypatch.setattr(plan, "PART_ROWS", batch)
    cut = prepare_set(PLAIN, *parts, output="cut", split={"seed": 3})
    for name in SPLITS:
        assert pl.concat(cut.shards(name)).equals(pl.concat(whole.shards(name)))


@pytest.mark.parametrize(
    "split", [None, {"fractions": Fractions(0.5, 0.3, 0.2), "seed": 5}, {"by": "time"}, {"by": "group"}]
)
def test_each_row_is_in_one_split(
    log: Path, prepare_set: Callable[..., PreparedSet], split: dict[str, Any] | None
) -> None:
    numbered(200).with_columns(t=pl.int_range(200) // 3).write_parquet(log / "log.parquet")
    document = {**PLAIN, "timestamp": "t", "group": "t"}
    found = rows_of(prepare_set(document, log / "log.parquet", split=split))
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


def histogram_of(*batches: Sequence[int]) -> TimeHistogram:
    histogram = TimeHistogram()
    for batch in batches:
        histogram.update(np.array(batch, np.int64))
    return histogram


def expected_cut(times: Sequence[int], share: float) -> int:
    """The first end of a bin that leaves the share below it, found by trying all."""
    shift = 0
    while (max(times) >> shift) - (min(times) >> shift) >= 2**20:
        shift += 1
    ends = sorted({((time >> shift) + 1) << shift for time in times})
    return next(end for end in ends if sum(time < end for time in times) / len(times) >= share - 1e-12)


Times = st.one_of(
    st.integers(0, 9), st.integers(-(10**4), 10**4), st.integers(-(2**22), 2**22), st.integers(-(2**63), 2**63 - 1)
)


@pytest.mark.parametrize("shares", SHARES)
@given(times=st.lists(Times, min_size=1, max_size=30))
def test_time_cuts_lie_where_their_share_is_first_reached(times: list[int], shares: tuple[float, float, float]) -> None:
    found = histogram_of(times).split(Fractions(*shares))
    assert found.valid_from == expected_cut(times, shares[0])
    assert found.test_from == (expected_cut(times, shares[0] + shares[1]) if shares[2] else None)
    sides = found.assign(pl.DataFrame({TIMESTAMP: sorted(times)})).to_list()
    assert sides == sorted(sides)
    assert sides.count(0) >= shares[0] * len(times) - 1e-9
    assert shares[1] or 1 not in sides
    assert shares[2] or 2 not in sides


@given(data=st.data(), times=st.lists(Times, min_size=1, max_size=30))
def test_parts_of_a_histogram_merge_to_the_whole(data: st.DataObject, times: list[int]) -> None:
    whole = histogram_of(times)
    order = data.draw(st.permutations(times))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(times)), max_size=4)))
    parts = [order[a:b] for a, b in zip([0, *cuts], [*cuts, len(times)], strict=True)]
    histograms = [histogram_of(part) for part in parts]
    merged, again = TimeHistogram(), TimeHistogram()
    for histogram in histograms:
        merged.merge(histogram)
    for histogram in histograms:  # as they were: merging changes none but the one that takes them in
        again.merge(histogram)
    for other in (merged, again, histogram_of(*parts)):
        assert other.constant == whole.constant == (len(set(times)) == 1)
        for shares in SHARES:
            assert other.split(Fractions(*shares)) == whole.split(Fractions(*shares))


def test_an_empty_histogram_adds_nothing() -> None:
    histogram = histogram_of([1, 2], [])
    histogram.merge(TimeHistogram())
    assert histogram.split(Fractions(0.5, 0.5, 0.0)) == TimeSplit(2, None)
    assert TimeHistogram().constant


def test_memory_does_not_grow_with_the_rows() -> None:
    draw = np.random.default_rng(0)
    histogram = TimeHistogram()
    for _ in range(20):
        histogram.update(draw.integers(-(2**63), 2**63 - 1, 100_000))
    # 2,000,000 distinct times in 2**20 bins at most, each with a key and a count of 8 bytes.
    assert len(pickle.dumps(histogram)) < 16 * 2**20 + 1000


def test_distinct_times_split_exactly() -> None:
    times = list(range(1000, 1100))
    split = histogram_of(times[::-1]).split(Fractions(0.8, 0.1, 0.1))
    found = split.assign(pl.DataFrame({TIMESTAMP: times})).to_list()
    assert found == [0] * 80 + [1] * 10 + [2] * 10


def test_shares_that_float64_rounds_up_are_reached() -> None:
    # 0.1 + 0.2 is a little more than 3 rows of 10.
    times = pl.DataFrame({TIMESTAMP: range(10)})
    found = histogram_of(range(10)).split(Fractions(0.1, 0.2, 0.7)).assign(times).to_list()
    assert found == [0] + [1] * 2 + [2] * 7


def test_rows_of_one_time_stay_together() -> None:
    split = histogram_of([1] * 5 + [2] * 90 + [3] * 5).split(Fractions(0.5, 0.25, 0.25))
    assert split.assign(pl.DataFrame({TIMESTAMP: [1, 2, 3]})).to_list() == [0, 0, 2]


@pytest.mark.parametrize("times", [[-(2**63), 0, 2**63 - 1], [2**63 - 2, 2**63 - 1], [-(2**63), -(2**63) + 1]])
def test_the_ends_of_the_integers_split_too(times: list[int]) -> None:
    frame = pl.DataFrame({TIMESTAMP: times})
    found = histogram_of(times).split(Fractions(0.5, 0.5, 0.0)).assign(frame).to_list()
    assert (found[0], found[-1]) == (0, 1)
    assert histogram_of(times).split(Fractions(1.0, 0.0, 0.0)).assign(frame).to_list() == [0] * len(times)


def test_one_time_cannot_be_split(log: Path, prepare_set: Callable[..., PreparedSet]) -> None:
    numbered(5).with_columns(t=pl.lit("2024-01-02")).write_csv(log / "log.csv")
    with pytest.raises(DataError, match="all rows have the same 't'; split by row instead"):
        prepare_set({**PLAIN, "timestamp": "t"}, log / "log.csv", split={"by": "time"})


@pytest.mark.parametrize("by", ["row", "files", "time", "group"])
def test_what_is_fitted_comes_from_training_rows_only(
    log: Path, prepare_set: Callable[..., PreparedSet], by: str
) -> None:
    document = {
        "label": "y",
        "timestamp": "t",
        "group": "v",
        "keep": ["v", "price"],
        "features": [
            {"name": "v", "kind": "categorical", "encoding": "vocabulary"},
            {"name": "s", "kind": "sequence", "encoding": "vocabulary"},
            {"name": "x", "kind": "cross", "of": ["v", "b"], "encoding": "vocabulary"},
            {"name": "b", "column": "price", "kind": "bucketized", "edges": [100]},
            {"name": "half", "column": "price", "kind": "bucketized", "buckets": 2, "encoding": "vocabulary"},
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
        found = prepare_set(document, log / "all.parquet", split={"by": by})
    train, valid = (pl.concat(found.shards(name)) for name in ("train", "valid"))
    # Every value occurs once: it is known if its row trains, and unseen otherwise.
    assert sorted(train["v"]) == list(range(2, 2 + train.height))
    assert valid.height > 0
    assert set(valid["v"]) == set(valid["x"]) == {1}
    assert abs(train["half"].to_list().count(2) / train.height - 0.5) < 0.02
    assert valid["s"].to_list() == [[1]] * valid.height
    prices = train["keep:price"].to_numpy()
    for rows in (train, valid):
        expected = (rows["keep:price"].to_numpy() - prices.mean()) / prices.std()
        np.testing.assert_allclose(rows["price"].to_numpy(), expected, rtol=1e-6, atol=1e-6)
