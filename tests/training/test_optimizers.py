"""The optimisers: every rule is torch's own, decay reaches matrices alone, rates fall together."""

from typing import Any

import pytest
import torch

from common.errors import ConfigError
from features.datasets.batch import Batch
from tests.training.conftest import BuildModel, MakeRun, loss_of, table_of
from training.optimizers import Optimizers

RATE = 0.01
TORCH: dict[str, Any] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "adagrad": torch.optim.Adagrad,
    "sgd": torch.optim.SGD,
}


@pytest.mark.parametrize(
    ("dense", "embedding"),
    [("adam", "sgd"), ("adamw", "adagrad"), ("adagrad", "rowwise_adagrad"), ("sgd", "sgd"), ("adam", "dense_adam")],
)
def test_a_dense_rule_is_torchs_own(
    build_model: BuildModel, batches: list[Batch], make_run: MakeRun, dense: str, embedding: str
) -> None:
    rules = {"dense": dense, "embedding": embedding, "learning_rate": RATE, "clip_norm": None}
    run = make_run(optimizer=rules)
    model, twin = build_model(run), build_model(run)
    optimizers = Optimizers(model, run.optimizer, steps=10)
    settings = {"weight_decay": 0.0} if dense == "adamw" else {}
    theirs = TORCH[dense](twin.parameters(), lr=RATE, fused=False, foreach=False, **settings)
    for batch in batches:
        optimizers.step(loss_of(model, batch))
        theirs.zero_grad()
        loss_of(twin, batch).backward()
        theirs.step()
    for (name, tensor), other in zip(model.state_dict().items(), twin.state_dict().values(), strict=True):
        torch.testing.assert_close(tensor, other, rtol=1e-5, atol=1e-6, msg=name)


def test_decay_shrinks_the_networks_matrices_and_nothing_else(
    build_model: BuildModel, batches: list[Batch], make_run: MakeRun
) -> None:
    after = []
    for decay in (0.0, 0.5):
        rules = {"dense": "adamw", "embedding": "dense_adam", "learning_rate": RATE, "weight_decay": decay}
        run = make_run(optimizer=rules, model={"mlp1": {"hidden": [16], "batch_norm": True}})
        model = build_model(run)
        before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
        Optimizers(model, run.optimizer, steps=10).step(loss_of(model, batches[0]))
        after.append(dict(model.named_parameters()))
    plain, decayed = after
    matrices = [name for name in before if name.startswith("network.") and before[name].dim() > 1]
    assert len(matrices) > 3
    for name, start in before.items():
        expected = plain[name] - RATE * 0.5 * start if name in matrices else plain[name]
        torch.testing.assert_close(decayed[name], expected, rtol=0, atol=1e-7, msg=name)


def test_clipping_is_by_the_norm_of_all_dense_gradients(
    build_model: BuildModel, batches: list[Batch], make_run: MakeRun
) -> None:
    run = make_run(optimizer={"dense": "sgd", "embedding": "sgd", "learning_rate": 1.0, "clip_norm": 0.01})
    model = build_model(run)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    Optimizers(model, run.optimizer, steps=10).step(loss_of(model, batches[0]))
    moves = [(parameter - start).flatten() for parameter, start in zip(model.parameters(), before, strict=True)]
    assert torch.cat(moves).norm().item() == pytest.approx(0.01, rel=1e-3)


def test_a_fused_table_costs_no_dense_gradient(
    build_model: BuildModel, batches: list[Batch], make_run: MakeRun
) -> None:
    run = make_run(optimizer={"embedding": "rowwise_adagrad"})
    model = build_model(run)
    before = table_of(model).table.clone()
    Optimizers(model, run.optimizer, steps=10).step(loss_of(model, batches[0]))
    changed = (table_of(model).table != before).any(1).sum().item()
    assert 0 < changed < len(before) - 100
    assert not list(table_of(model).parameters())


def test_reducing_lowers_every_rate_but_not_below_the_floor(build_model: BuildModel, make_run: MakeRun) -> None:
    run = make_run(
        optimizer={"embedding": "sgd", "learning_rate": 0.01, "embedding_learning_rate": 0.5},
        training={"learning_rate_factor": 0.1, "min_learning_rate": 0.0005},
    )
    model = build_model(run)
    optimizers = Optimizers(model, run.optimizer, steps=10)
    rates = []
    for _ in range(3):
        optimizers.reduce(run.training)
        rates.append((round(optimizers.learning_rate, 12), round(table_of(model).learning_rate, 12)))
    assert rates == [(0.001, 0.05), (0.0005, 0.025), (0.0005, 0.025)]


def test_every_group_of_adamw_has_the_reduced_rate(build_model: BuildModel, make_run: MakeRun) -> None:
    run = make_run(optimizer={"dense": "adamw", "weight_decay": 0.1})
    optimizers = Optimizers(build_model(run), run.optimizer, steps=10)
    optimizers.reduce(run.training)
    assert [group["lr"] for group in optimizers.dense.param_groups] == pytest.approx([0.001, 0.001])
    assert {group["weight_decay"] for group in optimizers.dense.param_groups} == {0.0, 0.1}


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"embedding_l2_all_rows": 0.1}, "set embedding: dense_adam, or use embedding_l2_looked_up"),
        ({"embedding": "dense_adam", "dense": "sgd"}, "embedding: dense_adam needs dense: adam or adamw, not sgd"),
        ({"weight_decay": 0.1}, "weight_decay is adamw's, not adam's; set dense: adamw, or use network_l2"),
        ({"dense": "adamax"}, "input should be 'adam', 'adamw', 'adagrad' or 'sgd'"),
        ({"schedule": {"decay": "steps"}}, "input should be 'constant', 'linear' or 'cosine'"),
        ({"schedule": {"warmup_steps": -1}}, "schedule.warmup_steps: input should be greater than or equal to 0"),
        ({"embedding_l2": 0.1}, "unknown key 'embedding_l2' in optimizer"),
    ],
)
def test_rules_that_do_not_go_together_are_refused(make_run: MakeRun, rules: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_run(optimizer=rules)
