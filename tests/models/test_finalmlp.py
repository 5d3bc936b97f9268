"""FinalMLP: its fusion of two streams, and what its gates see and do."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from features.datasets.batch import Batch
from features.encoding.fitted import FittedSchema
from models.blocks.bilinear_fusion import BilinearFusion
from models.blocks.feature_gate import FeatureGate
from models.rankers.finalmlp import FinalMLP
from tests.models.small import build, vocabulary_schema

MakeBatch = Callable[..., Batch]


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


def test_as_many_heads_as_outputs_weigh_their_products() -> None:
    fusion, o1, o2 = BilinearFusion(6, 6, heads=6), torch.randn(5, 6), torch.randn(5, 6)
    linear = (fusion.linear1(o1) + fusion.linear2(o2)).squeeze(1)
    torch.testing.assert_close(fusion(o1, o2), linear + (o1 * o2) @ fusion.weight.flatten())


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


def gates(network: nn.Module, scopes: tuple[Tensor, ...]) -> list[Tensor]:
    """What each gate multiplies the features by."""
    assert isinstance(network, FinalMLP)
    features, *contexts = scopes
    return [gate(torch.ones_like(features), context) for gate, context in zip(network.gates, contexts, strict=True)]


def test_a_gate_sees_its_context_and_nothing_else(fitted: FittedSchema, make_batch: MakeBatch) -> None:
    model = build(fitted, "finalmlp", {"gates": {"hidden": [5], "context1": ["user"], "context2": []}}).eval()
    one, other = make_batch(6), make_batch(6)
    other.sparse.values()[6:12] = one.sparse.values()[6:12].flip(0)  # the second key: item
    of_one, of_other = (gates(model.network, model.embedding(batch.dense, batch.sparse)) for batch in (one, other))
    assert torch.equal(of_one[0], of_other[0])
    assert not torch.equal(of_one[0], of_one[0][:1].expand_as(of_one[0]))
    # Without context the gate is one constant over the batch.
    assert torch.equal(of_one[1], of_other[1])
    assert torch.equal(of_one[1], of_one[1][:1].expand_as(of_one[1]))


def test_contexts_have_rows_of_their_own_that_learn_from_their_gate_alone(
    fitted: FittedSchema, make_batch: MakeBatch
) -> None:
    settings = {"gates": {"hidden": [5], "context1": ["user"], "context2": ["item"]}}
    model = build(fitted, "finalmlp", settings).eval()
    network, batch = model.network, make_batch(16)
    assert isinstance(network, FinalMLP)
    scopes = model.embedding(batch.dense, batch.sparse)
    assert not torch.equal(scopes[0][:, :4], scopes[1])  # user: among the features, and as a context
    closed = network.gates[0].get_parameter("output.weight")
    nn.init.zeros_(closed)
    first, second = torch.autograd.grad(network(*scopes).sum(), scopes[1:])
    assert first.count_nonzero() == 0
    assert second.count_nonzero() > 0


def test_a_closed_gate_stops_its_streams_gradient(fitted: FittedSchema, make_batch: MakeBatch) -> None:
    settings = {"mlp1": {"hidden": [8]}, "mlp2": {"hidden": [8]}, "gates": {"hidden": [5]}}
    model = build(fitted, "finalmlp", settings).eval()
    network, batch = model.network, make_batch(4)
    assert isinstance(network, FinalMLP)
    nn.init.zeros_(network.fusion.linear2.weight)
    nn.init.zeros_(network.fusion.weight)
    bias = network.gates[0].get_parameter("output.bias")
    for value, closed in ((0.0, False), (-1e4, True)):
        nn.init.constant_(bias, value)
        features, *contexts = model.embedding(batch.dense, batch.sparse)
        (gradient,) = torch.autograd.grad(network(features, *contexts).sum(), features)
        assert (gradient.count_nonzero() == 0) == closed


def test_the_gradients_of_both_streams_add_up() -> None:
    model = build(vocabulary_schema({"user": 9, "item": 9}), "finalmlp", {"gates": {"hidden": [5]}}).eval()
    network, features = model.network, torch.randn(4, 8, requires_grad=True)
    assert isinstance(network, FinalMLP)
    nn.init.zeros_(network.fusion.weight)
    parts = []
    for silenced in ("linear2", "linear1", None):
        weights = {f"fusion.{silenced}.weight": torch.zeros(1, 64)} if silenced else {}
        empty = torch.empty(4, 0)
        logits = torch.func.functional_call(network, weights, (features, empty, empty))
        parts.append(torch.autograd.grad(logits.sum(), features)[0])
    torch.testing.assert_close(parts[0] + parts[1], parts[2])
    assert parts[0].count_nonzero() > 0
