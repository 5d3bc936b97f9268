"""FinalMLP: parameter oracle, reduction laws, gates, equality with plain NumPy."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from common.errors import ConfigError
from features.datasets.batch import Batch
from features.encoding.fitted import FittedSchema
from features.encoding.vocabulary import Vocabulary
from features.schema import parse_schema
from models.finalmlp import BilinearFusion, FeatureGate, FinalMLP
from models.ranker import parameter_count
from models.registry import Architecture, build_model

MakeBatch = Callable[..., Batch]
FRAPPE = {
    "user": 956, "item": 4084, "daytime": 9, "weekday": 9, "isweekend": 4,
    "homework": 5, "cost": 4, "weather": 11, "country": 82, "city": 235,
}  # fmt: skip


def vocabulary_schema(sizes: dict[str, int]) -> FittedSchema:
    """A schema of vocabulary features of known sizes, the two reserved ids included."""
    features = [{"name": name, "kind": "categorical", "encoding": "vocabulary"} for name in sizes]
    schema = parse_schema({"label": "click", "features": features}, source="test")
    vocabularies = {n: Vocabulary([f"{i}" for i in range(size - 2)]) for n, size in sizes.items()}
    return FittedSchema(schema, {}, {}, vocabularies)


def finalmlp(fitted: FittedSchema, *, dim: int = 4, **settings: Any) -> FinalMLP:
    rows = None if len(fitted.vocabularies) == len(fitted.schema.sparse) else 100
    architecture = Architecture.model_validate(
        {"name": "finalmlp", "settings": settings, "embedding": {"dim": dim, "rows": rows}}
    )
    torch.manual_seed(0)
    model = build_model(architecture, fitted)
    assert isinstance(model, FinalMLP)
    with torch.no_grad():
        assert model.embedding.lookup is not None
        model.embedding.lookup.table.normal_()
    return model.eval()


# MODELS: published logs of BARS, "FinalMLP" on Frappe_x1, MovielensLatest_x1 and Avazu_x1.
def test_parameters_of_the_published_frappe_model() -> None:
    model = finalmlp(
        vocabulary_schema(FRAPPE),
        dim=10,
        mlp1={"hidden": [400], "dropout": 0.4, "batch_norm": True},
        mlp2={"hidden": [100], "dropout": 0.4, "batch_norm": True},
        gates={"hidden": [400], "context1": ["user"], "context2": ["item"]},
        heads=5,
    )
    assert parameter_count(model) == 253_392


def test_parameters_of_the_published_movielens_model() -> None:
    # 90,242 rows in all; the gates have no context, so their input is one learned vector.
    model = finalmlp(
        vocabulary_schema({"user": 30_000, "item": 30_000, "tag": 30_242}),
        dim=10,
        mlp1={"hidden": [400], "dropout": 0.4, "batch_norm": True},
        mlp2={"hidden": [800], "dropout": 0.2, "batch_norm": True},
        gates={"hidden": [800]},
        heads=10,
    )
    assert parameter_count(model) == 1_040_902


def test_parameters_of_the_published_avazu_model() -> None:
    sizes = {f"f{i}": 59_000 for i in range(21)} | {"f21": 1_298_621 - 21 * 59_000}
    model = finalmlp(
        vocabulary_schema(sizes),
        dim=10,
        mlp1={"hidden": [400, 400, 400], "dropout": 0.3, "batch_norm": True},
        mlp2={"hidden": [800], "dropout": 0.3, "batch_norm": True},
        gates={"hidden": [800]},
        heads=10,
    )
    assert parameter_count(model) == 13_979_472


def test_logits_equal_numpy(fitted: FittedSchema, make_batch: MakeBatch) -> None:
    """The equations of MODELS 2.1, written again in NumPy on the same weights."""
    model = finalmlp(
        fitted,
        mlp1={"hidden": [12, 6], "batch_norm": True},
        mlp2={"hidden": [4]},
        gates={"hidden": [5], "context1": ["user", "age"], "context2": []},
        heads=2,
    )
    bn = model.mlp1[1]
    assert isinstance(bn, nn.BatchNorm1d)
    assert bn.running_mean is not None
    assert bn.running_var is not None
    bn.running_mean.normal_()
    bn.running_var.uniform_(0.5, 2)
    batch = make_batch(9)
    with torch.no_grad():
        logits = model(batch.dense, batch.sparse).numpy()
        e, c1, c2 = (scope.numpy() for scope in model.embedding(batch.dense, batch.sparse))
    w = {name: value.numpy().astype(np.float64) for name, value in model.state_dict().items()}

    def relu(x: Any) -> Any:
        return np.maximum(x, 0)

    def linear(x: Any, name: str) -> Any:
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def gated(context: Any, s: int) -> Any:
        hidden = relu(linear(context, f"gates.{s}.mlp.0"))
        return 2 / (1 + np.exp(-linear(hidden, f"gates.{s}.output"))) * e

    assert c2.shape == (9, 0)
    e1, e2 = gated(c1, 0), gated(w["gates.1.bias"], 1)
    h = linear(e1, "mlp1.0")
    h = (h - w["mlp1.1.running_mean"]) / np.sqrt(w["mlp1.1.running_var"] + 1e-5) * w["mlp1.1.weight"] + w["mlp1.1.bias"]
    second_layer = next(name for name in w if name.startswith("mlp1.") and w[name].shape == (6, 12))
    o1 = linear(relu(h), second_layer.removesuffix(".weight"))
    second_norm = f"mlp1.{int(second_layer.split('.')[1]) + 1}"
    o1 = relu((o1 - w[f"{second_norm}.running_mean"]) / np.sqrt(w[f"{second_norm}.running_var"] + 1e-5))
    o2 = relu(linear(e2, "mlp2.0"))
    expected = linear(o1, "fusion.linear1")[:, 0] + linear(o2, "fusion.linear2")[:, 0]
    for head in range(2):
        expected += np.einsum(
            "bi,ij,bj->b", o1[:, head * 3 : head * 3 + 3], w["fusion.weight"][head], o2[:, head * 2 : head * 2 + 2]
        )
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)


def test_one_head_is_the_plain_bilinear_form_and_several_are_its_diagonal_blocks() -> None:
    o1, o2 = torch.randn(5, 6), torch.randn(5, 4)
    several = BilinearFusion(6, 4, heads=2)
    one = BilinearFusion(6, 4, heads=1)
    with torch.no_grad():
        block = torch.block_diag(*several.weight)
        one.weight.copy_(block.unsqueeze(0))
        one.linear1.load_state_dict(several.linear1.state_dict())
        one.linear2.load_state_dict(several.linear2.state_dict())
        torch.testing.assert_close(one(o1, o2), several(o1, o2))
        plain = torch.einsum("bi,ij,bj->b", o1, block, o2)
        linear = (one.linear1(o1) + one.linear2(o2)).squeeze(1)
        torch.testing.assert_close(one(o1, o2), plain + linear)


def test_the_fusion_starts_as_small_as_the_published_one() -> None:
    torch.manual_seed(0)
    fusion = BilinearFusion(400, 100, heads=5)
    assert fusion.weight.std().item() == pytest.approx((2 / (1 + 5 * 80 * 20)) ** 0.5, rel=0.05)


def test_a_gate_at_zero_passes_the_features_unchanged() -> None:
    gate = FeatureGate(3, constant=4, hidden=(5,), outputs=8)
    nn.init.zeros_(gate.output.weight)
    nn.init.zeros_(gate.output.bias)
    features = torch.randn(6, 8)
    assert torch.equal(gate(features, torch.randn(6, 3)), features)


def test_without_fusion_weights_and_gates_it_is_two_perceptrons(fitted: FittedSchema, make_batch: MakeBatch) -> None:
    model = finalmlp(fitted, mlp1={"hidden": [8]}, mlp2={"hidden": [6]}, gates=None, heads=2)
    nn.init.zeros_(model.fusion.weight)
    batch = make_batch(5)
    (e,) = model.embedding(batch.dense, batch.sparse)
    first, second = model.fusion.linear1(model.mlp1(e)), model.fusion.linear2(model.mlp2(e))
    torch.testing.assert_close(model(batch.dense, batch.sparse), (first + second).squeeze(1))


def test_a_gate_sees_its_context_and_nothing_else(fitted: FittedSchema, make_batch: MakeBatch) -> None:
    model = finalmlp(fitted, gates={"hidden": [5], "context1": ["user"], "context2": []})
    one, other = make_batch(6), make_batch(6)
    other.sparse.values()[6:12] = one.sparse.values()[6:12].flip(0)  # the second key: item
    gates = []
    for batch in (one, other):
        e, c1, c2 = model.embedding(batch.dense, batch.sparse)
        ones = torch.ones_like(e)
        gates.append((model.gates[0](ones, c1), model.gates[1](ones, c2)))
    assert torch.equal(gates[0][0], gates[1][0])
    # Without context the gate is one constant over the batch.
    assert torch.equal(gates[0][1], gates[0][1][:1].expand_as(gates[0][1]))
    assert not torch.equal(gates[0][0], gates[0][0][:1].expand_as(gates[0][0]))


def test_a_closed_gate_stops_its_streams_gradient(fitted: FittedSchema, make_batch: MakeBatch) -> None:
    model = finalmlp(fitted, mlp1={"hidden": [8]}, mlp2={"hidden": [8]}, gates={"hidden": [5]})
    nn.init.constant_(model.gates[0].output.bias, -1e4)  # type: ignore[union-attr, arg-type]
    nn.init.zeros_(model.fusion.linear2.weight)
    nn.init.zeros_(model.fusion.weight)
    batch = make_batch(4)
    model(batch.dense, batch.sparse).sum().backward()
    assert model.embedding.lookup is not None
    gradient = model.embedding.lookup.table.grad
    assert gradient is not None
    assert gradient.count_nonzero() == 0


def test_every_parameter_gets_a_gradient(fitted: FittedSchema, make_batch: MakeBatch) -> None:
    model = finalmlp(fitted, gates={"hidden": [5], "context1": ["user", "age"], "context2": ["history"]}).train()
    batch = make_batch(64)
    model(batch.dense, batch.sparse).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.count_nonzero() > 0, name


def test_bilinear_fusion_and_gate_pass_a_numerical_gradient_check() -> None:
    fusion = BilinearFusion(4, 6, heads=2).double()
    a = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    b = torch.randn(3, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(fusion, (a, b))
    gate = FeatureGate(4, constant=2, hidden=(3,), outputs=6).double()
    assert torch.autograd.gradcheck(gate, (b, a))


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_logits_are_one_a_row_and_finite(fitted: FittedSchema, make_batch: MakeBatch, size: int) -> None:
    batch = make_batch(size)
    logits = finalmlp(fitted)(batch.dense, batch.sparse)
    assert logits.shape == (size,)
    assert logits.isfinite().all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"heads": 3, "mlp1": {"hidden": [400]}}, "heads 3 does not divide 400, the last width of mlp1; its divisors"),
        ({"gates": {"context1": ["usr"]}}, "names feature 'usr', which the schema lacks; did you mean 'user'"),
        ({"mlp3": {}}, "unknown key 'mlp3'; did you mean 'mlp"),
        ({"mlp1": {"hidden": []}}, "mlp1.hidden"),
        ({"mlp1": {"hidden": [8], "dropout": 1.5}}, "mlp1.dropout"),
    ],
)
def test_settings_that_cannot_work_are_refused(fitted: FittedSchema, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        finalmlp(fitted, **settings)
