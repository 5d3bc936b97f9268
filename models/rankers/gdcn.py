"""GDCN: cross layers whose result passes a gate, beside, or below, a perceptron.

Source: Wang et al. 2023, "Towards Deeper, Lighter and Interpretable Cross Network for CTR Prediction", CIKM, arXiv
2311.04635: equation 2.

Shapes: B batch, D width of all vectors, H last width of the perceptron.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from common.settings import Settings
from models.blocks.linear import Linear
from models.blocks.mlp import MLP, MLPSettings
from models.network import Network
from models.scope import Fields


class GDCNSettings(Settings):
    """Settings of GDCN.

    Attributes:
        cross_layers: Gated cross layers.
        mlp: The perceptron.
        structure: ``parallel``: the perceptron reads the features, beside the crosses (GDCN-P). ``stacked``: it reads
            the crosses (GDCN-S).
    """

    cross_layers: int = Field(default=3, ge=1)
    mlp: MLPSettings = MLPSettings(hidden=(64, 64, 64))
    structure: Literal["parallel", "stacked"] = "parallel"


class GatedCross(nn.Module):
    """One layer: x <- x0 * (W x + b) * sigmoid(W_g x) + x.

    Args:
        width: Width D of the features.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.cross = Linear(width, width)
        self.gate = Linear(width, width, bias=False)

    def forward(self, x0: Tensor, x: Tensor) -> Tensor:
        """Cross ``[B, D]`` with the network's input ``[B, D]``."""
        crossed: Tensor = x0 * self.cross(x) * torch.sigmoid(self.gate(x)) + x
        return crossed


class GDCN(Network):
    """GDCN.

    Args:
        settings: Of the model.
        vectors: Every feature's vector.
    """

    settings_class = GDCNSettings

    def __init__(self, settings: GDCNSettings, vectors: Fields) -> None:
        super().__init__(settings, vectors)
        self._parallel = settings.structure == "parallel"
        self.crosses = nn.ModuleList(GatedCross(vectors.width) for _ in range(settings.cross_layers))
        self.mlp = MLP(vectors.width, **settings.mlp.model_dump())
        self.output = Linear((vectors.width if self._parallel else 0) + settings.mlp.hidden[-1], 1)

    def forward(self, vectors: Tensor) -> Tensor:
        """Logits ``[B]`` of vectors ``[B, D]``."""
        x = vectors
        for cross in self.crosses:
            x = cross(vectors, x)  # [B, D]
        hidden = torch.cat([x, self.mlp(vectors)], 1) if self._parallel else self.mlp(x)  # [B, D + H | H]
        logits: Tensor = self.output(hidden).squeeze(1)
        return logits
