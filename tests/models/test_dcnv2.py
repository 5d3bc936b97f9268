"""DCNv2: what its crosses are, and where its perceptron reads."""

from collections.abc import Callable

import torch
from torch import nn

from features.datasets.batch import Batch
from features.encoding.fitted import FittedSchema
from models.blocks.cross_net import CrossNet
from models.rankers.dcnv2 import DCNv2
from tests.models.small import build

MakeBatch = Callable[..., Batch]


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


def test_only_in_parallel_does_the_perceptron_read_the_features_themselves(
    fitted: FittedSchema, make_batch: MakeBatch
) -> None:
    batch = make_batch(5)
    for structure in ("parallel", "stacked"):
        model = build(fitted, "dcnv2", {"structure": structure, "cross_layers": 1, "mlp": {"hidden": [8]}})
        assert isinstance(model.network, DCNv2)
        assert model.network.mlp is not None
        (features,) = model.embedding(batch.dense, batch.sparse)
        read: list[torch.Tensor] = []
        model.network.mlp.register_forward_pre_hook(lambda _, inputs, read=read: read.append(inputs[0]))
        model(batch.dense, batch.sparse)
        assert torch.equal(read[0], features) == (structure == "parallel")
