"""A gate on every coordinate of the features.

Source: Mao et al. 2023, "FinalMLP: An Enhanced Two-Stream MLP Model for CTR Prediction", AAAI, arXiv 2304.00902: its
stream-specific feature selection.

Shapes: B batch, D width of the features, C width of a gate's context, h last hidden width.
"""

import torch
from torch import Tensor, nn

from models.blocks.linear import Linear
from models.blocks.mlp import MLP


class FeatureGate(nn.Module):
    """Scales every coordinate of the features by 2 sigmoid(MLP(context)).

    Without a context, the constant and the biases start at 0 as published, so that no ReLU opens: what such a gate
    learns is its output's bias, a factor a coordinate.

    Args:
        context: Width C of the context; 0 for a learned constant of ``constant`` numbers.
        constant: Width of that constant.
        hidden: Widths of the hidden layers.
        outputs: Width D of the features.
    """

    def __init__(self, context: int, *, constant: int, hidden: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.bias = None if context else nn.Parameter(torch.zeros(1, constant))
        self.mlp = MLP(context or constant, hidden=hidden)
        self.output = Linear(hidden[-1], outputs)

    def forward(self, features: Tensor, context: Tensor) -> Tensor:
        """Gate ``[B, D]`` features by their ``[B, C]`` context."""
        hidden = self.mlp(context if self.bias is None else self.bias)  # [B or 1, h]
        return 2 * torch.sigmoid(self.output(hidden)) * features
