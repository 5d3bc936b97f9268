"""AutoInt: layers of multi-head self-attention between the fields; AutoInt+ with a perceptron beside them.

Source: Song et al. 2019, "AutoInt: Automatic Feature Interaction Learning via Self-Attentive Neural Networks", CIKM,
arXiv 1810.11921: equations 5 to 9, and its section on AutoInt+.

Shapes: B batch, F fields, d width of a field, A width of the attention, L layers, H heads.
"""

import torch
from pydantic import Field
from torch import Tensor, nn

from common.settings import Settings
from features.schema import Schema
from models.blocks.dropout import Dropout
from models.blocks.field_attention import AttentionSettings, FieldAttention
from models.blocks.linear import Linear
from models.blocks.logit_mlp import LogitMLP
from models.blocks.mlp import MLPSettings
from models.network import Network
from models.scope import Fields, Scope, all_features

_BLOCK = 2**21  # attention weights of a layer


class AutoIntSettings(Settings):
    """Settings of AutoInt.

    Attributes:
        attention: The interacting layers.
        mlp: The perceptron of AutoInt+; null for AutoInt.
        wide: Whether first-order weights are added, as some recipes have it.
        embedding_dropout: Share of the vectors' numbers dropped.
    """

    attention: AttentionSettings = AttentionSettings()
    mlp: MLPSettings | None = None
    wide: bool = False
    embedding_dropout: float = Field(default=0.0, ge=0.0, lt=1.0)


class AutoInt(Network):
    """AutoInt, or AutoInt+.

    Args:
        settings: Of the model.
        vectors: Every feature's vector.
        weights: Every feature's weights, where they are added.
    """

    settings_class = AutoIntSettings

    @classmethod
    def scopes(cls, settings: AutoIntSettings, schema: Schema) -> list[Scope]:
        """Every feature's vector, and with ``wide`` its first-order weight."""
        weights = [all_features(schema, reads="weights")] if settings.wide else []
        return [all_features(schema), *weights]

    def __init__(self, settings: AutoIntSettings, vectors: Fields, *weights: Fields) -> None:
        super().__init__(settings, vectors, *weights)
        self._width = vectors.equal_width("autoint")
        attention = settings.attention
        widths = [self._width] + [attention.width] * attention.layers
        self._heads = attention.heads
        self.dropout = Dropout(settings.embedding_dropout)
        self.layers = nn.ModuleList(FieldAttention(width, attention) for width in widths[:-1])
        self.output = Linear(vectors.count * widths[-1], 1)
        self.mlp = None if settings.mlp is None else LogitMLP(vectors.width, settings.mlp)

    def forward(self, vectors: Tensor, *weights: Tensor) -> Tensor:
        """Logits ``[B]`` of vectors ``[B, F d]`` and, with ``wide``, weights ``[B, F]``."""
        vectors = self.dropout(vectors)
        x = vectors.unflatten(1, (-1, self._width))  # [B, F, d]
        x = self._in_blocks(x) if self.training and x.device.type == "cpu" else self._interact(x)  # [B, F, A]
        logits: Tensor = self.output(x.flatten(1)).squeeze(1)
        if self.mlp is not None:
            logits = logits + self.mlp(vectors)
        return logits + weights[0].sum(1) if weights else logits

    def _interact(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _in_blocks(self, x: Tensor) -> Tensor:
        """Interact block by block; compiled, these small products are slower (benchmarks/blocks)."""
        return torch.cat([self._interact(block) for block in x.split(block_rows(self._heads, x.shape[1]))])

    def attention(self, vectors: Tensor, *weights: Tensor) -> Tensor:
        """How much each field attends to each: ``[B, L, H, F, F]``, the last axis the fields attended to, its sum 1."""
        x, weights_BHFF = vectors.unflatten(1, (-1, self._width)), []
        for layer in self.layers:
            assert isinstance(layer, FieldAttention)
            weights_BHFF.append(layer.attention(x))
            x = layer(x)
        return torch.stack(weights_BHFF, 1)


def block_rows(heads: int, fields: int) -> int:
    """Rows whose attention weights, all heads', leave a CPU's cache room."""
    return max(1, _BLOCK // max(1, heads * fields**2))
