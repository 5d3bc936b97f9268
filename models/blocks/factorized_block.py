"""A perceptron whose layers multiply one half of their output by the other.

Source: Zhu et al. 2023, "FINAL: Factorized Interaction Layer for CTR Prediction", SIGIR: the factorized interaction
layer.

Shapes: B batch, I input and O output width of a layer.
"""

import itertools
from typing import Literal

import torch
from pydantic import Field, PositiveInt, field_validator
from torch import Tensor, nn

from common.settings import Settings
from models.blocks.dropout import Dropout
from models.blocks.linear import Linear


class BlockSettings(Settings):
    """Settings of a block of factorized interaction layers.

    Attributes:
        hidden: Widths O of the layers, even numbers.
        dropout: Share of units dropped behind each layer.
        batch_norm: Normalise each layer's products.
        activation: What follows.
    """

    hidden: tuple[PositiveInt, ...] = Field(default=(64, 64, 64), min_length=1)
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    batch_norm: bool = True
    activation: Literal["relu", "none"] = "relu"

    @field_validator("hidden")
    @classmethod
    def _even(cls, hidden: tuple[int, ...]) -> tuple[int, ...]:
        for width in hidden:
            if width % 2:
                raise ValueError(f"a layer's halves are multiplied, and {width} is odd; give even widths")
        return hidden


class FactorizedBlock(nn.Module):
    """Layers h = W x + b, x <- [h_2; h_1 * h_2] with h_2, h_1 the halves of h; and a linear layer with one output.

    Args:
        inputs: Width I of the input.
        settings: Of the block.
    """

    def __init__(self, inputs: int, settings: BlockSettings) -> None:
        super().__init__()
        widths = list(itertools.pairwise([inputs, *settings.hidden]))
        self.layers = nn.ModuleList(Linear(before, after) for before, after in widths)
        norm = nn.BatchNorm1d if settings.batch_norm else nn.Identity
        active = nn.ReLU if settings.activation == "relu" else nn.Identity
        self.after = nn.ModuleList(
            nn.Sequential(norm(after), Dropout(settings.dropout), active()) for _, after in widths
        )
        self.output = Linear(settings.hidden[-1], 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, I]`` to logits ``[B]``."""
        for layer, after in zip(self.layers, self.after, strict=True):
            kept, factor = layer(x).chunk(2, dim=1)  # [B, O / 2] each
            x = after(torch.cat([kept, factor * kept], 1))  # [B, O]
        logits: Tensor = self.output(x).squeeze(1)
        return logits
