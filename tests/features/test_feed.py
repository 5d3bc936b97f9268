"""The feed: every row once an epoch, an exact resume, and errors that reach the caller."""

import random
import re
import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import DataLoader

from common.errors import ConfigError, DataError
from features.datasets import feed as feed_module
from features.datasets import order as order_module
from features.datasets.dataset import ClickDataset
from features.datasets.feed import Feed
from features.datasets.prepared import PreparedSet
from tests.features.handmade import bytes_of, rows_of, write_prepared

SHARDS = (7_000, 30, 2_000, 973)
ROWS = sum(SHARDS)
# A row of the set takes 52 bytes, so that 100,000 of them hold 1,923 rows: two windows of 900 and a bit.
MODES: dict[str, dict[str, Any]] = {
    "exact": {},
    "windowed": {"shuffle_memory_mb": 0.1},
    "unshuffled": {"shuffle": False},
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> PreparedSet:
    return write_prepared(tmp_path_factory.mktemp("feed") / "prepared", SHARDS)


@pytest.fixture(autouse=True, scope="module")
def small_chunks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(order_module, "CHUNK_ROWS", 256)
        patch.setattr(order_module, "_UNSHUFFLED_ROWS", 1000)
        yield


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> dict[str, Any]:
    return MODES[request.param]


def feed(prepared: PreparedSet, **options: Any) -> Feed:
    return Feed(ClickDataset(prepared, "train", **{"batch_size": 100, **options}))


def test_an_epoch_has_every_row_once(prepared: PreparedSet, mode: dict[str, Any]) -> None:
    given = feed(prepared, **mode)
    epochs = [[rows_of(batch) for batch in given] for _ in range(2)]
    for epoch in epochs:
        assert len(epoch) == len(given) == 101
        assert [len(batch) for batch in epoch] == [100] * 100 + [3]
        assert sorted(row for batch in epoch for row in batch) == list(range(ROWS))
    assert (epochs[0] == epochs[1]) == (mode == MODES["unshuffled"])
    if mode == MODES["unshuffled"]:
        assert [row for batch in epochs[0] for row in batch] == list(range(ROWS))


def test_two_runs_are_equal_to_the_byte_and_two_seeds_are_not(prepared: PreparedSet, mode: dict[str, Any]) -> None:
    def run(seed: int) -> list[list[bytes]]:
        return [bytes_of(batch) for batch in feed(prepared, seed=seed, **mode)]

    assert run(1) == run(1)
    assert (run(1) == run(2)) == (mode == MODES["unshuffled"])


def test_a_resume_gives_what_would_have_come(prepared: PreparedSet, mode: dict[str, Any]) -> None:
    whole = feed(prepared, **mode)
    expected = [bytes_of(batch) for _ in range(2) for batch in whole]
    for given in (0, 1, 100, 101, 102, *random.sample(range(202), 3)):
        first = feed(prepared, **mode)
        seen = 0
        while seen < given:
            for _ in first:
                seen += 1
                if seen == given:
                    break
        state = first.state_dict()
        assert (state["epoch"], state["batch"]) == divmod(given, 101)
        second = feed(prepared, **mode)
        second.load_state_dict(state)
        rest = [bytes_of(batch) for _ in range(state["epoch"], 2) for batch in second]
        assert rest == expected[given:], given


@pytest.mark.parametrize("world_size", [3, 4])
def test_ranks_share_the_rows_and_stop_together(prepared: PreparedSet, mode: dict[str, Any], world_size: int) -> None:
    for seed in (0, 1):
        ranks = [feed(prepared, seed=seed, rank=rank, world_size=world_size, **mode) for rank in range(world_size)]
        batches = [[rows_of(batch) for batch in rank] for rank in ranks]
        assert sorted(row for rank in batches for batch in rank for row in batch) == list(range(ROWS))
        assert {len(rank) for rank in batches} == {len(rank) for rank in ranks} == {-(-(ROWS // world_size) // 100)}
        assert all(rank.state_dict() == ranks[0].state_dict() for rank in ranks)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This DataLoader will create 3 worker processes")  # on a machine of two cores
def test_workers_take_turns_batch_by_batch(prepared: PreparedSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "_PARCEL_ROWS", 799)
    ranks = [[bytes_of(batch) for batch in feed(prepared, world_size=3, rank=rank)] for rank in range(3)]
    expected = [batch for turn in zip(*ranks, strict=True) for batch in turn]
    given = feed(prepared, workers=3)
    # From each position, with 7 batches in a parcel, each worker comes to be the first to have no more.
    for start in (0, 1, 14, 15, 87, 88, 101, len(expected) - 1):
        given.load_state_dict({**given.state_dict(), "epoch": 0, "batch": start})
        assert [bytes_of(batch) for batch in given] == expected[start:], start


def test_a_resume_reads_nothing_before_its_window(tmp_path: Path) -> None:
    prepared = write_prepared(tmp_path / "prepared", (2_000, 500))
    given = feed(prepared, shuffle=False)
    expected = [rows_of(batch) for batch in given][-5:]
    (prepared.folder / "train" / "part-00000.parquet").unlink()
    resumed = feed(prepared, shuffle=False)
    resumed.load_state_dict({**resumed.state_dict(), "batch": 20})
    assert [rows_of(batch) for batch in resumed] == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": 1}, "saved with seed 0, here it is 1"),
        ({"batch_size": 50}, "saved with batch_size 100, here it is 50"),
        ({"world_size": 2}, "saved with world_size 1, here it is 2"),
        ({"workers": 2}, "saved with workers 0, here it is 2"),
        ({"shuffle": False}, "saved with shuffle True, here it is False"),
        ({"shuffle_memory_mb": 0.1}, "saved with window_rows 10003, here it is 900"),
    ],
)
def test_a_position_in_another_order_is_refused(prepared: PreparedSet, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"{message}; resume with the data and the settings it was saved with"):
        feed(prepared, **options).load_state_dict(feed(prepared).state_dict())


def test_a_position_in_other_data_is_refused(prepared: PreparedSet, tmp_path: Path) -> None:
    state = feed(prepared).state_dict()
    for name, shards in {"rows": (ROWS - 1,), "shards": (ROWS,)}.items():
        with pytest.raises(ConfigError, match=f"saved with {name} "):
            feed(write_prepared(tmp_path / name, shards)).load_state_dict(state)
    feed(write_prepared(tmp_path / "same", SHARDS)).load_state_dict(state)


def test_rows_that_cannot_be_shared_are_refused(tmp_path: Path) -> None:
    prepared = write_prepared(tmp_path / "prepared", (2, 1))
    with pytest.raises(ConfigError, match="has 3 train rows for 4 processes to share; use fewer"):
        ClickDataset(prepared, "train", batch_size=2, world_size=2, workers=2)
    assert [rows_of(batch) for batch in feed(prepared, world_size=3, rank=2, shuffle=False)] == [[2]]
    with pytest.raises(ConfigError, match="has no valid rows; prepare the data with a valid split"):
        ClickDataset(prepared, "valid", batch_size=2)
    with pytest.raises(DataError, match="has no split 'holdout'"):
        ClickDataset(prepared, "holdout", batch_size=2)


def test_a_loader_with_other_workers_is_refused(prepared: PreparedSet) -> None:
    dataset = ClickDataset(prepared, "train", batch_size=100, workers=2)
    with pytest.raises(ValueError, match="made for 2 workers, the loader has 1"):
        next(iter(DataLoader(dataset, batch_size=None)))


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_damaged_shard_is_one_sentence_where_its_rows_would_have_come(tmp_path: Path, workers: int) -> None:
    prepared = write_prepared(tmp_path / "prepared", (2_000, 500))
    shutil.copy(prepared.folder / "prepared.json", prepared.folder / "train" / "part-00001.parquet")
    batches = iter(feed(prepared, shuffle=False, workers=workers))
    if not workers:
        assert [row for batch in islice(batches, 20) for row in rows_of(batch)] == list(range(2000))
    with pytest.raises(DataError) as caught:
        list(batches)
    sentence = r"shard \S+part-00001\.parquet cannot be read: [^\n]*; prepare the data again"
    assert re.fullmatch(sentence, str(caught.value))
