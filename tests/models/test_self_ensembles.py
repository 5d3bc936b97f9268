"""The losses of rankers whose parts learn from their mean: FinalNet of two blocks, and QNN's two dropout passes."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.rankers.finalnet import FieldGate, FinalNet
from models.rankers.qnn import QNN
from tests.models.small import build, vocabulary_schema

FITTED = vocabulary_schema({"user": 9, "item": 9, "city": 9})
VECTORS = torch.randn(16, 12, generator=torch.Generator().manual_seed(3))
LABEL = torch.arange(16).remainder(2).float()


def finalnet(**settings: object) -> FinalNet:
    document = {"block1": {"hidden": [8]}, "block2": {"hidden": [6, 4]}, **settings}
    network = build(FITTED, "finalnet", document).network
    assert isinstance(network, FinalNet)
    return network


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, target)


def test_blocks_learn_from_their_mean_and_the_mean_from_the_label() -> None:
    network = finalnet().eval()
    first, second = network.block1(VECTORS), network.block2(VECTORS) if network.block2 else None
    assert second is not None
    mean = (first + second) / 2
    torch.testing.assert_close(network(VECTORS), mean)
    taught = torch.sigmoid(mean)
    expected = cross_entropy(mean, LABEL) + cross_entropy(first, taught) + cross_entropy(second, taught)
    torch.testing.assert_close(network.loss(LABEL, VECTORS), expected)


def test_the_mean_does_not_learn_from_its_blocks() -> None:
    """What a block is taught is a constant: the gradient is that of the loss with the teaching probability frozen."""
    network = finalnet().eval()
    taught = torch.sigmoid(network(VECTORS)).detach()
    assert network.block2 is not None
    blocks = [network.block1(VECTORS), network.block2(VECTORS)]
    frozen = cross_entropy((blocks[0] + blocks[1]) / 2, LABEL) + sum(cross_entropy(own, taught) for own in blocks)
    parameters = list(network.parameters())
    expected = torch.autograd.grad(frozen, parameters)
    for gradient, other in zip(torch.autograd.grad(network.loss(LABEL, VECTORS), parameters), expected, strict=True):
        torch.testing.assert_close(gradient, other)


def test_one_block_learns_from_the_label_alone() -> None:
    network = finalnet(block2=None).eval()
    torch.testing.assert_close(network.loss(LABEL, VECTORS), cross_entropy(network(VECTORS), LABEL))


def test_the_loss_drops_units_once_for_both_of_its_terms() -> None:
    """A pass gives the blocks' logits and their mean, so the mean is that of the same dropped units."""
    network = finalnet(block1={"hidden": [8], "dropout": 0.5, "batch_norm": False}).train()
    torch.manual_seed(1)
    loss = network.loss(LABEL, VECTORS)
    torch.manual_seed(1)
    assert network.block2 is not None
    blocks = [network.block1(VECTORS), network.block2(VECTORS)]
    mean = (blocks[0] + blocks[1]) / 2
    taught = torch.sigmoid(mean)
    expected = cross_entropy(mean, LABEL) + sum(cross_entropy(own, taught) for own in blocks)
    torch.testing.assert_close(loss, expected)


def test_the_field_gate_starts_open() -> None:
    fields = torch.randn(5, 3, 4)
    assert torch.equal(FieldGate(3)(fields), torch.cat([fields, fields], 1))


def test_only_the_first_block_reads_gated_fields() -> None:
    network = finalnet(field_gate=True)
    assert network.gate is not None
    nn.init.normal_(network.gate.gate.weight)
    assert network.block2 is not None
    fields = VECTORS.unflatten(1, (3, 4))
    blocks = torch.stack([network.eval().block1(network.gate(fields).flatten(1)), network.block2(VECTORS)])
    torch.testing.assert_close(network(VECTORS), blocks.mean(0))


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_two_dropout_passes_learn_from_their_mean(dropout: float) -> None:
    network = build(FITTED, "qnn", {"layers": 1, "rows": 2, "dropout": dropout, "batch_norm": False}).network
    assert isinstance(network, QNN)
    torch.manual_seed(1)
    loss = network.loss(LABEL, VECTORS)
    torch.manual_seed(1)
    passes = [network(VECTORS), network(VECTORS)]
    assert torch.equal(passes[0], passes[1]) == (dropout == 0)
    # Other than FinalNet's blocks, its passes are averaged as probabilities.
    mean = (torch.sigmoid(passes[0]) + torch.sigmoid(passes[1])) / 2
    taught = mean.detach()
    expected = F.binary_cross_entropy(mean, LABEL) + sum(cross_entropy(own, taught) for own in passes)
    torch.testing.assert_close(loss, expected)
    parameters = list(network.parameters())
    gradients = torch.autograd.grad(loss, parameters)
    for gradient, other in zip(gradients, torch.autograd.grad(expected, parameters), strict=True):
        torch.testing.assert_close(gradient, other)


def test_in_evaluation_the_passes_are_one() -> None:
    network = build(FITTED, "qnn", {"dropout": 0.5}).network.eval()
    assert torch.equal(network(VECTORS), network(VECTORS))
