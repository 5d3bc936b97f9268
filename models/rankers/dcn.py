"""DCN: crosses with a weight vector a layer, beside a perceptron.

Source: Wang et al. 2017, "Deep & Cross Network for Ad Click Predictions", ADKDD, arXiv 1708.05123: equations 3 to 5.

Shapes: B batch, D width of all vectors, H last width of the perceptron.
"""

import torch
from pydantic import Field
from torch import Tensor, nn

from common.settings import Settings
from models.blocks.linear import Linear
from models.blocks.mlp import MLP, MLPSettings
from models.network import Network
from models.scope import Fields


class DCNSettings(Settings):
    """Settings of DCN.

    Attributes:
        cross_layers: Cross layers.
        mlp: The perceptron; null for the crosses alone.
    """

    cross_layers: int = Field(default=3, ge=1)
    mlp: MLPSettings | None = MLPSettings(hidden=(64, 64, 64))


class DCN(Network):
    """DCN.

    Args:
        settings: Of the model.
        vectors: Every feature's vector.
    """

    settings_class = DCNSettings

    def __init__(self, settings: DCNSettings, vectors: Fields) -> None:
        super().__init__(settings, vectors)
        width = vectors.width
        self.weights = nn.ModuleList(Linear(width, 1, bias=False) for _ in range(settings.cross_layers))
        self.biases = nn.ParameterList(torch.zeros(width) for _ in range(settings.cross_layers))
        self.mlp = None if settings.mlp is None else MLP(width, **settings.mlp.model_dump())
        self.output = Linear(width + (settings.mlp.hidden[-1] if settings.mlp else 0), 1)

    def forward(self, vectors: Tensor) -> Tensor:
        """Logits ``[B]`` of vectors ``[B, D]``."""
        x = vectors
        for weight, bias in zip(self.weights, self.biases, strict=True):
            x = vectors * weight(x) + bias + x  # [B, D]
        hidden = x if self.mlp is None else torch.cat([x, self.mlp(vectors)], 1)  # [B, D or D + H]
        logits: Tensor = self.output(hidden).squeeze(1)
        return logits
