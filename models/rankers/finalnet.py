"""FinalNet: perceptrons whose layers multiply one half of their output by the other.

Source: Zhu et al. 2023, "FINAL: Factorized Interaction Layer for CTR Prediction", SIGIR: the factorized interaction
layer, the field gate, and the two-block model whose blocks learn from their mean.

Shapes: B batch, F fields, d width of a field, D = F d.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.settings import Settings
from models.blocks.factorized_block import BlockSettings, FactorizedBlock
from models.network import Network
from models.scope import Fields


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
