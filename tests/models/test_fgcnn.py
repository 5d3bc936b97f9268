"""FGCNN: what it generates of which coordinates, and any other ranker as its classifier.

Shapes: B batch, F fields, d width of a field, c channels, H height, G generated fields.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from features.datasets.batch import Batch
from features.encoding.fitted import FittedSchema
from models.blocks.feature_generation import FeatureGeneration, GenerationSettings
from models.catalogue import names
from models.rankers.fgcnn import FGCNN
from tests.models.small import build
from tests.models.variants import GENERATION

MakeBatch = Callable[..., Batch]


def generation(fields: int, width: int, **settings: Any) -> FeatureGeneration:
    torch.manual_seed(0)
    made = FeatureGeneration(
        fields, width, GenerationSettings(**{"channels": (2, 3), "kernel": 3, "recombined": 2, **settings})
    )
    for convolution in made.convolutions:
        nn.init.normal_(convolution.get_parameter("weight"))
    return made.eval()


def fgcnn(fitted: FittedSchema, classifier: dict[str, Any] | None = None, **settings: Any) -> FGCNN:
    document = {"generation": GENERATION, "classifier": classifier or {"name": "ipnn"}, **settings}
    network = build(fitted, "fgcnn", document).eval().network
    assert isinstance(network, FGCNN)
    return network


@pytest.mark.parametrize("share", [True, False])
def test_without_blocks_it_is_its_classifier(fitted: FittedSchema, make_batch: MakeBatch, share: bool) -> None:
    classifier = {"name": "ipnn", "mlp": {"hidden": [8, 6]}}
    settings = {"generation": {"channels": []}, "classifier": classifier, "share_embedding": share}
    model = build(fitted, "fgcnn", settings).eval()
    alone = build(fitted, "ipnn", {"mlp": {"hidden": [8, 6]}}).eval()
    alone.network.load_state_dict(model.network.get_submodule("classifier").state_dict())
    batch = make_batch(7)
    vectors = model.embedding(batch.dense, batch.sparse)[0]
    torch.testing.assert_close(model(batch.dense, batch.sparse), alone.network(vectors))


@pytest.mark.parametrize(
    ("fields", "pool", "pooling", "heights"),
    [
        (39, 2, "ceil", [20, 10, 5, 3]),
        (39, 2, "floor", [19, 9, 4, 2]),
        (13, 2, "ceil", [7, 4, 2, 1]),
        (10, 3, "ceil", [4, 2, 1, 1]),
        (100, 3, "floor", [33, 11, 3, 1]),
        (5, 9, "ceil", [1, 1, 1, 1]),
        (5, 1, "floor", [5, 5, 5, 5]),
    ],
)
def test_fields_are_pooled_by_the_rule(fields: int, pool: int, pooling: str, heights: list[int]) -> None:
    made = generation(fields, 2, channels=(2, 2, 2, 2), recombined=3, pool=pool, pooling=pooling)
    assert made.outputs == 3 * sum(heights)
    assert made(torch.randn(2, fields, 2)).shape == (2, made.outputs, 2)


@pytest.mark.parametrize("pooling", ["ceil", "floor"])
def test_the_last_fields_are_pooled_alone_or_dropped(pooling: str) -> None:
    made = generation(5, 2, channels=(2,), kernel=1, pooling=pooling)
    one, other = torch.randn(2, 3, 5, 2)
    other[:, :4] = one[:, :4]  # they differ in the fifth field alone
    assert torch.equal(made(one), made(other)) == (pooling == "floor")


def convolved(made: FeatureGeneration, fields: Tensor) -> Tensor:
    """What the last block's convolution and pooling make of ``[B, F, d]``: ``[B, c H, d]``."""
    seen: list[Tensor] = []
    hook = made.recombinations[-1].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    made(fields)
    hook.remove()
    channels: Tensor = seen[0].unflatten(1, (-1, fields.shape[2]))
    return channels


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_convolutions_run_over_the_fields_and_leave_coordinates_apart(kernel: int, batch_norm: bool) -> None:
    made = generation(5, 4, kernel=kernel, batch_norm=batch_norm)
    one = torch.randn(3, 5, 4)
    other = one.clone()
    other[:, :, 2] += 1
    moved = (convolved(made, one) - convolved(made, other)).abs().amax((0, 1))  # [d]
    assert moved[2] > 0.01
    assert torch.equal(moved[[0, 1, 3]], torch.zeros(3))


def test_generated_numbers_lie_between_minus_one_and_one() -> None:
    made = generation(5, 4)(10 * torch.randn(64, 5, 4))
    assert made.abs().max() <= 1
    assert made.min() < 0 < made.max()


def test_the_order_of_the_fields_matters() -> None:
    """Also to the set of what is generated: the convolution sees neighbours."""
    made = generation(6, 4, channels=(3,), pool=1)
    fields = torch.randn(3, 6, 4)
    shuffled = fields[:, [0, 3, 1, 5, 2, 4]]
    assert not torch.allclose(convolved(made, fields).sum(1), convolved(made, shuffled).sum(1), atol=1e-3)


@pytest.mark.parametrize("share", [True, False])
def test_generator_and_classifier_share_vectors_only_where_told_to(
    fitted: FittedSchema, make_batch: MakeBatch, share: bool
) -> None:
    settings = {"generation": GENERATION, "share_embedding": share}
    model = build(fitted, "fgcnn", settings).eval()
    batch = make_batch(16)
    scopes = [scope.detach().requires_grad_() for scope in model.embedding(batch.dense, batch.sparse)]
    assert len(scopes) == (1 if share else 2)
    network = model.network
    assert isinstance(network, FGCNN)
    for recombination in network.generation.recombinations:
        nn.init.zeros_(recombination.get_parameter("weight"))
    classified, *generated = torch.autograd.grad(network(*scopes).sum(), scopes)
    assert classified.count_nonzero() > 0
    # Nothing passes weights of zero: what the generator reads has no gradient.
    assert all(gradient.count_nonzero() == 0 for gradient in generated)
    if not share:
        assert not torch.equal(scopes[0], scopes[1])


def test_both_gradients_reach_shared_vectors(fitted: FittedSchema) -> None:
    network = fgcnn(fitted, share_embedding=True)
    vectors = torch.randn(7, 20, requires_grad=True)
    (both,) = torch.autograd.grad(network(vectors).sum(), vectors)
    made = network.generation(vectors.unflatten(1, (5, 4)))
    fields = torch.cat([vectors, made.detach().flatten(1)], 1)
    (classifiers,) = torch.autograd.grad(network.classifier(fields).sum(), vectors)
    fields = torch.cat([vectors.detach(), made.flatten(1)], 1)
    (generators,) = torch.autograd.grad(network.classifier(fields).sum(), vectors)
    torch.testing.assert_close(both, classifiers + generators)
    assert generators.count_nonzero() > 0


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("name", sorted({*names()} - {"lr"}))
def test_every_ranker_that_reads_vectors_is_a_classifier(
    fitted: FittedSchema, make_batch: MakeBatch, name: str, share: bool
) -> None:
    own = {"generation": GENERATION} if name == "fgcnn" else {}
    settings = {"generation": GENERATION, "classifier": {"name": name, **own}, "share_embedding": share}
    model = build(fitted, "fgcnn", settings)
    network, batch = model.network, make_batch(64)
    assert isinstance(network, FGCNN)
    scopes = model.embedding(batch.dense, batch.sparse)
    seen: list[Tensor] = []
    network.classifier.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model.eval()(batch.dense, batch.sparse).square().sum().backward()
    # It reads its own vectors and, behind them, the generated ones.
    own_width = scopes[0].shape[1]
    assert torch.equal(seen[0][:, :own_width], scopes[0])
    assert seen[0].shape[1] == own_width + 4 * network.generation.outputs
    for parameter_name, parameter in network.generation.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.count_nonzero() > 0, parameter_name


def test_the_loss_is_its_classifiers(fitted: FittedSchema, make_batch: MakeBatch) -> None:
    """Here one that adds losses of its own."""
    network = fgcnn(fitted, {"name": "finalnet", "block1": {"hidden": [8]}, "block2": {"hidden": [6]}})
    scopes, label = (torch.randn(7, 20), torch.randn(7, 20)), torch.tensor([0.0, 1, 0, 1, 0, 1, 1])
    made = network.generation(scopes[1].unflatten(1, (5, 4))).flatten(1)
    classifiers = network.classifier.loss(label, torch.cat([scopes[0], made], 1))
    torch.testing.assert_close(network.loss(label, *scopes), classifiers)
    assert network.loss(label, *scopes) > nn.functional.binary_cross_entropy_with_logits(network(*scopes), label)


def test_bf16_sees_fields_that_are_tiny_beside_the_bias() -> None:
    """Embeddings begin at 1e-4 and a convolution's bias at some .3, whose neighbour in bf16 is .002 away."""
    made = generation(6, 4, channels=(3,), pool=1, batch_norm=True).train()
    nn.init.constant_(made.convolutions[0].get_parameter("bias"), 0.3)
    fields = 1e-4 * torch.randn(64, 6, 4)
    exact = convolved(made, fields)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = convolved(made, fields)
    assert (rounded - exact).norm() < 0.02 * exact.norm()
