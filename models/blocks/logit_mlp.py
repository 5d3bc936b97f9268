"""A perceptron that ends in one logit.

Shapes: B batch, I input width.
"""

from torch import Tensor, nn

from models.blocks.linear import Linear
from models.blocks.mlp import MLP, MLPSettings


class LogitMLP(nn.Module):
    """Hidden layers, and a linear layer with one output.

    Args:
        inputs: Width I of the input.
        settings: Of the hidden layers.
    """

    def __init__(self, inputs: int, settings: MLPSettings) -> None:
        super().__init__()
        self.hidden = MLP(inputs, **settings.model_dump())
        self.output = Linear(settings.hidden[-1], 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, I]`` to logits ``[B]``."""
        logits: Tensor = self.output(self.hidden(x)).squeeze(1)
        return logits
