"""Checkpoints in one process: to go on is to have gone on; damage is refused. Many ranks: see test_sharding."""

import json
import resource
from pathlib import Path
from typing import Literal, get_args

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from common.errors import ArtifactError, ConfigError, DiskError
from common.files import sha256_json
from features.datasets.dataset import ClickDataset
from features.datasets.feed import Feed
from features.datasets.prepared import PreparedSet
from kernels.lookup import pieces
from kernels.lookup.layout import OptimizerKind
from models.ranker import Ranker
from tests.training.sharded import build_plain, own_batch
from training.checkpoint import Checkpoints, resume_feed
from training.optimizers import Optimizers
from training.run import LoopSettings, OptimizerSettings

DenseRule = Literal["adam", "adamw", "adagrad", "sgd"]


def begin(kind: OptimizerKind = "rowwise_adagrad", dense: DenseRule = "adam") -> tuple[Ranker, Optimizers]:
    model = build_plain(kind)
    return model, Optimizers(model, OptimizerSettings(learning_rate=0.01, dense=dense), steps=100)


def steps(model: Ranker, optimizers: Optimizers, first: int, last: int) -> list[float]:
    """Train with a random input, as dropout is one."""
    losses = []
    for step in range(first, last):
        batch = own_batch(step)
        assert batch.label is not None
        logits = model(batch.dense, batch.sparse) * torch.rand(batch.label.shape)
        loss = F.binary_cross_entropy_with_logits(logits, batch.label)
        losses.append(loss.item())
        optimizers.step(loss)
    return losses


def everything(model: Ranker, optimizers: Optimizers) -> list[Tensor]:
    lookup = model.embedding.lookup
    assert lookup is not None
    state = [value for values in optimizers.dense.state.values() for value in values.values()]
    return [t.clone() for t in (*model.state_dict().values(), *lookup.state.values(), *state, torch.get_rng_state())]


@pytest.fixture
def saved(tmp_path: Path) -> Checkpoints:
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    model, optimizers = begin()
    steps(model, optimizers, 0, 3)
    checkpoints.save(model, optimizers.dense, step=3, progress={"epoch": 1})
    return checkpoints


@pytest.mark.parametrize(
    ("kind", "dense"),
    [("rowwise_adagrad", "adam"), ("adam", "adam"), ("sgd", "adamw"), ("adagrad", "adagrad"), ("sgd", "sgd")],
)
def test_training_goes_on_as_if_never_broken_off(
    tmp_path: Path, kind: OptimizerKind, dense: DenseRule, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "BLOCK_BYTES", 1_000)  # many blocks of each table
    checkpoints = Checkpoints(tmp_path)
    model, optimizers = begin(kind, dense)
    steps(model, optimizers, 0, 5)
    optimizers.reduce(LoopSettings(learning_rate_factor=0.3))
    checkpoints.save(model, optimizers.dense, step=5, progress=optimizers.progress())
    expected = steps(model, optimizers, 5, 10)

    again, others = begin(kind, dense)
    steps(again, others, 20, 22)
    others.go_on(checkpoints.load(again, others.dense))
    assert steps(again, others, 5, 10) == expected
    for one, other in zip(everything(again, others), everything(model, optimizers), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("dense", get_args(DenseRule))
def test_saving_before_the_first_step_changes_nothing(tmp_path: Path, dense: DenseRule) -> None:
    model, optimizers = begin(dense=dense)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    Checkpoints(tmp_path).save(model, optimizers.dense, step=0, progress={})
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert steps(model, optimizers, 0, 3) == steps(*begin(dense=dense), 0, 3)


def test_only_the_last_checkpoint_stays(saved: Checkpoints) -> None:
    model, optimizers = begin()
    saved.save(model, optimizers.dense, step=12, progress={"epoch": 9})
    assert [path.name for path in saved.folder.iterdir()] == ["0000000012"]
    assert saved.load(model, optimizers.dense) == {"epoch": 9}


def test_no_checkpoint_is_said(tmp_path: Path) -> None:
    model, optimizers = begin()
    with pytest.raises(ArtifactError, match="holds no checkpoint to resume from"):
        Checkpoints(tmp_path / "none").load(model, optimizers.dense)


@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
@pytest.mark.parametrize("pattern", ["*.distcp", ".metadata", "checkpoint.json"])
def test_damage_is_refused_and_changes_nothing(saved: Checkpoints, pattern: str, damage: str) -> None:
    (path,) = (saved.folder / "0000000003").glob(pattern)
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes(content[: len(content) // 2] if damage == "cut" else content)
    model, optimizers = begin()
    steps(model, optimizers, 0, 1)
    before = everything(model, optimizers)
    with pytest.raises(ArtifactError, match=rf"0000000003 is damaged: {path.name} is missing or was changed"):
        saved.load(model, optimizers.dense)
    for one, other in zip(everything(model, optimizers), before, strict=True):
        assert torch.equal(one, other)


def test_a_later_format_is_refused(saved: Checkpoints) -> None:
    path = saved.folder / "0000000003" / "checkpoint.json"
    content = json.loads(path.read_text()) | {"format": 2}
    del content["digest"]
    path.write_text(json.dumps({"digest": sha256_json(content), **content}))
    with pytest.raises(ArtifactError, match="has format 2, this plexrank reads 1"):
        saved.load(*_model_and_optimizer())


def test_another_model_is_refused(saved: Checkpoints) -> None:
    model, optimizers = begin("adagrad")
    with pytest.raises(ArtifactError, match=r"lookup.state.sum is \[341\] there, \[341, 10\] here"):
        saved.load(model, optimizers.dense)


def test_a_full_disk_leaves_the_checkpoint_before(saved: Checkpoints) -> None:
    model, optimizers = begin()
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, hard))  # Python ignores the signal: writing more fails
    try:
        with pytest.raises(DiskError, match="0000000004 cannot be written"):
            saved.save(model, optimizers.dense, step=4, progress={})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert [path.name for path in saved.folder.iterdir()] == ["0000000003"]
    assert saved.load(model, optimizers.dense) == {"epoch": 1}


def test_a_feed_goes_on_with_other_ranks_at_an_epochs_start(prepared: Path) -> None:
    def feed(rank: int, ranks: int, seed: int = 1) -> Feed:
        return Feed(
            ClickDataset(PreparedSet(prepared), "train", batch_size=256, seed=seed, rank=rank, world_size=ranks)
        )

    begun = feed(0, 2)
    list(begun)
    start = begun.state_dict()
    next(iter(begun))
    other = feed(2, 3)
    resume_feed(other, start)
    assert other.state_dict() == {**start, "world_size": 3}
    resume_feed(feed(1, 2), begun.state_dict())
    with pytest.raises(ConfigError, match="saved with world_size 2, here it is 3"):
        resume_feed(other, begun.state_dict())
    with pytest.raises(ConfigError, match="saved with seed 1"):
        resume_feed(feed(0, 3, seed=2), start)


def _model_and_optimizer() -> tuple[Ranker, torch.optim.Optimizer]:
    model, optimizers = begin()
    return model, optimizers.dense
