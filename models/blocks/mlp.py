"""The multi-layer perceptron that the rankers share.

Shapes: B batch, I input width, H width of the last layer.
"""

import itertools
from collections.abc import Sequence

from pydantic import Field, PositiveInt
from torch import Tensor, nn

from common.settings import Settings
from models.blocks.dropout import Dropout
from models.blocks.linear import Linear


class MLPSettings(Settings):
    """Settings of a perceptron.

    Attributes:
        hidden: Widths of the hidden layers.
        dropout: Share of units dropped behind each layer.
        batch_norm: Normalise before each activation.
    """

    hidden: tuple[PositiveInt, ...] = Field(min_length=1)
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    batch_norm: bool = False


class MLP(nn.Sequential):
    """Hidden layers of Linear, BatchNorm, ReLU, Dropout, and no output layer.

    The dropout is computed before the ReLU, which makes no difference but of speed (:mod:`models.blocks.dropout`).

    Args:
        inputs: Width I of the input.
        hidden: Widths of the layers; the last is H.
        dropout: Share of units dropped behind each layer.
        batch_norm: Normalise before each activation.
    """

    def __init__(self, inputs: int, *, hidden: Sequence[int], dropout: float = 0.0, batch_norm: bool = False) -> None:
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise([inputs, *hidden]):
            layers.append(Linear(before, after))
            if batch_norm:
                layers.append(nn.BatchNorm1d(after))
            if dropout:
                layers.append(Dropout(dropout))
            layers.append(nn.ReLU())
        super().__init__(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, I]`` to ``[B, H]``."""
        for layer in self:
            x = layer(x)
        return x
