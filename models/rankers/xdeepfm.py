"""xDeepFM: a compressed interaction network, first-order weights and a perceptron.

Source: Lian et al. 2018, "xDeepFM: Combining Explicit and Implicit Feature Interactions for Recommender Systems", KDD,
arXiv 1803.05170: equations 6 to 9, its layers without an activation.

Shapes: B batch, F fields, d width of a field, H feature maps of a layer.
"""

from collections.abc import Sequence

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from common.settings import Settings
from features.schema import Schema
from models.blocks.linear import Linear
from models.blocks.logit_mlp import LogitMLP
from models.blocks.mlp import MLPSettings
from models.network import Network
from models.scope import Fields, Scope, all_features


class XDeepFMSettings(Settings):
    """Settings of xDeepFM.

    Attributes:
        maps: Feature maps H of each layer of the compressed interaction network.
        mlp: The deep part.
    """

    maps: tuple[PositiveInt, ...] = Field(default=(16, 16, 16), min_length=1)
    mlp: MLPSettings = MLPSettings(hidden=(64, 64, 64))


class CompressedInteraction(nn.Module):
    """Layers X_h <- sum over i, j of W_hij (X_i * X0_j), summed over d at the end.

    Args:
        fields: Number F of fields.
        maps: Feature maps H of each layer.
    """

    def __init__(self, fields: int, maps: Sequence[int]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            Linear(before * fields, after) for before, after in zip([fields, *maps], maps, strict=False)
        )

    def forward(self, x0: Tensor) -> Tensor:
        """Interact fields ``[B, F, d]``: ``[B, all H]``."""
        columns0 = x0.transpose(1, 2)  # [B, d, F]
        columns, pooled = columns0, []
        for layer in self.layers:
            products = columns.unsqueeze(3) * columns0.unsqueeze(2)  # [B, d, H before, F]
            columns = layer(products.flatten(2))  # [B, d, H]
            pooled.append(columns.sum(1))
        return torch.cat(pooled, 1)


class XDeepFM(Network):
    """xDeepFM.

    Args:
        settings: Of the model.
        vectors: Every feature's vector.
        weights: Every feature's weights.
    """

    settings_class = XDeepFMSettings

    @classmethod
    def scopes(cls, settings: XDeepFMSettings, schema: Schema) -> list[Scope]:
        """Every feature's vector and first-order weight."""
        return [all_features(schema), all_features(schema, reads="weights")]

    def __init__(self, settings: XDeepFMSettings, vectors: Fields, weights: Fields) -> None:
        super().__init__(settings, vectors, weights)
        self._width = vectors.equal_width("xdeepfm")
        self.interaction = CompressedInteraction(vectors.count, settings.maps)
        self.output = Linear(sum(settings.maps), 1)
        self.mlp = LogitMLP(vectors.width, settings.mlp)

    def forward(self, vectors: Tensor, weights: Tensor) -> Tensor:
        """Logits ``[B]`` of vectors ``[B, F d]`` and weights ``[B, F]``."""
        interacted = self.interaction(vectors.unflatten(1, (-1, self._width)))  # [B, all H]
        logits: Tensor = self.output(interacted).squeeze(1) + self.mlp(vectors) + weights.sum(1)
        return logits
