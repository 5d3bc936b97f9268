"""How weights start, in every ranker: as the published recipes have it."""

import pytest
import torch
from torch import nn

from models.catalogue import names
from models.rankers.finalnet import FieldGate, FinalNet
from tests.models.small import build, vocabulary_schema

FITTED = vocabulary_schema({f"f{i}": 9 for i in range(12)})


@pytest.mark.parametrize("name", names())
def test_linear_layers_start_xavier_normal_and_without_bias(name: str) -> None:
    linears = [module for module in build(FITTED, name).network.modules() if isinstance(module, nn.Linear)]
    for linear in linears:
        assert linear.bias is None or not linear.bias.any()
        if linear.weight.numel() >= 2000:
            std = (2 / (linear.in_features + linear.out_features)) ** 0.5
            assert linear.weight.std().item() == pytest.approx(std, rel=0.1)
            assert linear.weight.abs().max() > 2 * std  # as a uniform distribution's never is


def test_convolutions_start_as_torch_has_them() -> None:
    network = build(FITTED, "fgcnn").network
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    for convolution in convolutions:
        bound = (convolution.in_channels * convolution.kernel_size[0]) ** -0.5
        assert convolution.bias is not None
        assert convolution.bias.any()
        assert 0.8 * bound < convolution.weight.abs().max() <= bound
    assert len(convolutions) == 4


def test_a_field_gate_starts_as_one_for_all() -> None:
    network = build(FITTED, "finalnet", {"field_gate": True}).network
    assert isinstance(network, FinalNet)
    assert isinstance(network.gate, FieldGate)
    assert not network.gate.gate.weight.any()
    assert torch.equal(network.gate.gate.bias, torch.ones(12))
