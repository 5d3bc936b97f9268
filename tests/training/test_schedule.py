"""Schedules: warm-up and decay as torch's, together with plateau reductions, and across a checkpoint."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LinearLR, LRScheduler

from common.errors import ConfigError
from features.datasets.batch import Batch
from tests.training.conftest import BuildModel, MakeRun, loss_of, table_of
from training.checkpoint import Checkpoints
from training.optimizers import Optimizers
from training.run import LoopSettings, RunSettings

RATE, TABLE_RATE = 0.01, 0.5
STEPS, WARMUP = 12, 4


def settings(make_run: MakeRun, **schedule: Any) -> RunSettings:
    rules = {"embedding": "rowwise_adagrad", "learning_rate": RATE, "embedding_learning_rate": TABLE_RATE}
    return make_run(optimizer={**rules, "schedule": schedule})


def rates(optimizers: Optimizers, step: Callable[[], object], steps: int) -> list[float]:
    """The rates that steps run with."""
    found = []
    for _ in range(steps):
        found.append(optimizers.learning_rate)
        step()
    return found


def torchs(scheduler: Callable[[torch.optim.Optimizer], LRScheduler], steps: int) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(()))], lr=RATE)
    schedule, found = scheduler(optimizer), []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


@pytest.mark.parametrize("warmup", [0, WARMUP])
@pytest.mark.parametrize("decay", ["constant", "linear", "cosine"])
def test_the_rates_are_those_of_torchs_schedulers(
    build_model: BuildModel, batches: list[Batch], make_run: MakeRun, decay: str, warmup: int
) -> None:
    run = settings(make_run, warmup_steps=warmup, decay=decay)
    model = build_model(run)
    optimizers = Optimizers(model, run.optimizer, STEPS)
    of_table: list[float] = []

    def step() -> None:
        of_table.append(table_of(model).learning_rate)
        optimizers.step(loss_of(model, batches[0]))

    found = rates(optimizers, step, STEPS)
    falls: dict[str, Callable[[torch.optim.Optimizer], LRScheduler]] = {
        "constant": lambda optimizer: LambdaLR(optimizer, lambda _: 1.0),
        "linear": lambda optimizer: LinearLR(optimizer, 1.0, 0.0, total_iters=STEPS - warmup),
        "cosine": lambda optimizer: CosineAnnealingLR(optimizer, T_max=STEPS - warmup),
    }
    rise = torchs(lambda optimizer: LinearLR(optimizer, 1 / (warmup + 1), 1.0, total_iters=warmup), warmup)
    assert found == pytest.approx([*rise, *torchs(falls[decay], STEPS - warmup)], rel=1e-9)
    assert of_table == pytest.approx([rate * TABLE_RATE / RATE for rate in found], rel=1e-9)
    assert found[warmup] == RATE
    assert found[-1] > 0
    assert optimizers.learning_rate == pytest.approx(RATE if decay == "constant" else 0.0)


def test_a_warm_up_longer_than_the_run_is_refused(build_model: BuildModel, make_run: MakeRun) -> None:
    run = settings(make_run, warmup_steps=9, decay="cosine")
    with pytest.raises(ConfigError, match="warmup_steps 9 are not over in the 9 steps of the run; lower them"):
        Optimizers(build_model(run), run.optimizer, 9)


@pytest.mark.parametrize("decay", ["constant", "linear", "cosine"])
def test_a_plateau_multiplies_what_the_schedule_says(
    build_model: BuildModel, batches: list[Batch], make_run: MakeRun, decay: str
) -> None:
    run = settings(make_run, warmup_steps=WARMUP, decay=decay)

    def reduced_by(factor: float) -> list[float]:
        model = build_model(run)
        optimizers = Optimizers(model, run.optimizer, STEPS)

        def step() -> None:
            optimizers.step(loss_of(model, batches[0]))
            if optimizers.progress()["done"] in (6, 9):
                optimizers.reduce(LoopSettings(learning_rate_factor=factor))

        return rates(optimizers, step, STEPS)

    factors = [1.0] * 6 + [0.3] * 3 + [0.09] * 3
    expected = [rate * factor for rate, factor in zip(reduced_by(1.0), factors, strict=True)]
    assert reduced_by(0.3) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("decay", ["constant", "linear", "cosine"])
@pytest.mark.parametrize("dense", ["adam", "adamw", "adagrad", "sgd"])
def test_a_resumed_run_has_the_rates_and_weights_of_one_in_one_go(
    build_model: BuildModel, batches: list[Batch], make_run: MakeRun, tmp_path: Path, dense: str, decay: str
) -> None:
    run = settings(make_run, warmup_steps=WARMUP, decay=decay)
    run = run.model_copy(update={"optimizer": run.optimizer.model_copy(update={"dense": dense})})
    checkpoints = Checkpoints(tmp_path / "checkpoints")

    def go(broken_off: int) -> tuple[list[float], dict[str, torch.Tensor]]:
        """Train, reducing the rates after step 3, and break off after so many steps to go on in another model."""
        found: list[float] = []
        model = build_model(run)
        optimizers = Optimizers(model, run.optimizer, STEPS)
        for step in range(STEPS):
            if step == broken_off:
                checkpoints.save(model, optimizers.dense, step=step, progress=optimizers.progress())
                model = build_model(run)
                optimizers = Optimizers(model, run.optimizer, STEPS)
                optimizers.go_on(checkpoints.load(model, optimizers.dense))
            found.append(optimizers.learning_rate)
            optimizers.step(loss_of(model, batches[step % len(batches)]))
            if step == 3:
                optimizers.reduce(LoopSettings(learning_rate_factor=0.5))
        return found, model.state_dict()

    whole, weights = go(broken_off=STEPS)
    for broken_off in (2, 7):
        resumed, others = go(broken_off)
        assert resumed == whole
        for name, tensor in weights.items():
            assert torch.equal(others[name], tensor), name
