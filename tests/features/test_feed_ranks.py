"""Two ranks of two worker processes each, as torchrun starts them: every row once, also after a resume."""

import json
import random
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from torch.multiprocessing.spawn import spawn

from features.datasets import feed as feed_module
from features.datasets.batch import Batch
from features.datasets.dataset import ClickDataset
from features.datasets.feed import Feed
from features.datasets.prepared import PreparedSet
from tests.features.handmade import write_prepared

SHARDS = (9_000, 25_000, 30, 39_970, 1, 41_000)
SEEDS = (0, 1, 2)
OPTIONS: dict[str, Any] = {"batch_size": 256, "world_size": 2, "workers": 2}
# A row takes 52 bytes: 500,000 of them hold 9,615 rows, in two windows; the default holds the whole split.
MODES: dict[str, dict[str, Any]] = {"exact": {}, "windowed": {"shuffle_memory_mb": 0.5}}


def ids(batches: Iterable[Batch]) -> list[int]:
    return [row for batch in batches for row in batch.sparse.to_dict()["id"].values().tolist()]


def rank_process(rank: int, prepared: Path, mode: dict[str, Any], steps: list[int], output: Path) -> None:
    """Read an epoch of every seed; stop at a step, read on to the end, and read the rest again after a resume."""
    feed_module._PARCEL_ROWS = 256 * 5
    read = []
    for seed, step in zip(SEEDS, steps, strict=True):
        dataset = ClickDataset(PreparedSet(prepared), "train", seed=seed, rank=rank, **OPTIONS, **mode)
        feed = Feed(dataset)
        batches = iter(feed)
        before, state = ids(islice(batches, step)), feed.state_dict()
        rest = ids(batches)
        if seed == SEEDS[-1]:
            feed = Feed(dataset)  # other processes
        feed.load_state_dict(state)
        read.append({"before": before, "rest": rest, "resumed": ids(feed), "state": state})
    (output / f"{rank}.json").write_text(json.dumps(read))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("mode", MODES)
def test_two_ranks_of_two_workers_read_every_row_once(tmp_path: Path, mode: str) -> None:
    prepared = write_prepared(tmp_path / "prepared", SHARDS)
    steps = [random.randint(1, 225) for _ in SEEDS]  # of 226
    spawn(rank_process, (prepared.folder, MODES[mode], steps, tmp_path), nprocs=2)
    ranks = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    orders = []
    for step, *read in zip(steps, *ranks, strict=True):
        for one in read:
            assert one["state"] == read[0]["state"]
            assert one["state"]["batch"] == step
            assert one["resumed"] == one["rest"], step
        orders.append([row for one in read for row in one["before"] + one["resumed"]])
        assert sorted(orders[-1]) == list(range(sum(SHARDS))), step
    assert orders[0] != orders[1] != orders[2] != orders[0]
