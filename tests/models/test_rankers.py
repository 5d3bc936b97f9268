"""What holds for every ranker in the registry, and LR itself."""

from collections.abc import Callable

import pytest
import torch

from common.errors import ConfigError
from features.batch import Batch
from features.fitted import FittedSchema
from kernels.lookup.interface import TableOptimizer
from models.logistic_regression import LogisticRegression
from models.ranker import parameter_count
from models.registry import MODELS, Architecture, build_model
from tests.models.test_finalmlp import FRAPPE, vocabulary_schema

MakeBatch = Callable[..., Batch]


def architecture(name: str) -> Architecture:
    return Architecture.model_validate({"name": name, "embedding": {"dim": 4, "rows": 200, "init_std": 0.1}})


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("fused", [False, True])
def test_every_ranker_learns_a_small_set_by_heart(
    fitted: FittedSchema, make_batch: MakeBatch, name: str, fused: bool
) -> None:
    torch.manual_seed(0)
    optimizer = TableOptimizer(kind="adagrad", learning_rate=0.5) if fused else None
    model = build_model(architecture(name), fitted, optimizer=optimizer)
    batch = make_batch(24)
    assert batch.label is not None
    adam = torch.optim.Adam(model.parameters(), lr=0.02)
    losses = []
    for _ in range(200):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(model(batch.dense, batch.sparse), batch.label)
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    assert losses[0] > 0.5
    assert losses[-1] < 0.25


@pytest.mark.parametrize("name", MODELS)
def test_the_same_seed_builds_the_same_ranker(fitted: FittedSchema, make_batch: MakeBatch, name: str) -> None:
    outputs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        model = build_model(architecture(name), fitted).eval()
        batch = make_batch(5)
        outputs.append(model(batch.dense, batch.sparse))
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])


@pytest.mark.parametrize("name", MODELS)
def test_weights_move_from_a_fused_to_a_dense_table(fitted: FittedSchema, make_batch: MakeBatch, name: str) -> None:
    trained = build_model(architecture(name), fitted, optimizer=TableOptimizer()).eval()
    served = build_model(architecture(name), fitted).eval()
    served.load_state_dict(trained.state_dict())
    batch = make_batch(5)
    torch.testing.assert_close(trained(batch.dense, batch.sparse), served(batch.dense, batch.sparse))
    assert parameter_count(trained) == parameter_count(served)


def test_lr_is_the_sum_of_its_weights(fitted: FittedSchema, make_batch: MakeBatch) -> None:
    model = build_model(architecture("lr"), fitted)
    assert isinstance(model, LogisticRegression)
    with torch.no_grad():
        model.bias.fill_(0.5)
    batch = make_batch(4)
    (weights,) = model.embedding(batch.dense, batch.sparse)
    assert weights.shape == (4, 5)
    torch.testing.assert_close(model(batch.dense, batch.sparse), weights.sum(1) + 0.5)


def test_lr_has_a_weight_a_value_and_a_bias() -> None:
    assert parameter_count(build_model(Architecture(name="lr"), vocabulary_schema(FRAPPE))) == 5_399 + 1


def test_an_unknown_ranker_is_refused_with_the_nearest(fitted: FittedSchema) -> None:
    with pytest.raises(ConfigError, match="model 'finalmpl' is unknown; did you mean 'finalmlp'"):
        build_model(Architecture(name="finalmpl"), fitted)
