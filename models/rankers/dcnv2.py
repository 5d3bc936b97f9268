"""DCNv2: explicit crosses of bounded degree beside, or below, a perceptron.

Source: Wang et al. 2021, "DCN V2: Improved Deep & Cross Network and Practical Lessons for Web-scale Learning to Rank
Systems", WWW, arXiv 2008.13535: equation 1 and figure 1.

Shapes: B batch, D width of all vectors, H last width of the perceptron.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from common.settings import Settings
from models.blocks.cross_net import CrossNet
from models.blocks.linear import Linear
from models.blocks.mlp import MLP, MLPSettings
from models.network import Network
from models.scope import Fields


class DCNv2Settings(Settings):
    """Settings of DCNv2.

    Attributes:
        cross_layers: Cross layers; their output has degree ``cross_layers + 1`` in the features.
        mlp: The perceptron; null for the crosses alone.
        structure: ``parallel``: the perceptron reads the features, beside the crosses. ``stacked``: it reads the
            crosses.
    """

    cross_layers: int = Field(default=3, ge=1)
    mlp: MLPSettings | None = MLPSettings(hidden=(64, 64, 64))
    structure: Literal["parallel", "stacked"] = "parallel"


class DCNv2(Network):
    """DCNv2.

    Args:
        settings: Of the model.
        vectors: Every feature's vector.
    """

    settings_class = DCNv2Settings

    def __init__(self, settings: DCNv2Settings, vectors: Fields) -> None:
        super().__init__(settings, vectors)
        self._parallel = settings.structure == "parallel"
        self.cross = CrossNet(vectors.width, settings.cross_layers)
        self.mlp = None if settings.mlp is None else MLP(vectors.width, **settings.mlp.model_dump())
        crossed = vectors.width if self._parallel or self.mlp is None else 0
        self.output = Linear(crossed + (settings.mlp.hidden[-1] if settings.mlp else 0), 1)

    def forward(self, vectors: Tensor) -> Tensor:
        """Logits ``[B]`` of vectors ``[B, D]``."""
        hidden = self.cross(vectors)  # [B, D]
        if self.mlp is not None:
            hidden = torch.cat([hidden, self.mlp(vectors)], 1) if self._parallel else self.mlp(hidden)  # [B, D + H | H]
        logits: Tensor = self.output(hidden).squeeze(1)
        return logits
