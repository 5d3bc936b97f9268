"""DLRM: a perceptron over the numbers, the inner products of its output and the vectors, a perceptron over those.

Source: Naumov et al. 2019, "Deep Learning Recommendation Model for Personalization and Recommendation Systems", arXiv
1906.00091: section 2 and figure 1.

Shapes: B batch, F fields (the bottom perceptron's output among them), d width of a field, N columns of the numbers.
"""

from typing import Literal

import torch
from pydantic import Field, PositiveInt
from torch import Tensor

from common.settings import Settings
from features.schema import Schema
from models.blocks.inner_product import InnerProduct
from models.blocks.logit_mlp import LogitMLP
from models.blocks.mlp import MLP, MLPSettings
from models.network import Network
from models.scope import Fields, Scope


class DLRMSettings(Settings):
    """Settings of DLRM.

    Attributes:
        bottom: Widths of the bottom perceptron's hidden layers; one as wide as a field follows. Unused without numbers.
        top: The top perceptron.
        interaction: What the top perceptron reads besides the bottom's output: ``dot``, the inner products of all pairs
            of fields; ``cat``, the vectors as they are.
    """

    bottom: tuple[PositiveInt, ...] = Field(default=(64,))
    top: MLPSettings = MLPSettings(hidden=(64, 64, 64))
    interaction: Literal["dot", "cat"] = "dot"


class DLRM(Network):
    """DLRM.

    Args:
        settings: Of the model.
        vectors: Every sparse feature's vector.
        numbers: Every numeric feature, as it is.
    """

    settings_class = DLRMSettings

    @classmethod
    def scopes(cls, settings: DLRMSettings, schema: Schema) -> list[Scope]:
        """Vectors of the sparse features, and the numbers themselves."""
        return [
            Scope(tuple(feature.name for feature in schema.sparse)),
            Scope(tuple(feature.name for feature in schema.numeric), reads="numbers"),
        ]

    def __init__(self, settings: DLRMSettings, vectors: Fields, numbers: Fields) -> None:
        super().__init__(settings, vectors, numbers)
        self._width = vectors.equal_width("dlrm")
        self.bottom = MLP(numbers.width, hidden=(*settings.bottom, self._width)) if numbers.count else None
        fields = vectors.count + (self.bottom is not None)
        self.products = InnerProduct(fields) if settings.interaction == "dot" else None
        inputs = fields * self._width
        if self.products is not None:
            inputs = self.products.outputs + (self._width if self.bottom is not None else 0)
        self.top = LogitMLP(inputs, settings.top)

    def forward(self, vectors: Tensor, numbers: Tensor) -> Tensor:
        """Logits ``[B]`` of vectors ``[B, F d]`` and numbers ``[B, N]``."""
        dense = [] if self.bottom is None else [self.bottom(numbers)]  # [B, d]
        inputs = torch.cat([*dense, vectors], 1)  # [B, F d]
        if self.products is not None:
            products = self.products(inputs.unflatten(1, (-1, self._width)))  # [B, pairs]
            inputs = torch.cat([*dense, products], 1)
        logits: Tensor = self.top(inputs)
        return logits
