"""Every ranker gives what its paper's equations give: equality with NumPy on the same weights."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from features.datasets.batch import Batch
from features.encoding.fitted import FittedSchema
from models.network import Network
from models.ranker import Ranker
from tests.models.reference import REFERENCES, Array, Weights, finalnet_blocks, sigmoid
from tests.models.small import build
from tests.models.variants import VARIANTS

MakeBatch = Callable[..., Batch]


def drawn(model: Ranker) -> Ranker:
    """The model in evaluation, its biases and its statistics drawn too, as if it had been trained."""
    for name, value in model.network.state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 2)
        elif value.ndim < 2 and value.is_floating_point():
            value.normal_()
    return model.eval()


def read(model: Ranker, batch: Batch) -> tuple[Network, list[torch.Tensor], Weights, list[Array]]:
    """Network and scopes in float64, and both as NumPy: each scope's fields of equal width, ``[B, F, d]``."""
    with torch.no_grad():
        scopes = [scope.double() for scope in model.embedding(batch.dense, batch.sparse)]
    network = model.network.double()
    fields = []
    for scope, shape in zip(scopes, model.embedding.shapes, strict=True):
        width = shape.widths[0] if shape.reads == "vectors" and shape.count else 1
        fields.append(scope.unflatten(1, (-1, width)).numpy())
    return network, scopes, Weights({name: value.numpy() for name, value in network.state_dict().items()}), fields


def cross_entropy(label: Array, logits: Array) -> Any:
    return (label * np.logaddexp(0, -logits) + (1 - label) * np.logaddexp(0, logits)).mean()


@pytest.mark.parametrize("variant", VARIANTS)
def test_logits_equal_numpy(fitted: FittedSchema, make_batch: MakeBatch, variant: str) -> None:
    name, settings = VARIANTS[variant]
    network, scopes, weights, fields = read(drawn(build(fitted, name, settings)), make_batch(9))
    with torch.no_grad():
        logits = network(*scopes).numpy()
    expected = REFERENCES[name](weights, settings, *fields)
    assert expected.std() > 0.01
    np.testing.assert_allclose(logits, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("variant", VARIANTS)
def test_losses_equal_numpy(fitted: FittedSchema, make_batch: MakeBatch, variant: str) -> None:
    name, settings = VARIANTS[variant]
    batch = make_batch(9)
    network, scopes, weights, fields = read(drawn(build(fitted, name, settings)), batch)
    assert batch.label is not None
    with torch.no_grad():
        loss = network.loss(batch.label.double(), *scopes).item()
    label, logits = batch.label.double().numpy(), REFERENCES[name](weights, settings, *fields)
    expected = cross_entropy(label, logits)
    if variant == "finalnet":
        expected += sum(cross_entropy(sigmoid(logits), own) for own in finalnet_blocks(weights, settings, fields[0]))
    if name == "qnn":  # in evaluation its two passes are alike
        expected += 2 * cross_entropy(sigmoid(logits), logits)
    assert loss == pytest.approx(expected, abs=1e-5)
