"""What holds for every ranker in the registry, and LR itself."""

from collections.abc import Callable

import polars as pl
import pytest
import torch

from common.errors import ConfigError
from features.datasets.batch import Batch
from features.encoding.encoded import EncodedRows
from features.encoding.fitted import FittedSchema
from features.encoding.typed import LABEL
from kernels.lookup.layout import TableOptimizer
from models.logistic_regression import LogisticRegression
from models.ranker import Ranker, parameter_count
from models.registry import MODELS, Architecture, build_model
from tests.models.small import EVERY_KIND, fit, typed
from tests.models.test_finalmlp import FRAPPE, vocabulary_schema

MakeBatch = Callable[..., Batch]


def architecture(name: str) -> Architecture:
    return Architecture.model_validate({"name": name, "embedding": {"dim": 4, "rows": 200, "init_std": 0.1}})


def learn(model: Ranker, batch: Batch, *, steps: int) -> list[float]:
    """Train on one batch; the losses."""
    assert batch.label is not None
    adam = torch.optim.Adam(model.parameters(), lr=0.02)
    losses = []
    for _ in range(steps):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(model(batch.dense, batch.sparse), batch.label)
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    return losses


def score(model: Ranker, fitted: FittedSchema, rows: pl.DataFrame) -> torch.Tensor:
    batch = Batch.of(EncodedRows.of(rows, fitted.schema))
    with torch.no_grad():
        logits: torch.Tensor = model(batch.dense, batch.sparse)
    return logits


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("fused", [False, True])
def test_every_ranker_learns_a_small_set_by_heart(
    fitted: FittedSchema, make_batch: MakeBatch, name: str, fused: bool
) -> None:
    torch.manual_seed(0)
    optimizer = TableOptimizer(kind="adagrad", learning_rate=0.5) if fused else None
    model = build_model(architecture(name), fitted, optimizer=optimizer)
    losses = learn(model, make_batch(24), steps=200)
    assert losses[0] > 0.5
    assert losses[-1] < 0.25


@pytest.mark.parametrize("name", MODELS)
def test_every_ranker_learns_from_every_kind_of_feature(make_batch: MakeBatch, name: str) -> None:
    fitted = fit(EVERY_KIND)
    torch.manual_seed(0)
    model = build_model(architecture(name), fitted)
    losses = learn(model, make_batch(64, schema=fitted), steps=200)
    assert losses[-1] < 0.25 < losses[0]
    # What it learnt is in every feature: each alone, of another row, moves the score.
    rows = fitted.encode(typed(64, seed=1))
    scored = score(model, fitted, rows)
    for feature in fitted.schema.features:
        moved = score(model, fitted, rows.with_columns(pl.col(feature.name).reverse()))
        assert (moved - scored).abs().max() > 0.01, feature.name


def test_a_cross_tells_what_its_two_features_cannot() -> None:
    crossed = [f for f in EVERY_KIND["features"] if f["name"] in ("user", "level", "user_by_level")]
    rows = typed(200)
    parity = (pl.col("user").str.tail(1).cast(pl.Int64) + (pl.col("level") >= 0)) % 2
    rows = rows.with_columns(parity.cast(pl.UInt8).alias(LABEL))
    losses = []
    for features in (crossed, crossed[:2]):
        fitted = fit({"label": "click", "features": features})
        model = build_model(Architecture(name="lr"), fitted)
        batch = Batch.of(EncodedRows.of(fitted.encode(rows), fitted.schema))
        losses.append(learn(model, batch, steps=300)[-1])
    assert losses[0] < 0.1
    assert losses[1] > 0.5


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
