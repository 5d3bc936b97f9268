"""L2: of every row of the table, of the network's matrices, and the sparse one of what a batch looks up."""

from typing import Any

import pytest
import torch
from torch import Tensor

from features.datasets.batch import Batch
from kernels.addressing import rows_numpy
from models.catalogue import NetworkSettings
from models.ranker import Ranker
from tests.training.conftest import BuildModel, MakeRun, loss_of, table_of
from training.optimizers import Optimizers
from training.run import RunSettings

STRENGTH = 0.3


def recipe(**changes: Any) -> dict[str, Any]:
    return {"embedding": "dense_adam", "learning_rate": 0.01, "clip_norm": None, **changes}


def run_of(make_run: MakeRun, ranker: str, rules: dict[str, Any]) -> RunSettings:
    run = make_run(optimizer=rules, embedding={"init_std": 0.1})
    return run.model_copy(update={"model": NetworkSettings(name=ranker)})


@pytest.mark.parametrize("setting", ["embedding_l2_all_rows", "network_l2"])
def test_a_dense_l2_equals_the_penalty_in_the_loss(
    build_model: BuildModel, batches: list[Batch], make_run: MakeRun, setting: str
) -> None:
    run = make_run(optimizer=recipe(clip_norm=0.05, **{setting: STRENGTH}))
    model, twin = build_model(run), build_model(run)
    Optimizers(model, run.optimizer, steps=10).step(loss_of(model, batches[0]))

    named = dict(twin.named_parameters())
    of_embedding = [name for name in named if name.startswith("embedding.")]
    assert len(of_embedding) == 3  # the table, the numbers' vectors, and those for what is missing
    of_network = [name for name in named if name not in of_embedding and named[name].dim() > 1]
    penalised = of_embedding if setting == "embedding_l2_all_rows" else of_network
    penalty = sum((named[name].square().sum() for name in penalised), torch.zeros(()))
    (loss_of(twin, batches[0]) + STRENGTH / 2 * penalty).backward()
    torch.nn.utils.clip_grad_norm_(twin.parameters(), 0.05)
    torch.optim.Adam(twin.parameters(), lr=0.01).step()
    for name, ours in model.named_parameters():
        torch.testing.assert_close(ours, named[name], rtol=1e-5, atol=1e-6, msg=name)


def test_the_l2_of_all_rows_shrinks_those_that_no_batch_touched(
    build_model: BuildModel, batches: list[Batch], make_run: MakeRun
) -> None:
    for l2, moves in ((STRENGTH, True), (0.0, False)):
        run = make_run(optimizer=recipe(embedding_l2_all_rows=l2))
        model = build_model(run)
        before = table_of(model).table.detach().clone()
        untouched = _untouched(model, batches[0])
        Optimizers(model, run.optimizer, steps=10).step(loss_of(model, batches[0]))
        moved = (table_of(model).table != before).any(1)
        assert bool(moved[untouched].any()) == moves


@pytest.mark.parametrize("ranker", ["finalmlp", "deepfm"])  # vectors; vectors and weights
def test_the_sparse_l2_is_the_mean_squared_norm_of_what_a_sample_looks_up(
    build_model: BuildModel, batches: list[Batch], make_run: MakeRun, ranker: str
) -> None:
    model = build_model(run_of(make_run, ranker, recipe()))
    plain = loss_of(model, batches[0])
    model.looked_up_l2 = STRENGTH
    penalty = loss_of(model, batches[0]) - plain
    table = table_of(model).table.detach().clone()
    expected = _penalty(model, batches[0], table)
    assert penalty.item() == pytest.approx(expected.item(), rel=1e-4)
    (gradient,) = torch.autograd.grad(penalty, table_of(model).table)
    # The penalty is quadratic in the table, so a central difference is exact but for rounding.
    places = gradient.abs().flatten().topk(12).indices.tolist()
    for place in places:
        ends = []
        for step in (0.5, -0.5):
            moved = table.clone()
            moved.view(-1)[place] += step
            ends.append(_penalty(model, batches[0], moved))
        assert gradient.view(-1)[place].item() == pytest.approx((ends[0] - ends[1]).item(), rel=1e-3)
    untouched = _untouched(model, batches[0])
    assert untouched.sum() > 100
    assert not gradient[untouched].any()
    assert gradient[~untouched].any(1).all()


@pytest.mark.parametrize("ranker", ["finalmlp", "deepfm"])
@pytest.mark.parametrize("backend", ["fbgemm", "reference"])
def test_the_sparse_l2_is_part_of_a_fused_update(
    build_model: BuildModel, batches: list[Batch], make_run: MakeRun, ranker: str, backend: Any
) -> None:
    rules = {"embedding": "sgd", "embedding_learning_rate": 0.5, "embedding_l2_looked_up": STRENGTH}
    run = run_of(make_run, ranker, rules)
    model, twin = build_model(run, backend=backend), build_model(run_of(make_run, ranker, recipe()))
    twin.looked_up_l2 = STRENGTH
    optimizers = Optimizers(model, run.optimizer, steps=10)
    for batch in batches:
        before = table_of(model).table.detach().clone()
        twin.load_state_dict(model.state_dict())
        (gradient,) = torch.autograd.grad(loss_of(twin, batch), table_of(twin).table)
        optimizers.step(loss_of(model, batch))
        torch.testing.assert_close(table_of(model).table, before - 0.5 * gradient, rtol=1e-5, atol=1e-6)
        untouched = _untouched(model, batch)
        assert torch.equal(table_of(model).table[untouched], before[untouched])


def _penalty(model: Ranker, batch: Batch, table: Tensor) -> Tensor:
    """The definition: (l2 / 2) times the squares of all that is looked up, a batch's row on average."""
    total, rows = torch.zeros((), dtype=torch.float64), len(batch.dense)
    for field in model.embedding.fields:
        for bag in batch.sparse[field.feature].to_dense():
            for slot in field.slots:
                read = table[rows_numpy(bag.numpy(), slot)].double().sum(0)
                total += (read / (max(len(bag), 1) if slot.mean else 1)).square().sum()
    return STRENGTH / 2 * total / rows


def _untouched(model: Ranker, batch: Batch) -> Tensor:
    """Which rows of the table a batch does not read."""
    untouched = torch.ones(len(table_of(model).table), dtype=torch.bool)
    for field in model.embedding.fields:
        for slot in field.slots:
            untouched[rows_numpy(batch.sparse[field.feature].values().numpy(), slot)] = False
    return untouched
