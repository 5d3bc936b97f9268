"""The recipe's optimiser semantics: dense L2, clipping, learning rates."""

from pathlib import Path
from typing import Any

import torch

from features.datasets.batch import Batch, batches
from features.datasets.prepared import PreparedSet
from features.encoding.encoded import EncodedRows
from kernels.lookup.interface import Lookup
from models.ranker import Ranker
from models.registry import build_model
from tests.training.conftest import MakeRun
from training.optimizers import Optimizers, table_optimizer
from training.run import RunSettings

BCE = torch.nn.functional.binary_cross_entropy_with_logits


def build(prepared: Path, run: RunSettings) -> tuple[Ranker, Batch]:
    opened = PreparedSet(prepared)
    torch.manual_seed(0)
    model = build_model(run.architecture, opened.fitted, optimizer=table_optimizer(run.optimizer)).eval()
    rows = EncodedRows.of(next(opened.shards("train")), opened.fitted.schema)
    return model, next(batches(rows, 64))


def table(model: Ranker) -> Lookup:
    assert model.embedding.lookup is not None
    return model.embedding.lookup


def loss(model: Ranker, batch: Batch) -> torch.Tensor:
    assert batch.label is not None
    return BCE(model(batch.dense, batch.sparse), batch.label)


def recipe(**changes: Any) -> dict[str, Any]:
    return {"embedding": "dense_adam", "learning_rate": 0.01, "clip_norm": None, **changes}


def test_dense_l2_equals_the_penalty_in_the_loss(prepared: Path, make_run: MakeRun) -> None:
    run = make_run(optimizer=recipe(embedding_l2=0.3, clip_norm=0.05))
    model, batch = build(prepared, run)
    twin, _ = build(prepared, run)
    Optimizers(model, run.optimizer).step(loss(model, batch))

    embeddings = [table(twin).table, *twin.embedding.numeric.parameters()]  # type: ignore[union-attr]
    penalty = sum((w.square().sum() for w in embeddings), torch.zeros(()))
    (loss(twin, batch) + 0.3 / 2 * penalty).backward()
    torch.nn.utils.clip_grad_norm_(twin.parameters(), 0.05)
    torch.optim.Adam(twin.parameters(), lr=0.01).step()
    for (name, ours), theirs in zip(model.named_parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6, msg=name)


def test_dense_l2_shrinks_rows_that_no_batch_touched(prepared: Path, make_run: MakeRun) -> None:
    for l2, moves in ((0.3, True), (0.0, False)):
        run = make_run(optimizer=recipe(embedding_l2=l2))
        model, batch = build(prepared, run)
        before = table(model).table.detach().clone()
        loss(model, batch).backward()
        gradient = table(model).table.grad
        assert gradient is not None
        untouched = gradient.abs().sum(1) == 0
        assert untouched.sum() > 100
        Optimizers(model, run.optimizer).step(loss(model, batch))
        moved = (table(model).table != before).any(1)
        assert bool(moved[untouched].any()) == moves


def test_a_fused_table_costs_no_dense_gradient(prepared: Path, make_run: MakeRun) -> None:
    run = make_run(optimizer={"embedding": "rowwise_adagrad"})
    model, batch = build(prepared, run)
    before = table(model).table.clone()
    Optimizers(model, run.optimizer).step(loss(model, batch))
    changed = (table(model).table != before).any(1).sum().item()
    assert 0 < changed < len(before) - 100
    assert not list(table(model).parameters())


def test_reducing_lowers_every_rate_but_not_below_the_floor(prepared: Path, make_run: MakeRun) -> None:
    run = make_run(
        optimizer={"embedding": "sgd", "learning_rate": 0.01, "embedding_learning_rate": 0.5},
        training={"learning_rate_factor": 0.1, "min_learning_rate": 0.0005},
    )
    model, _ = build(prepared, run)
    optimizers = Optimizers(model, run.optimizer)
    rates = []
    for _ in range(3):
        optimizers.reduce(run.training)
        rates.append((round(optimizers.learning_rate, 12), round(table(model).learning_rate, 12)))
    assert rates == [(0.001, 0.05), (0.0005, 0.025), (0.0005, 0.025)]
