"""Multi-head self-attention between fields.

Source: Song et al. 2019, "AutoInt: Automatic Feature Interaction Learning via Self-Attentive Neural Networks", CIKM,
arXiv 1810.11921: equations 5 to 8.

Shapes: B batch, F fields, d width of a field, A width of the attention, H heads, a = A / H.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from common.settings import Settings
from models.blocks.linear import Linear


class AttentionSettings(Settings):
    """Settings of the interacting layers.

    The defaults are the paper's equations. Other implementations differ: FuxiCTR's recipes have ``residual: identity``;
    the authors' code has ``scale``, ``activation`` and ``norm: after``.

    Attributes:
        layers: Number of layers; 0 for none.
        width: Width A of a layer's output a field, of all heads together.
        heads: Number H of heads; divides the width.
        residual: What is added to the attention's output: ``projection``, the input by a matrix of its own;
            ``identity``, the input itself where it is as wide, else its projection; ``none``.
        scale: Whether products of queries and keys are divided by sqrt(a).
        activation: Whether queries, keys, values and the projected residual have a bias and a ReLU.
        norm: Layer normalisation ``before`` or ``after`` the layer's ReLU, or ``none``.
        dropout: Share of attention weights dropped.
    """

    layers: int = Field(default=3, ge=0)
    width: int = Field(default=64, ge=1)
    heads: int = Field(default=2, ge=1)
    residual: Literal["projection", "identity", "none"] = "projection"
    scale: bool = False
    activation: bool = False
    norm: Literal["none", "before", "after"] = "none"
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)

    @model_validator(mode="after")
    def _heads_divide(self) -> "AttentionSettings":
        if self.width % self.heads:
            divisors = [n for n in range(1, self.width + 1) if self.width % n == 0]
            raise ValueError(
                f"heads {self.heads} does not divide width {self.width}; its divisors are "
                f"{', '.join(map(str, divisors))}"
            )
        return self


class FieldAttention(nn.Module):
    """One interacting layer: X <- ReLU(concatenated heads of softmax(Q K^T) V + residual).

    Args:
        inputs: Width d of a field.
        settings: Of the layers.
    """

    def __init__(self, inputs: int, settings: AttentionSettings) -> None:
        super().__init__()
        width = settings.width
        self.settings = settings
        self.query, self.key, self.value = (Linear(inputs, width, bias=settings.activation) for _ in range(3))
        keeps = settings.residual == "none" or (settings.residual == "identity" and inputs == width)
        self.residual = None if keeps else Linear(inputs, width, bias=settings.activation)
        self.norm = None if settings.norm == "none" else nn.LayerNorm(width)
        self._scale = (width // settings.heads) ** -0.5 if settings.scale else 1.0

    def forward(self, fields: Tensor) -> Tensor:
        """Let fields ``[B, F, d]`` attend to one another: ``[B, F, A]``."""
        query_BHFa, key_BHFa, value_BHFa = self._projected(fields)
        dropout = self.settings.dropout if self.training else 0.0
        if query_BHFa.dtype == torch.bfloat16 and fields.device.type == "cpu":
            # torch's fused attention is slower than its parts there.
            attended_BHFa = F.dropout(self._weights(query_BHFa, key_BHFa), dropout) @ value_BHFa
        else:
            attended_BHFa = F.scaled_dot_product_attention(
                query_BHFa, key_BHFa, value_BHFa, dropout_p=dropout, scale=1.0
            )
        x = attended_BHFa.transpose(1, 2).flatten(2)  # [B, F, A]
        if self.residual is not None:
            x = x + self._activated(self.residual(fields))
        elif self.settings.residual == "identity":
            x = x + fields
        if self.norm is None:
            return x.relu()
        normed: Tensor = self.norm(x).relu() if self.settings.norm == "before" else self.norm(x.relu())
        return normed

    def attention(self, fields: Tensor) -> Tensor:
        """The attention weights of fields ``[B, F, d]``: ``[B, H, F, F]``, each row's sum over the last axis 1."""
        query_BHFa, key_BHFa, _ = self._projected(fields)
        return self._weights(query_BHFa, key_BHFa)

    def _projected(self, fields: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, scaled, keys and values ``[B, H, F, a]``."""
        bias = None if self.query.bias is None else self.query.bias * self._scale
        query = F.linear(fields, self.query.weight * self._scale, bias)  # fewer to scale than its outputs
        query_BHFa, key_BHFa, value_BHFa = (
            self._activated(x).unflatten(2, (self.settings.heads, -1)).transpose(1, 2)
            for x in (query, self.key(fields), self.value(fields))
        )
        return query_BHFa, key_BHFa, value_BHFa

    def _weights(self, query_BHFa: Tensor, key_BHFa: Tensor) -> Tensor:
        """Attention weights ``[B, H, F, F]``; in bf16 too, the softmax adds up in float32."""
        return torch.softmax(query_BHFa @ key_BHFa.transpose(2, 3), dim=3)

    def _activated(self, x: Tensor) -> Tensor:
        return x.relu() if self.settings.activation else x
