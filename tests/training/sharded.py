"""Training of a small FinalMLP, sharded or not, on given batches; torchrun starts this file with a list of jobs."""

import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

from features.datasets.batch import Batch
from features.encoding.encoded import EncodedRows
from kernels.lookup import pieces
from kernels.lookup.dispatch import build_lookup
from kernels.lookup.interface import Lookup
from kernels.lookup.layout import OptimizerKind, TableLayout, TableOptimizer
from kernels.lookup.torchrec import TorchrecLookup
from models.embedding import EmbeddingSettings
from models.ranker import Ranker
from models.registry import MODELS, Architecture, model_settings
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
ARCHITECTURE = Architecture(
    name="finalmlp",
    settings={"mlp1": {"hidden": [16]}, "mlp2": {"hidden": [8]}, "gates": {"hidden": [8], "context1": ["user"]}},
    # A width that fbgemm pads.
    embedding=EmbeddingSettings(dim=10, rows=300, init_std=0.1),
)


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
    """

    name: str
    kind: OptimizerKind
    plan: Plan | None
    first: int = 0
    last: int = 50
    weights: str | None = None
    resume: str | None = None
    save: str | None = None


def build(kind: OptimizerKind, lookup: Callable[[TableLayout, TableOptimizer], Lookup]) -> Ranker:
    optimizer = TableOptimizer(kind=kind, learning_rate=0.05)
    settings = model_settings(ARCHITECTURE)
    build = MODELS[ARCHITECTURE.name].build
    return build(settings, ARCHITECTURE.embedding, FITTED, lambda layout: lookup(layout, optimizer))


def build_plain(kind: OptimizerKind) -> Ranker:
    torch.manual_seed(0)
    return build(kind, lambda layout, optimizer: build_lookup(layout, optimizer, backend="reference"))


def build_sharded(kind: OptimizerKind, plan: Plan) -> tuple[Ranker, nn.Module]:
    """The ranker, and what to train it by. Every rank draws other dense weights: rank 0's must win."""
    torch.manual_seed(rank())
    model = build(kind, lambda layout, optimizer: TorchrecLookup(layout, optimizer, torch.device("meta")))
    return model, shard(model, plan, CPU, initialise=ARCHITECTURE.embedding.initialise, seed=5)


def own_batch(step: int) -> Batch:
    """This rank's share of a batch."""
    frame = FITTED.encode(typed(ROWS, seed=step))
    first, last = (ROWS * share // world_size() for share in (rank(), rank() + 1))
    return Batch.of(EncodedRows.of(frame[first:last], FITTED.schema))


def run(job: Job, folder: Path) -> None:
    """Train as a job says."""
    if job.plan is None:
        model = build_plain(job.kind)
        trained: nn.Module = model
    else:
        model, trained = build_sharded(job.kind, job.plan)
    optimizers = Optimizers(model, OptimizerSettings(learning_rate=0.01))
    if job.weights is not None:
        scatter_weights(model, load_file(job.weights) if rank() == 0 else {})
    if job.resume is not None:
        progress = Checkpoints(Path(job.resume)).load(model, optimizers.dense)
        assert progress == {"next": job.first}
    losses = []
    for step in range(job.first, job.last):
        if step == LOWER_AT:
            optimizers.reduce(LoopSettings())
        batch = own_batch(step)
        assert batch.label is not None
        rows = batch.label.numel()
        loss = F.binary_cross_entropy_with_logits(trained(batch.dense, batch.sparse), batch.label)
        losses.append(summed(loss.item() * rows)[0] / ROWS)
        optimizers.step(loss * loss_share(rows))
    if job.save is not None:
        Checkpoints(Path(job.save)).save(model, optimizers.dense, step=job.last, progress={"next": job.last})
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
