"""AutoInt: what its attention between fields is, and what it becomes without parts of itself.

Shapes: B batch, F fields, H heads, a width of a head.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from features.datasets.batch import Batch
from features.encoding.fitted import FittedSchema
from models.blocks.attention import attend
from models.blocks.field_attention import AttentionSettings, FieldAttention
from models.rankers.autoint import AutoInt
from tests.models.small import build, vocabulary_schema

MakeBatch = Callable[..., Batch]


def drawn(inputs: int, **settings: Any) -> FieldAttention:
    torch.manual_seed(0)
    return FieldAttention(inputs, AttentionSettings(**settings)).eval()


def fields(width: int = 6) -> Tensor:
    """Three rows of five fields."""
    return torch.randn(3, 5, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("scale", [False, True])
def test_the_attention_of_a_field_sums_to_one(scale: bool) -> None:
    layer = drawn(6, width=8, heads=4, scale=scale)
    attention = layer.attention(fields())
    assert attention.shape == (3, 4, 5, 5)
    assert attention.min() >= 0
    torch.testing.assert_close(attention.sum(3), torch.ones(3, 4, 5))


def test_the_attention_that_is_shown_is_the_one_that_is_used() -> None:
    layer = drawn(6, width=8, heads=2, residual="none", scale=True)
    values = layer.value(fields()).unflatten(2, (2, 4)).transpose(1, 2)  # [B, H, F, a]
    attended = layer.attention(fields()) @ values
    torch.testing.assert_close(layer(fields()), attended.transpose(1, 2).flatten(2).relu())


def test_scores_are_divided_by_the_root_of_a_heads_width() -> None:
    """Of 4 numbers: half the scores, so the attention of half the queries."""
    scaled, plain = drawn(6, width=8, heads=2, scale=True), drawn(6, width=8, heads=2)
    with torch.no_grad():
        plain.query.weight.div_(2)
    torch.testing.assert_close(scaled.attention(fields()), plain.attention(fields()))


@pytest.mark.parametrize("zeroed", ["query", "key"])
def test_without_scores_a_field_gets_the_mean_of_the_values(zeroed: str) -> None:
    layer = drawn(6, width=8, heads=2, residual="none")
    nn.init.zeros_(layer.get_parameter(f"{zeroed}.weight"))
    torch.testing.assert_close(layer.attention(fields()), torch.full((3, 2, 5, 5), 1 / 5))
    mean = layer.value(fields()).mean(1, keepdim=True)
    torch.testing.assert_close(layer(fields()), mean.relu().expand(3, 5, 8))


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_heads_are_a_loop_over_slices_of_the_width(heads: int) -> None:
    layer = drawn(6, width=8, heads=heads)
    x, a = fields(), 8 // heads
    out = []
    for h in range(heads):
        query, key, value = (
            linear(x)[:, :, h * a : (h + 1) * a] for linear in (layer.query, layer.key, layer.value)
        )  # [B, F, a]
        out.append(torch.softmax(query @ key.transpose(1, 2), dim=2) @ value)
    assert layer.residual is not None
    torch.testing.assert_close(layer(x), (torch.cat(out, 2) + layer.residual(x)).relu())


@pytest.mark.parametrize("residual", ["projection", "identity", "none"])
def test_permuted_fields_are_attended_to_alike(residual: str) -> None:
    layers = nn.Sequential(*(drawn(8, width=8, residual=residual, norm="before") for _ in range(2)))
    order = torch.randperm(5, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(layers(fields(8)[:, order]), layers(fields(8))[:, order])


def test_without_values_the_identity_is_left() -> None:
    layer = drawn(8, width=8, residual="identity")
    nn.init.zeros_(layer.value.weight)
    assert torch.equal(layer(fields(8)), fields(8).relu())


def test_the_residual_is_a_projection_wherever_the_width_changes() -> None:
    assert drawn(6, width=8, residual="identity").residual is not None
    assert drawn(8, width=8, residual="identity").residual is None
    assert drawn(8, width=8, residual="projection").residual is not None
    assert drawn(6, width=8, residual="none").residual is None


def test_a_norm_stands_before_or_after_the_activation() -> None:
    before, after = drawn(6, width=8, norm="before"), drawn(6, width=8, norm="after")
    assert before(fields()).min() == 0
    torch.testing.assert_close(after(fields()).mean(2), torch.zeros(3, 5), atol=1e-5, rtol=0)


def test_the_authors_queries_and_keys_have_a_bias_and_a_relu() -> None:
    layer = drawn(6, width=8, heads=1, activation=True)
    query, key = layer.query(fields()).relu(), layer.key(fields()).relu()
    expected = torch.softmax(query @ key.transpose(1, 2), dim=2)
    torch.testing.assert_close(layer.attention(fields())[:, 0], expected)
    assert layer.query.bias is not None
    assert drawn(6, width=8).query.bias is None


def test_dropout_is_of_the_attention_and_in_training_only() -> None:
    layer = drawn(6, width=8, residual="none", dropout=0.5)
    assert torch.equal(layer(fields()), layer(fields()))
    layer.train()
    assert not torch.equal(layer(fields()), layer(fields()))


def autoint(fitted: FittedSchema, **settings: Any) -> AutoInt:
    network = build(fitted, "autoint", settings).eval().network
    assert isinstance(network, AutoInt)
    return network


def test_without_layers_it_is_linear_in_the_vectors(fitted: FittedSchema) -> None:
    network = autoint(fitted, attention={"layers": 0})
    vectors = torch.randn(7, 20)
    expected = (vectors @ network.output.weight.T + network.output.bias).squeeze(1)
    torch.testing.assert_close(network(vectors), expected)


def test_autoint_plus_without_the_attentions_output_is_wide_and_deep(fitted: FittedSchema) -> None:
    network = autoint(fitted, mlp={"hidden": [8, 6]}, wide=True)
    nn.init.zeros_(network.output.weight)
    deep = build(fitted, "wide_deep", {"mlp": {"hidden": [8, 6]}}).eval().network
    assert network.mlp is not None
    deep.get_submodule("mlp").load_state_dict(network.mlp.state_dict())
    vectors, weights = torch.randn(7, 20), torch.randn(7, 5)
    torch.testing.assert_close(network(vectors, weights), deep(vectors, weights))


def test_dropout_of_the_embedding_is_in_training_only(fitted: FittedSchema) -> None:
    network = autoint(fitted, attention={"layers": 0}, embedding_dropout=0.5)
    vectors = torch.randn(7, 20)
    assert torch.equal(network(vectors), network(vectors))
    network.train()
    assert not torch.equal(network(vectors), network(vectors))


def test_attention_is_given_row_by_row_and_layer_by_layer(fitted: FittedSchema, make_batch: MakeBatch) -> None:
    model = build(fitted, "autoint", {"attention": {"layers": 3, "width": 4}, "wide": True}).eval()
    network, batch = model.network, make_batch(7)
    assert isinstance(network, AutoInt)
    scopes = model.embedding(batch.dense, batch.sparse)
    attention = network.attention(*scopes)
    assert attention.shape == (7, 3, 2, 5, 5)
    torch.testing.assert_close(attention.sum(4), torch.ones(7, 3, 2, 5))
    # The first layer attends to the vectors themselves, the second to what the first gave.
    first, second = network.layers[0], network.layers[1]
    assert isinstance(first, FieldAttention)
    assert isinstance(second, FieldAttention)
    first_fields = scopes[0].unflatten(1, (5, 4))
    torch.testing.assert_close(attention[:, 0], first.attention(first_fields))
    torch.testing.assert_close(attention[:, 1], second.attention(first(first_fields)))


def test_rows_in_blocks_learn_as_rows_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    fitted = vocabulary_schema({f"f{i}": 9 for i in range(4)})
    network = build(fitted, "autoint", {"attention": {"layers": 2, "width": 8, "heads": 2}}).network
    vectors = torch.randn(10, 16, requires_grad=True)
    gradients = []
    for weights in (2**21, 3 * 2 * 4**2):  # all rows at once; three at a time
        monkeypatch.setattr("models.rankers.autoint._BLOCK", weights)
        logits = network.train()(vectors)
        gradients.append(torch.autograd.grad(logits.square().sum(), [vectors, *network.parameters()]))
    for whole, blocks in zip(*gradients, strict=True):
        torch.testing.assert_close(blocks, whole)


def test_attention_in_bf16_is_that_of_fp32_but_for_rounding() -> None:
    layer = FieldAttention(8, AttentionSettings(width=8, heads=2, scale=True))
    vectors = torch.randn(5, 6, 8)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = layer(vectors)
    torch.testing.assert_close(rounded.float(), layer(vectors), rtol=0.05, atol=0.05)


@pytest.mark.parametrize("positions", [1, 5, 40])
def test_attention_with_a_backward_pass_of_its_own_is_torchs(positions: int) -> None:
    """Over few positions and over many; scores beyond what an exponential holds."""
    projected = 20 * torch.randn(4, positions, 3, 2, 6, dtype=torch.float64)
    outer = torch.randn(4, positions, 2, 6, dtype=torch.float64)
    results = []
    for own in (False, True):
        x = projected.clone().requires_grad_()
        query, key, value = x.permute(2, 0, 3, 1, 4)
        torchs = nn.functional.scaled_dot_product_attention(query, key, value, scale=1.0).transpose(1, 2)
        attended = attend(x, 0.0) if own else torchs
        results.append((attended, *torch.autograd.grad(attended, x, outer)))
    torch.testing.assert_close(results[1], results[0])


def test_its_dropout_takes_weights_and_their_gradients() -> None:
    """Of a given draw it is linear in the values, so gradient times values is the output times its gradient."""
    projected = torch.randn(4, 5, 3, 2, 6, dtype=torch.float64, requires_grad=True)
    torch.manual_seed(3)
    attended = attend(projected, 0.5)
    assert not torch.allclose(attended, attend(projected, 0.0))
    outer = torch.randn_like(attended)
    (gradient,) = torch.autograd.grad(attended, projected, outer)
    values = projected[:, :, 2]
    torch.testing.assert_close((gradient[:, :, 2] * values).sum(), (attended * outer).sum())

    def drawn_alike(x: Tensor) -> Tensor:
        torch.manual_seed(3)
        return attend(x, 0.5)

    assert torch.autograd.gradcheck(drawn_alike, projected)
