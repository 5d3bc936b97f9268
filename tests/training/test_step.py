"""The training step: compiled it is what it is eagerly, for a ranker with a loss of its own too."""

from pathlib import Path

import pytest
import torch

from features.datasets.batch import Batch
from features.datasets.prepared import PreparedSet
from models.catalogue import NetworkSettings
from tests.training.conftest import MakeRun
from training.build import build
from training.machine import Machine, compiler
from training.optimizers import Optimizers
from training.run import RunSettings
from training.step import TrainingStep

CPU = torch.device("cpu")


def losses(run: RunSettings, prepared: Path, batches: list[Batch], steps: int) -> list[float]:
    """The losses of steps, and at the end the mean score of the first batch."""
    torch.manual_seed(0)
    built = build(run, PreparedSet(prepared).fitted, CPU)
    machine = Machine.choose(run.machine, CPU, steps=steps)
    step = TrainingStep(built, Optimizers(built.model, run.optimizer, steps), machine, batch_size=64)
    found = [step(batches[i % len(batches)]) for i in range(steps)]
    with torch.no_grad():
        scores: torch.Tensor = built.model.eval()(batches[0].dense, batches[0].sparse)
    return [*found, scores.mean().item()]


@pytest.mark.slow
@pytest.mark.skipif(compiler() is None, reason="no C++ compiler with Python's headers")
def test_a_compiled_step_has_the_losses_of_an_eager_one(
    make_run: MakeRun, prepared: Path, batches: list[Batch]
) -> None:
    block = {"hidden": [16, 16]}
    reached = {}
    for compiled in (False, True):
        torch._dynamo.utils.counters.clear()
        run = make_run(
            optimizer={"learning_rate": 0.01, "embedding_l2_looked_up": 0.5},
            embedding={"init_std": 0.1},
            machine={"compile": compiled, "precision": "fp32"},
        )
        model = NetworkSettings.model_validate({"name": "finalnet", "block1": block, "block2": block})
        reached[compiled] = losses(run.model_copy(update={"model": model}), prepared, batches, steps=40)
        # The last batch, which is smaller, and scoring run eagerly.
        assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == compiled
    assert reached[True] == pytest.approx(reached[False], rel=1e-3)
    assert reached[False][-5] < 0.9 * reached[False][0]
