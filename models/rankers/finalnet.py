"""FinalNet: perceptrons whose layers multiply one half of their output by the other.

Source: Zhu et al. 2023, "FINAL: Factorized Interaction Layer for CTR Prediction", SIGIR: the factorized interaction
layer, the field gate, and the two-block model whose blocks learn from their mean.

Shapes: B batch, F fields, d width of a field, D = F d, I input and O output width of a layer.
"""

import itertools
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field, PositiveInt, field_validator
from torch import Tensor, nn

from common.settings import Settings
from models.blocks.linear import Linear
from models.network import Network
from models.scope import Fields


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


class FinalNetSettings(Settings):
    """Settings of FinalNet.

    Attributes:
        block1: The first block.
        block2: The second block; null for a FinalNet of one (1B).
        field_gate: Whether the first block also reads the fields multiplied by gates of all fields.
    """

    block1: BlockSettings = BlockSettings()
    block2: BlockSettings | None = BlockSettings()
    field_gate: bool = False


class FieldGate(nn.Module):
    """E -> [E; E * (A E)], with A a linear map of the fields that starts as 1 for all.

    Args:
        fields: Number F of fields.
    """

    def __init__(self, fields: int) -> None:
        super().__init__()
        self.gate = nn.Linear(fields, fields)
        nn.init.zeros_(self.gate.weight)
        nn.init.ones_(self.gate.bias)

    def forward(self, fields: Tensor) -> Tensor:
        """Gate ``[B, F, d]``: ``[B, 2 F, d]``."""
        gates = self.gate(fields.transpose(1, 2)).transpose(1, 2)  # [B, F, d]
        return torch.cat([fields, fields * gates], 1)


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
            nn.Sequential(norm(after), active(), nn.Dropout(settings.dropout)) for _, after in widths
        )
        self.output = Linear(settings.hidden[-1], 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, I]`` to logits ``[B]``."""
        for layer, after in zip(self.layers, self.after, strict=True):
            kept, factor = layer(x).chunk(2, dim=1)  # [B, O / 2] each
            x = after(torch.cat([kept, factor * kept], 1))  # [B, O]
        logits: Tensor = self.output(x).squeeze(1)
        return logits


class FinalNet(Network):
    """FinalNet of one or two blocks.

    Args:
        settings: Of the model.
        vectors: Every feature's vector.
    """

    settings_class = FinalNetSettings

    def __init__(self, settings: FinalNetSettings, vectors: Fields) -> None:
        super().__init__(settings, vectors)
        self._width = vectors.equal_width("finalnet") if settings.field_gate else 1
        self.gate = FieldGate(vectors.count) if settings.field_gate else None
        self.block1 = FactorizedBlock(vectors.width * (2 if settings.field_gate else 1), settings.block1)
        self.block2 = None if settings.block2 is None else FactorizedBlock(vectors.width, settings.block2)

    def forward(self, vectors: Tensor) -> Tensor:
        """Logits ``[B]`` of vectors ``[B, D]``: the mean of the blocks'."""
        return torch.stack(self._block_logits(vectors)).mean(0)

    def loss(self, label: Tensor, *scopes: Tensor) -> Tensor:
        """The cross-entropy of the mean, and of each of two blocks against the mean's probability."""
        blocks = [logits.float() for logits in self._block_logits(*scopes)]
        mean = torch.stack(blocks).mean(0)  # [B]
        loss = F.binary_cross_entropy_with_logits(mean, label)
        if len(blocks) == 1:
            return loss
        taught = torch.sigmoid(mean).detach()
        return loss + sum(F.binary_cross_entropy_with_logits(logits, taught) for logits in blocks)

    def _block_logits(self, vectors: Tensor) -> list[Tensor]:
        gated = vectors if self.gate is None else self.gate(vectors.unflatten(1, (-1, self._width))).flatten(1)
        return [self.block1(gated)] + ([] if self.block2 is None else [self.block2(vectors)])
