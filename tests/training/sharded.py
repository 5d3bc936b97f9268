"""Training of a small ranker, sharded or not, on given batches; torchrun starts this file with a list of jobs."""

import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from features.datasets.batch import Batch
from features.encoding.encoded import EncodedRows
from kernels.lookup import pieces
from kernels.lookup.dispatch import build_lookup
from kernels.lookup.interface import Lookup
from kernels.lookup.layout import OptimizerKind, TableLayout, TableOptimizer
from kernels.lookup.torchrec import TorchrecLookup
from models.catalogue import checked_settings, network_class
from models.embedding import EmbeddingSettings, FeatureEmbedding
from models.ranker import Ranker
from tests.models.small import EVERY_KIND, fit, typed
from training import sharding
from training.checkpoint import Checkpoints
from training.machine import Plan
from training.optimizers import Optimizers
from training.ranks import loss_share, rank, ranks, summed, to_first, world_size
from training.run import LoopSettings, OptimizerSettings
from training.scoring import click_probabilities
from training.sharding import gather_weights, scatter_weights, shard

CPU = torch.device("cpu")
ROWS = 31  # of a batch: no number of ranks shares them out evenly
LOWER_AT = 25  # the step before which the learning rates fall
DRAWN_ROWS = 64  # of a table at a time
FITTED = fit(EVERY_KIND)
EMBEDDING = EmbeddingSettings(dim=10, rows=300, init_std=0.1)  # a width that fbgemm pads
SETTINGS: dict[str, dict[str, Any]] = {
    "finalmlp": {
        "mlp1": {"hidden": [16]},
        "mlp2": {"hidden": [8]},
        "gates": {"hidden": [8], "context1": ["user"]},
    },
    "deepfm": {"mlp": {"hidden": [16]}},  # its rows hold first-order weights too
}


@dataclass(frozen=True)
class Job:
    """A training run.

    Attributes:
        name: Of what it leaves in the folder: ``NAME.json`` with losses and scores, ``NAME.safetensors``.
        kind: The table's update.
        plan: How the table is cut; None for the unsharded reference.
        first: The step it begins with.
        last: The step before which it ends.
        weights: File of the weights to begin with; None for drawn ones.
        resume: Folder of the checkpoints to begin with.
        save: Folder to write a checkpoint into at the end.
        ranker: Which.
        looked_up_l2: The sparse L2's strength.
    """

    name: str
    kind: OptimizerKind
    plan: Plan | None
    first: int = 0
    last: int = 50
    weights: str | None = None
    resume: str | None = None
    save: str | None = None
    ranker: str = "finalmlp"
    looked_up_l2: float = 0.0


def build(
    kind: OptimizerKind, lookup: Callable[[TableLayout, TableOptimizer], Lookup], ranker: str = "finalmlp"
) -> Ranker:
    optimizer = TableOptimizer(kind=kind, learning_rate=0.05)
    settings, network = checked_settings(ranker, SETTINGS[ranker]), network_class(ranker)
    scopes = network.scopes(settings, FITTED.schema)
    embedding = FeatureEmbedding(EMBEDDING, FITTED, scopes, lambda layout: lookup(layout, optimizer))
    return Ranker(embedding, network(settings, *embedding.shapes))


def build_plain(kind: OptimizerKind, ranker: str = "finalmlp") -> Ranker:
    torch.manual_seed(0)
    return build(kind, lambda layout, optimizer: build_lookup(layout, optimizer, backend="reference"), ranker)


def build_sharded(kind: OptimizerKind, plan: Plan, ranker: str = "finalmlp") -> tuple[Ranker, nn.Module]:
    """The ranker, and what to train it by. Every rank draws other dense weights: rank 0's must win."""
    torch.manual_seed(rank())
    model = build(kind, lambda layout, optimizer: TorchrecLookup(layout, optimizer, torch.device("meta")), ranker)
    return model, shard(model, plan, CPU, initialise=EMBEDDING.initialise, seed=5)


def own_batch(step: int) -> Batch:
    """This rank's share of a batch."""
    frame = FITTED.encode(typed(ROWS, seed=step))
    first, last = (ROWS * share // world_size() for share in (rank(), rank() + 1))
    return Batch.of(EncodedRows.of(frame[first:last], FITTED.schema))


def run(job: Job, folder: Path) -> None:
    """Train as a job says."""
    if job.plan is None:
        model = build_plain(job.kind, job.ranker)
        trained: nn.Module = model
    else:
        model, trained = build_sharded(job.kind, job.plan, job.ranker)
    settings = OptimizerSettings(learning_rate=0.01, embedding_l2_looked_up=job.looked_up_l2)
    optimizers = Optimizers(model, settings, steps=50)
    if job.weights is not None:
        scatter_weights(model, load_file(job.weights) if rank() == 0 else {})
    if job.resume is not None:
        progress = Checkpoints(Path(job.resume)).load(model, optimizers.dense)
        assert progress["next"] == job.first
        optimizers.go_on(progress["optimizers"])
    losses = []
    for step in range(job.first, job.last):
        if step == LOWER_AT:
            optimizers.reduce(LoopSettings())
        batch = own_batch(step)
        assert batch.label is not None
        rows = batch.label.numel()
        loss = trained(batch.dense, batch.sparse, batch.label)
        losses.append(summed(loss.item() * rows)[0] / ROWS)
        optimizers.step(loss * loss_share(rows))
    if job.save is not None:
        progress = {"next": job.last, "optimizers": optimizers.progress()}
        Checkpoints(Path(job.save)).save(model, optimizers.dense, step=job.last, progress=progress)
    scores = [score for one in to_first(click_probabilities(model, [own_batch(0)])) for score in one.tolist()]
    weights = gather_weights(model)
    if rank() == 0:
        (folder / f"{job.name}.json").write_text(json.dumps({"losses": losses, "scores": scores}))
        save_file({name: tensor.contiguous() for name, tensor in weights.items()}, folder / f"{job.name}.safetensors")


def write_jobs(path: Path, jobs: Iterable[Job]) -> None:
    path.write_text(json.dumps([asdict(job) for job in jobs]))


def main(folder: Path, jobs: list[dict[str, Any]]) -> None:
    """Run jobs one after the other, as one of the ranks that torchrun started."""
    torch.use_deterministic_algorithms(True)
    # Several blocks of each table.
    pieces.BLOCK_BYTES, sharding._DRAWN_ROWS = 1_000, DRAWN_ROWS
    with ranks(CPU):
        for job in jobs:
            run(Job(**job), folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text()))
