"""What holds for every ranker of the folder, whatever it computes."""

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.errors import ConfigError
from features.datasets.batch import Batch, keyed
from features.encoding.encoded import EncodedRows
from features.encoding.fitted import FittedSchema
from features.encoding.typed import LABEL
from kernels.lookup.layout import TableOptimizer
from models.catalogue import names
from models.ranker import Ranker, parameter_count
from models.registry import Architecture, build_model
from tests.models.small import EVERY_KIND, FRAPPE, build, fit, typed, vocabulary_schema
from tests.models.variants import SMALL, SMALL_SETTINGS

MakeBatch = Callable[..., Batch]


@pytest.fixture(scope="module")
def every_kind() -> FittedSchema:
    return fit(EVERY_KIND)


def architecture(name: str, **embedding: Any) -> Architecture:
    """A ranker by its defaults, its table as one would have it for training."""
    document = {"name": name, "settings": SMALL_SETTINGS.get(name, {})}
    return Architecture.model_validate(document | {"embedding": {"dim": 4, "init_std": 0.1, **embedding}})


def learn(model: Ranker, batch: Batch, *, steps: int, learning_rate: float = 0.02) -> list[float]:
    """Train on one batch; the losses."""
    adam = torch.optim.Adam(model.parameters(), learning_rate)
    losses = []
    for _ in range(steps):
        loss = model(batch.dense, batch.sparse, batch.label)
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    return losses


def log_loss(model: Ranker, batch: Batch) -> float:
    assert batch.label is not None
    with torch.no_grad():
        return F.binary_cross_entropy_with_logits(model.eval()(batch.dense, batch.sparse), batch.label).item()


@pytest.mark.parametrize("variant", SMALL)
def test_logits_are_one_a_row_and_finite(make_batch: MakeBatch, every_kind: FittedSchema, variant: str) -> None:
    model = build(every_kind, *SMALL[variant]).eval()
    for rows in (1, 7, 4096):
        batch = make_batch(rows, schema=every_kind)
        with torch.no_grad():
            logits = model(batch.dense, batch.sparse)
        assert logits.shape == (rows,)
        assert logits.dtype == torch.float32
        assert logits.isfinite().all()


@pytest.mark.parametrize("variant", SMALL)
def test_a_rows_logit_is_its_own(make_batch: MakeBatch, every_kind: FittedSchema, variant: str) -> None:
    """It does not depend on the rows beside it in the batch."""
    model = build(every_kind, *SMALL[variant]).eval()
    rows = every_kind.encode(typed(4))
    together, *alone = (
        Batch.of(EncodedRows.of(some, every_kind.schema)) for some in (rows, *(rows[i : i + 1] for i in range(4)))
    )
    with torch.no_grad():
        logits = torch.cat([model(batch.dense, batch.sparse) for batch in alone])
        torch.testing.assert_close(model(together.dense, together.sparse), logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("names_of_features", [["age", "price"], ["price"], ["item"], ["user"], ["genres"]])
@pytest.mark.parametrize("name", names())
def test_every_ranker_takes_any_schema(name: str, names_of_features: list[str]) -> None:
    """Numbers alone, and a single feature of any kind."""
    features = [feature for feature in EVERY_KIND["features"] if feature["name"] in names_of_features]
    fitted = fit({"label": "click", "features": features})
    model = build(fitted, name, {"generation": {"kernel": 1}} if name == "fgcnn" else {})
    batch = Batch.of(EncodedRows.of(fitted.encode(typed(9)), fitted.schema))
    loss = model(batch.dense, batch.sparse, batch.label)
    loss.backward()
    assert loss.isfinite()
    assert model.eval()(batch.dense, batch.sparse).shape == (9,)


@pytest.mark.parametrize("variant", SMALL)
def test_rows_of_nothing_have_finite_losses_and_gradients(
    make_batch: MakeBatch, every_kind: FittedSchema, variant: str
) -> None:
    """Missing values, values never seen, and empty lists."""
    model = build(every_kind, *SMALL[variant])
    nothing: list[list[str]] = [[]] * 6
    columns = [
        pl.Series("user", [None, "nobody"] * 3, pl.String),
        pl.Series("item", [None, "nothing"] * 3, pl.String),
        pl.Series("age", [None] * 6, pl.Float64),
        pl.Series("income", [None] * 6, pl.Float64),
        pl.Series("history", nothing, pl.List(pl.String)),
        pl.Series("genres", nothing, pl.List(pl.String)),
    ]
    batch = make_batch(6, schema=every_kind, columns=columns)
    loss = model(batch.dense, batch.sparse, batch.label)
    loss.backward()
    assert loss.isfinite()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("variant", SMALL)
def test_every_parameter_gets_a_gradient(make_batch: MakeBatch, every_kind: FittedSchema, variant: str) -> None:
    # In evaluation: in training a batch normalisation takes the bias before it away again, whose gradient is then 0.
    model = build(every_kind, *SMALL[variant]).eval()
    for parameter in model.network.parameters():
        if parameter.ndim < 2 or not parameter.any():
            nn.init.normal_(parameter, std=0.1)  # what starts at 0 would hide what follows behind a ReLU
    batch = make_batch(256, schema=every_kind)
    model(batch.dense, batch.sparse, batch.label).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.count_nonzero() > 0, name


@pytest.mark.parametrize("name", names())
def test_every_ranker_learns_256_rows_by_heart(name: str) -> None:
    draw = torch.Generator().manual_seed(0)
    values = torch.cat([torch.randint(size, (256,), generator=draw) for size in FRAPPE.values()])
    label = torch.randint(2, (256,), generator=draw).float()
    batch = Batch(torch.empty(256, 0), keyed(list(FRAPPE), 256, values, None), label, None)
    torch.manual_seed(0)
    model = build_model(architecture(name), vocabulary_schema(FRAPPE))
    assert log_loss(model, batch) > 0.5
    learn(model.train(), batch, steps=100, learning_rate=0.05)
    assert log_loss(model, batch) < 0.05


@pytest.mark.parametrize("name", names())
def test_every_ranker_learns_by_a_fused_update(fitted: FittedSchema, make_batch: MakeBatch, name: str) -> None:
    torch.manual_seed(0)
    optimizer = TableOptimizer(kind="adagrad", learning_rate=0.5)
    model = build_model(architecture(name, rows=200), fitted, optimizer=optimizer)
    assert not any("table" in parameter for parameter, _ in model.named_parameters())
    batch = make_batch(24)
    learn(model, batch, steps=60)
    assert log_loss(model, batch) < 0.25


@pytest.mark.parametrize("name", names())
def test_every_ranker_learns_from_every_kind_of_feature(
    make_batch: MakeBatch, every_kind: FittedSchema, name: str
) -> None:
    torch.manual_seed(0)
    model = build_model(architecture(name, rows=200), every_kind)
    batch = make_batch(64, schema=every_kind)
    learn(model, batch, steps=100)
    assert log_loss(model, batch) < 0.25
    # What it learnt is in every feature: each alone, of another row, moves the score.
    rows = every_kind.encode(typed(64, seed=1))

    def score(rows: pl.DataFrame) -> Tensor:
        changed = Batch.of(EncodedRows.of(rows, every_kind.schema))
        with torch.no_grad():
            logits: Tensor = model(changed.dense, changed.sparse)
        return logits

    scored = score(rows)
    for feature in every_kind.schema.features:
        moved = score(rows.with_columns(pl.col(feature.name).reverse()))
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


@pytest.mark.parametrize("name", names())
def test_the_same_seed_draws_and_trains_the_same_ranker(fitted: FittedSchema, make_batch: MakeBatch, name: str) -> None:
    batch, runs = make_batch(16), []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        model = build_model(architecture(name, rows=200), fitted)
        first = model(batch.dense, batch.sparse).detach()
        runs.append((first, learn(model, batch, steps=5)))
    assert torch.equal(runs[0][0], runs[1][0])
    assert runs[0][1] == runs[1][1]
    assert not torch.equal(runs[0][0], runs[2][0])


@pytest.mark.parametrize("name", names())
def test_weights_move_from_a_fused_to_a_dense_table(fitted: FittedSchema, make_batch: MakeBatch, name: str) -> None:
    trained = build_model(architecture(name, rows=200), fitted, optimizer=TableOptimizer()).eval()
    served = build_model(architecture(name, rows=200), fitted).eval()
    served.load_state_dict(trained.state_dict())
    batch = make_batch(5)
    torch.testing.assert_close(trained(batch.dense, batch.sparse), served(batch.dense, batch.sparse))
    assert parameter_count(trained) == parameter_count(served)


def test_an_unknown_ranker_is_refused_with_the_nearest(fitted: FittedSchema) -> None:
    with pytest.raises(ConfigError, match="model 'finalmpl' is unknown; did you mean 'finalmlp'"):
        build_model(Architecture(name="finalmpl"), fitted)
