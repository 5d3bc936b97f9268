"""MaskNet: whose scale its blocks see, and what it drops."""

from typing import Any

import torch
from torch import Tensor, nn

from models.rankers.masknet import MaskNet
from tests.models.small import build, vocabulary_schema

FITTED = vocabulary_schema({"user": 9, "item": 9, "city": 9})
VECTORS = torch.randn(7, 12, generator=torch.Generator().manual_seed(1))


def masknet(**settings: Any) -> MaskNet:
    network = build(FITTED, "masknet", {"blocks": 2, "block_width": 6, **settings}).network.eval()
    assert isinstance(network, MaskNet)
    return network


def blind(network: MaskNet) -> None:
    """Give every block a mask that reads nothing."""
    for block in network.blocks:
        nn.init.zeros_(block.get_parameter("mask.2.weight"))
        nn.init.ones_(block.get_parameter("mask.2.bias"))


def rescaled(vectors: Tensor) -> Tensor:
    """The second field's numbers, three times as large and moved."""
    fields: Tensor = vectors.unflatten(1, (3, 4)).clone()
    fields[:, 1] = 3 * fields[:, 1] + 2
    return fields.flatten(1)


def test_only_its_masks_see_the_scale_of_a_field() -> None:
    for structure in ("parallel", "serial"):
        network = masknet(structure=structure)
        assert not torch.allclose(network(rescaled(VECTORS)), network(VECTORS), atol=1e-3)
        blind(network)
        assert network(VECTORS).std() > 0.05
        torch.testing.assert_close(network(rescaled(VECTORS)), network(VECTORS), rtol=1e-3, atol=1e-4)


def test_without_the_norm_of_the_vectors_blocks_see_it_too() -> None:
    network = masknet(embedding_norm=False)
    blind(network)
    assert not torch.allclose(network(rescaled(VECTORS)), network(VECTORS), atol=1e-3)


def test_dropout_is_behind_the_blocks_and_in_training_only() -> None:
    network = masknet(dropout=0.5, mlp={"hidden": [4]})
    assert torch.equal(network(VECTORS), network(VECTORS))
    block = network.blocks[0]
    whole = block(VECTORS, VECTORS)
    seen = [block.train()(VECTORS, VECTORS) for _ in range(50)]
    kept = torch.stack([dropped != 0 for dropped in seen]).float().mean(0)[whole > 0]
    assert 0.4 < kept.mean() < 0.6
    for dropped in seen:
        torch.testing.assert_close(dropped, torch.where(dropped == 0, 0.0, 2 * whole))
