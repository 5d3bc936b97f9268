"""DCNv2: explicit crosses of bounded degree beside, or below, a perceptron.

Source: Wang et al. 2021, "DCN V2: Improved Deep & Cross Network and Practical Lessons for Web-scale Learning to Rank
Systems", WWW, arXiv 2008.13535: equation 1 and figure 1.

Shapes: B batch, D width of all fields, H last width of the perceptron.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from common.settings import Settings
from features.encoding.fitted import FittedSchema
from models.embedding import BuildLookup, EmbeddingSettings, FeatureEmbedding, Scope
from models.mlp import MLP, MLPSettings
from models.ranker import Ranker


class DCNv2Settings(Settings):
    """Settings of DCNv2.

    Attributes:
        cross_layers: Cross layers; their output has degree ``cross_layers + 1`` in the features.
        mlp: The perceptron.
        structure: ``parallel``: the perceptron reads the features, beside the crosses. ``stacked``: it reads the
            crosses.
    """

    cross_layers: int = Field(default=3, ge=1)
    mlp: MLPSettings = MLPSettings(hidden=(64, 64, 64))
    structure: Literal["parallel", "stacked"] = "parallel"


class CrossNet(nn.Module):
    """Layers x <- x0 * (W x + b) + x, with x0 the input of the first and a full matrix W a layer.

    Args:
        width: Width D of the features.
        layers: Number of layers.
    """

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(layers))

    def forward(self, x0: Tensor) -> Tensor:
        """Cross features ``[B, D]`` with themselves; the result is as wide."""
        x = x0
        for layer in self.layers:
            x = x0 * layer(x) + x
        return x


class DCNv2(Ranker):
    """DCNv2.

    Args:
        embedding: One scope with all features.
        settings: Of the model.
    """

    def __init__(self, embedding: FeatureEmbedding, settings: DCNv2Settings) -> None:
        super().__init__(embedding)
        (width,) = embedding.widths
        self.parallel = settings.structure == "parallel"
        self.cross = CrossNet(width, settings.cross_layers)
        self.mlp = MLP(width, **settings.mlp.model_dump())
        deep = settings.mlp.hidden[-1]
        self.output = nn.Linear(width + deep if self.parallel else deep, 1)
        self.initialise()

    def logits(self, *scopes: Tensor) -> Tensor:
        """Logits ``[B]`` of the features ``[B, D]``."""
        (features,) = scopes
        crossed = self.cross(features)  # [B, D]
        hidden = torch.cat([crossed, self.mlp(features)], 1) if self.parallel else self.mlp(crossed)  # [B, D + H or H]
        logits: Tensor = self.output(hidden).squeeze(1)
        return logits


def build(
    settings: DCNv2Settings, embedding: EmbeddingSettings, fitted: FittedSchema, build_lookup: BuildLookup
) -> DCNv2:
    """Build DCNv2 for a fitted schema.

    Raises:
        ConfigError: The table cannot be laid out.
    """
    scope = Scope(tuple(feature.name for feature in fitted.schema.features))
    return DCNv2(FeatureEmbedding(embedding, fitted, [scope], build_lookup), settings)
