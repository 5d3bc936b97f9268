"""DCNv2: parameter oracles, equality with plain NumPy, what the crosses reduce to."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from features.datasets.batch import Batch
from features.encoding.fitted import FittedSchema
from models.dcnv2 import CrossNet, DCNv2
from models.ranker import parameter_count
from models.registry import Architecture, build_model
from tests.models.test_finalmlp import FRAPPE, vocabulary_schema

MakeBatch = Callable[..., Batch]


def dcnv2(fitted: FittedSchema, embedding: dict[str, Any] | None = None, **settings: Any) -> DCNv2:
    architecture = Architecture.model_validate(
        {"name": "dcnv2", "settings": settings, "embedding": embedding or {"dim": 4, "rows": 100, "init_std": 1.0}}
    )
    torch.manual_seed(0)
    model = build_model(architecture, fitted)
    assert isinstance(model, DCNv2)
    return model.eval()


# MODELS: published logs of BARS, whose vocabularies have one reserved id, not two.
@pytest.mark.parametrize(
    ("sizes", "cross_layers", "dropout", "parameters"),
    [
        ({name: size - 1 for name, size in FRAPPE.items()}, 4, 0.4, 458_391),
        ({"user": 30_000, "item": 30_000, "tag": 30_239}, 5, 0.2, 1_243_071),
    ],
    ids=["Frappe_x1", "MovielensLatest_x1"],
)
def test_parameters_of_the_published_parallel_models(
    sizes: dict[str, int], cross_layers: int, dropout: float, parameters: int
) -> None:
    mlp = {"hidden": [400, 400, 400], "dropout": dropout, "batch_norm": True}
    model = dcnv2(vocabulary_schema(sizes), {"dim": 10}, cross_layers=cross_layers, mlp=mlp)
    assert parameter_count(model) == parameters


@pytest.mark.parametrize(("rows", "parameters"), [(None, 477_115), (6_826, 272_305), (1_365, 108_475)])
def test_parameters_of_the_published_stacked_models(rows: int | None, parameters: int) -> None:
    """Those of the replication of unified embedding on MovieLens-1M: 13,653 values, and half and a tenth of them."""
    sizes = {"user": 6_000, "movie": 4_000, "gender": 4, "age": 9, "occupation": 23, "zip": 3_617}
    embedding = {"dim": 30, "vocabularies": "unified", "rows": rows} if rows else {"dim": 30}
    model = dcnv2(vocabulary_schema(sizes), embedding, structure="stacked", cross_layers=1, mlp={"hidden": [192]})
    assert parameter_count(model) == parameters


@pytest.mark.parametrize("structure", ["parallel", "stacked"])
def test_logits_equal_numpy(fitted: FittedSchema, make_batch: MakeBatch, structure: str) -> None:
    """The equations of MODELS 9.1, written again in NumPy on the same weights."""
    model = dcnv2(fitted, structure=structure, cross_layers=2, mlp={"hidden": [12, 6]})
    for layer in model.cross.layers:
        nn.init.normal_(layer.bias)  # type: ignore[arg-type]
    batch = make_batch(9)
    with torch.no_grad():
        logits = model(batch.dense, batch.sparse).numpy()
        e = model.embedding(batch.dense, batch.sparse)[0].double().numpy()
    w = {name: value.double().numpy() for name, value in model.state_dict().items()}

    def linear(x: Any, name: str) -> Any:
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def mlp(x: Any) -> Any:
        return np.maximum(linear(np.maximum(linear(x, "mlp.0"), 0), "mlp.2"), 0)

    crossed = e * linear(e, "cross.layers.0") + e
    crossed = e * linear(crossed, "cross.layers.1") + crossed
    hidden = np.concatenate([crossed, mlp(e)], 1) if structure == "parallel" else mlp(crossed)
    np.testing.assert_allclose(logits, linear(hidden, "output")[:, 0], rtol=1e-5, atol=1e-5)


def test_without_weights_the_crosses_pass_the_features_unchanged() -> None:
    cross = CrossNet(6, 3)
    for parameter in cross.parameters():
        nn.init.zeros_(parameter)
    features = torch.randn(5, 6)
    assert torch.equal(cross(features), features)


def test_with_equal_rows_of_weights_a_cross_is_that_of_the_first_version() -> None:
    cross, w = CrossNet(6, 1), torch.randn(6)
    with torch.no_grad():
        cross.layers[0].weight.copy_(w.expand(6, 6))  # type: ignore[operator]
        cross.layers[0].bias.zero_()  # type: ignore[operator]
    x0 = torch.randn(5, 6)
    torch.testing.assert_close(cross(x0), x0 * (x0 @ w)[:, None] + x0)


def test_each_layer_adds_one_to_the_degree() -> None:
    cross = CrossNet(4, 2).double()
    nn.init.zeros_(cross.layers[0].bias)  # type: ignore[arg-type]
    nn.init.zeros_(cross.layers[1].bias)  # type: ignore[arg-type]
    x = torch.randn(1, 4, dtype=torch.float64)
    # Along a line through 0 the output is a polynomial of the step; differences of the degree + 1st order vanish.
    along = torch.cat([cross(step * x) for step in range(5)]).detach()
    assert along.diff(n=3, dim=0).abs().min() > 1e-6
    torch.testing.assert_close(along.diff(n=4, dim=0), torch.zeros(1, 4, dtype=torch.float64))


@pytest.mark.parametrize("structure", ["parallel", "stacked"])
def test_every_parameter_gets_a_gradient(fitted: FittedSchema, make_batch: MakeBatch, structure: str) -> None:
    model = dcnv2(fitted, structure=structure).train()
    batch = make_batch(64)
    model(batch.dense, batch.sparse).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.count_nonzero() > 0, name


def test_the_crosses_pass_a_numerical_gradient_check() -> None:
    cross = CrossNet(4, 2).double()
    assert torch.autograd.gradcheck(cross, (torch.randn(3, 4, dtype=torch.float64, requires_grad=True),))


def test_only_in_parallel_does_the_perceptron_read_the_features_themselves(
    fitted: FittedSchema, make_batch: MakeBatch
) -> None:
    batch = make_batch(5)
    for structure in ("parallel", "stacked"):
        model = dcnv2(fitted, structure=structure, cross_layers=1, mlp={"hidden": [8]})
        (features,) = model.embedding(batch.dense, batch.sparse)
        read: list[torch.Tensor] = []
        model.mlp.register_forward_pre_hook(lambda _, inputs, read=read: read.append(inputs[0]))
        model(batch.dense, batch.sparse)
        assert torch.equal(read[0], features) == (structure == "parallel")
