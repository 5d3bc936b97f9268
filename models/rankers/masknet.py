"""MaskNet: blocks that multiply their input by a mask of the features.

Source: Wang et al. 2021, "MaskNet: Introducing Feature-Wise Multiplication to CTR Ranking Models by Instance-Guided
Mask", DLP-KDD, arXiv 2102.07619: equations 5 to 10.

Shapes: B batch, F fields, d width of a field, D = F d, I input of a block, K width of a block.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from common.settings import Settings
from models.blocks.dropout import Dropout
from models.blocks.linear import Linear
from models.blocks.logit_mlp import LogitMLP
from models.blocks.mlp import MLPSettings
from models.network import Network
from models.scope import Fields


class MaskNetSettings(Settings):
    """Settings of MaskNet.

    Attributes:
        structure: ``parallel``: all blocks read the features. ``serial``: each reads the block before it.
        blocks: Number of blocks.
        block_width: Width K of a block.
        reduction: Width of a mask's hidden layer, as a multiple of D.
        block_norm: Whether blocks have a layer normalisation before their ReLU.
        embedding_norm: Whether the vectors are normalised, each field by itself, before the blocks (not for the masks);
            most of FuxiCTR's recipes have none.
        dropout: Share of a block's units dropped behind its ReLU, as FuxiCTR's recipes have it.
        mlp: The perceptron over the parallel blocks; a serial MaskNet ends in a linear layer and has none.
    """

    structure: Literal["parallel", "serial"] = "parallel"
    blocks: int = Field(default=3, ge=1)
    block_width: int = Field(default=64, ge=1)
    reduction: float = Field(default=2.0, gt=0)
    block_norm: bool = True
    embedding_norm: bool = True
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    mlp: MLPSettings = MLPSettings(hidden=(64, 64, 64))


class MaskBlock(nn.Module):
    """Dropout(ReLU(LN(W (mask(vectors) * input)))), the mask a perceptron of the vectors.

    Args:
        vectors: Width D of all vectors.
        inputs: Width I of the input.
        settings: Of the model.
    """

    def __init__(self, vectors: int, inputs: int, settings: MaskNetSettings) -> None:
        super().__init__()
        hidden = max(1, round(settings.reduction * vectors))
        self.mask = nn.Sequential(Linear(vectors, hidden), nn.ReLU(), Linear(hidden, inputs))
        self.hidden = Linear(inputs, settings.block_width, bias=False)
        self.norm = nn.LayerNorm(settings.block_width) if settings.block_norm else nn.Identity()
        self.dropout = Dropout(settings.dropout)

    def forward(self, vectors: Tensor, inputs: Tensor) -> Tensor:
        """Mask ``[B, I]`` by vectors ``[B, D]``: ``[B, K]``."""
        masked: Tensor = self.dropout(self.norm(self.hidden(self.mask(vectors) * inputs))).relu()
        return masked


class MaskNet(Network):
    """MaskNet.

    Args:
        settings: Of the model.
        vectors: Every feature's vector.
    """

    settings_class = MaskNetSettings

    def __init__(self, settings: MaskNetSettings, vectors: Fields) -> None:
        super().__init__(settings, vectors)
        self._parallel = settings.structure == "parallel"
        self._widths = list(vectors.widths)
        norms = [nn.LayerNorm(width) for width in vectors.widths] if settings.embedding_norm else []
        self.norms = nn.ModuleList(norms)
        inputs = [vectors.width] + [vectors.width if self._parallel else settings.block_width] * (settings.blocks - 1)
        self.blocks = nn.ModuleList(MaskBlock(vectors.width, width, settings) for width in inputs)
        self.mlp = LogitMLP(settings.blocks * settings.block_width, settings.mlp) if self._parallel else None
        self.output = None if self._parallel else Linear(settings.block_width, 1)

    def forward(self, vectors: Tensor) -> Tensor:
        """Logits ``[B]`` of vectors ``[B, D]``."""
        x = vectors
        if self.norms:
            fields = vectors.split(self._widths, dim=1)
            x = torch.cat([norm(field) for norm, field in zip(self.norms, fields, strict=True)], 1)  # [B, D]
        logits: Tensor
        if self.mlp is not None:
            logits = self.mlp(torch.cat([block(vectors, x) for block in self.blocks], 1))
            return logits
        for block in self.blocks:
            x = block(vectors, x)  # [B, K]
        assert self.output is not None
        logits = self.output(x).squeeze(1)
        return logits
