"""Every layer that rankers define themselves passes a numerical check of its gradient, in float64."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from models.blocks.attention import attend
from models.blocks.bilinear_fusion import BilinearFusion
from models.blocks.cross_net import CrossNet
from models.blocks.factorization_machine import PairwiseProducts
from models.blocks.factorized_block import BlockSettings, FactorizedBlock
from models.blocks.feature_gate import FeatureGate
from models.blocks.feature_generation import FeatureGeneration, GenerationSettings
from models.blocks.field_attention import AttentionSettings, FieldAttention
from models.blocks.inner_product import InnerProduct
from models.rankers.finalnet import FieldGate
from models.rankers.gdcn import GatedCross
from models.rankers.masknet import MaskBlock, MaskNetSettings
from models.rankers.qnn import QNNSettings, QuadraticLayer
from models.rankers.xdeepfm import CompressedInteraction

ATTENTION = AttentionSettings(width=4, heads=2, residual="identity", scale=True, norm="before")
AUTHORS_ATTENTION = AttentionSettings(width=6, heads=2, activation=True, norm="after")
GENERATION = GenerationSettings(channels=(2, 2), kernel=3, recombined=2, batch_norm=False)

# What it takes: the shapes of its inputs.
LAYERS: dict[str, tuple[Callable[[], Callable[..., Tensor]], list[tuple[int, ...]]]] = {
    "attend": (lambda: lambda x: attend(x, 0.0), [(2, 3, 3, 2, 2)]),
    "attention": (lambda: FieldAttention(4, ATTENTION), [(3, 3, 4)]),
    "attention of the authors": (lambda: FieldAttention(4, AUTHORS_ATTENTION), [(3, 3, 4)]),
    "bilinear fusion": (lambda: BilinearFusion(4, 6, heads=2), [(3, 4), (3, 6)]),
    "compressed interaction": (lambda: CompressedInteraction(2, (3, 2)), [(3, 2, 4)]),
    "cross": (lambda: CrossNet(4, 2), [(3, 4)]),
    "factorized block": (lambda: FactorizedBlock(4, BlockSettings(hidden=(6, 4))), [(3, 4)]),
    "feature gate": (lambda: FeatureGate(4, constant=2, hidden=(3,), outputs=6), [(3, 6), (3, 4)]),
    "feature gate without a context": (lambda: FeatureGate(0, constant=2, hidden=(3,), outputs=6), [(3, 6), (3, 0)]),
    "feature generation": (lambda: FeatureGeneration(3, 2, GENERATION), [(2, 3, 2)]),
    "field gate": (lambda: FieldGate(2), [(3, 2, 4)]),
    "gated cross": (lambda: GatedCross(4), [(3, 4), (3, 4)]),
    "inner product": (lambda: InnerProduct(3), [(3, 3, 2)]),
    "mask block": (lambda: MaskBlock(4, 6, MaskNetSettings(block_width=5)), [(3, 4), (3, 6)]),
    "pairwise products": (lambda: PairwiseProducts(2, 4), [(3, 8)]),
    "quadratic layer": (lambda: QuadraticLayer(4, QNNSettings(dropout=0.0)), [(3, 4)]),
}


@pytest.mark.parametrize("layer", LAYERS)
def test_gradients_are_those_of_small_differences(layer: str) -> None:
    make, shapes = LAYERS[layer]
    torch.manual_seed(0)
    module = make()
    inputs = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    if not isinstance(module, nn.Module):
        assert torch.autograd.gradcheck(module, inputs)
        return
    module.double()
    for parameter in module.parameters():
        if parameter.ndim < 2 or not parameter.any():
            nn.init.normal_(parameter)  # away from the corners of ReLUs
    names = [name for name, _ in module.named_parameters()]

    def call(*values: Tensor) -> Tensor:
        """The layer as a function of its inputs and its weights."""
        weights = dict(zip(names, values[len(inputs) :], strict=True))
        output: Tensor = torch.func.functional_call(module, weights, values[: len(inputs)])
        return output

    assert torch.autograd.gradcheck(call, (*inputs, *module.parameters()))
