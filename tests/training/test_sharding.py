"""Sharded training, as torchrun starts it: the numbers of unsharded training, and checkpoints between world sizes."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from common.errors import ConfigError
from kernels.addressing import Slot
from kernels.lookup.layout import OptimizerKind, TableLayout, TableOptimizer
from kernels.lookup.torchrec import TorchrecLookup
from tests.training.sharded import CPU, DRAWN_ROWS, Job, build, build_plain, build_sharded, run, write_jobs
from training import sharding
from training.machine import Plan
from training.ranks import ranks
from training.sharding import gather_weights, shard

CASES: tuple[tuple[Plan, OptimizerKind], ...] = (
    ("row_wise", "rowwise_adagrad"),
    ("row_wise", "adagrad"),
    ("row_wise", "sgd"),
    ("table_wise", "rowwise_adagrad"),
    ("table_wise", "sgd"),
    ("column_wise", "adagrad"),
    ("column_wise", "sgd"),
)
WEIGHTED_CASES: tuple[tuple[Plan, OptimizerKind], ...] = (("row_wise", "rowwise_adagrad"), ("column_wise", "adagrad"))
MIDDLE = 20  # the step at which runs are broken off and resumed


def torchrun(processes: int, folder: Path, jobs: Sequence[Job]) -> None:
    """Run jobs on some ranks of this machine."""
    listed = folder / f"jobs-{jobs[0].name}.json"
    write_jobs(listed, jobs)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    launch += ["-m", "tests.training.sharded", str(folder), str(listed)]
    root = Path(__file__).parents[2]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1", "PYTHONPATH": str(root)}
    done = subprocess.run(launch, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-8000:]


def result(folder: Path, name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
    return document


def assert_close(actual: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert actual.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.allclose(actual[name], tensor, rtol=1e-4, atol=1e-5), name


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unsharded runs, the same on two ranks, and on three from a checkpoint of two; what they left."""
    folder = tmp_path_factory.mktemp("sharding")
    start = str(folder / "start.safetensors")
    save_file(build_plain("sgd").state_dict(), start)
    for kind in {kind for _, kind in CASES}:
        run(Job(f"plain-{kind}", kind, None, weights=start), folder)
    drawn = str(folder / "weighted.safetensors")
    save_file(build_plain("sgd", "deepfm").state_dict(), drawn)
    weighted: dict[str, Any] = {"weights": drawn, "ranker": "deepfm", "looked_up_l2": 0.1}
    for _, kind in WEIGHTED_CASES:
        run(Job(f"plain-deepfm-{kind}", kind, None, **weighted), folder)
    plan, kind = CASES[0]
    plain = str(folder / "plain-checkpoint")
    run(Job("plain-first", kind, None, last=MIDDLE, weights=start, save=plain), folder)
    two, columns, whole = (str(folder / f"{name}-checkpoint") for name in ("two", "columns", "whole"))
    torchrun(
        2,
        folder,
        [
            *(Job(f"two-{plan}-{kind}", kind, plan, weights=start) for plan, kind in CASES),
            *(Job(f"two-deepfm-{plan}-{kind}", kind, plan, **weighted) for plan, kind in WEIGHTED_CASES),
            Job("two-columns", "adagrad", "column_wise", last=MIDDLE, weights=start, save=columns),
            Job("two-table", "sgd", "table_wise", last=MIDDLE, weights=start, save=whole),
            Job("two-first", kind, plan, last=MIDDLE, weights=start, save=two),
            Job("two-resumed", kind, plan, first=MIDDLE, resume=two),
            Job("two-from-plain", kind, "table_wise", first=MIDDLE, resume=plain),
            Job("two-drawn", kind, plan, last=0),
        ],
    )
    torchrun(
        3,
        folder,
        [
            Job("three-from-two", kind, plan, first=MIDDLE, resume=two),
            Job("three-from-columns", "adagrad", "column_wise", first=MIDDLE, resume=columns),
            Job("three-from-whole", "sgd", "row_wise", first=MIDDLE, resume=whole),
            Job("three-drawn", "sgd", "column_wise", last=0),
        ],
    )
    run(Job("plain-from-two", kind, None, first=MIDDLE, resume=two), folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ranker", "plan", "kind"),
    [*(("", *case) for case in CASES), *(("deepfm-", *case) for case in WEIGHTED_CASES)],
)
def test_two_ranks_train_as_one_unsharded_process(trained: Path, ranker: str, plan: Plan, kind: OptimizerKind) -> None:
    plain, two = result(trained, f"plain-{ranker}{kind}"), result(trained, f"two-{ranker}{plan}-{kind}")
    assert len(two["losses"]) == 50
    assert two["losses"] == pytest.approx(plain["losses"], abs=1e-5)
    assert plain["losses"][-1] != pytest.approx(plain["losses"][0], abs=1e-2)
    assert two["scores"] == pytest.approx(plain["scores"], abs=1e-5)
    files = (trained / f"{name}.safetensors" for name in (f"two-{ranker}{plan}-{kind}", f"plain-{ranker}{kind}"))
    assert_close(*map(load_file, files))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("two-resumed", "rowwise_adagrad"),
        ("two-from-plain", "rowwise_adagrad"),
        ("three-from-two", "rowwise_adagrad"),
        ("three-from-columns", "adagrad"),
        ("three-from-whole", "sgd"),
        ("plain-from-two", "rowwise_adagrad"),
    ],
)
def test_a_checkpoint_goes_on_at_any_world_size(trained: Path, name: str, kind: OptimizerKind) -> None:
    whole, resumed = result(trained, f"plain-{kind}"), result(trained, name)
    assert resumed["losses"] == pytest.approx(whole["losses"][MIDDLE:], abs=1e-5)
    assert resumed["scores"] == pytest.approx(whole["scores"], abs=1e-5)
    assert_close(load_file(trained / f"{name}.safetensors"), load_file(trained / f"plain-{kind}.safetensors"))


@pytest.mark.slow
def test_drawn_rows_depend_on_the_seed_alone(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharding, "_DRAWN_ROWS", DRAWN_ROWS)
    with ranks(CPU):
        model, _ = build_sharded("sgd", "row_wise")
        one = gather_weights(model)
    table = "embedding.lookup.table"
    assert one[table].std() == pytest.approx(0.1, rel=0.1)
    for name in ("two-drawn", "three-drawn"):
        drawn = load_file(trained / f"{name}.safetensors")
        assert drawn.keys() == one.keys()
        assert torch.equal(drawn[table], one[table])


@pytest.mark.parametrize(
    ("kind", "plan", "message"),
    [
        ("rowwise_adagrad", "column_wise", "column_wise sharding splits rows"),
        ("adam", "row_wise", "no fused adam on a CPU"),
        (None, "row_wise", "set a fused optimizer.embedding"),
    ],
)
def test_what_cannot_be_sharded_is_refused(kind: OptimizerKind | None, plan: Plan, message: str) -> None:
    model = build(kind or "sgd", lambda layout, rule: TorchrecLookup(layout, rule if kind else None))
    with ranks(CPU), pytest.raises(ConfigError, match=message):
        shard(model, plan, CPU, initialise=Tensor.zero_, seed=0)
    assert isinstance(model.embedding.lookup, TorchrecLookup)
    assert model.embedding.lookup.table.count_nonzero() > 0  # as it was


def test_a_table_too_small_for_the_ranks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharding, "world_size", lambda: 3)
    layout = TableLayout(keys=1, slots=(Slot(key=0, seed=0, base=0, rows=4, mixed=True),), rows=4, dim=4)
    lookup = nn.Sequential(TorchrecLookup(layout, TableOptimizer(kind="sgd")))
    with pytest.raises(ConfigError, match="4 rows leaves one of 3 processes without any"):
        shard(lookup, "row_wise", CPU, initialise=Tensor.zero_, seed=0)
