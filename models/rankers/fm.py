"""FM: a factorization machine of second order.

Source: Rendle 2010, "Factorization Machines", ICDM: equation 1.

Shapes: B batch, F fields, d width of a field.
"""

import torch
from torch import Tensor, nn

from common.settings import Settings
from features.schema import Schema
from models.blocks.factorization_machine import PairwiseProducts
from models.network import Network
from models.scope import Fields, Scope, all_features


class FMSettings(Settings):
    """FM has no settings of its own."""


class FM(Network):
    """The values' weights, the inner products of all pairs of their vectors, and a bias.

    Args:
        settings: None.
        vectors: Every feature's vector.
        weights: Every feature's weights.
    """

    settings_class = FMSettings

    @classmethod
    def scopes(cls, settings: FMSettings, schema: Schema) -> list[Scope]:
        """Every feature's vector and first-order weight."""
        return [all_features(schema), all_features(schema, reads="weights")]

    def __init__(self, settings: FMSettings, vectors: Fields, weights: Fields) -> None:
        super().__init__(settings, vectors, weights)
        self.pairs = PairwiseProducts(vectors.count, vectors.equal_width("fm"))
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, vectors: Tensor, weights: Tensor) -> Tensor:
        """Logits ``[B]`` of vectors ``[B, F d]`` and weights ``[B, F]``."""
        logits: Tensor = self.pairs(vectors) + weights.sum(1) + self.bias
        return logits
