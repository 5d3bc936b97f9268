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
from models.blocks.attention import attend
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
        projected_BF3Ha = self._projected(fields)
        if self.training and fields.device.type == "cpu":
            attended_BFHa = attend(projected_BF3Ha, self.settings.dropout)  # faster than torch's there
        else:
            dropout = self.settings.dropout if self.training else 0.0
            query, key, value = projected_BF3Ha.permute(2, 0, 3, 1, 4)
            attended = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout, scale=1.0)  # [B, H, F, a]
            attended_BFHa = attended.transpose(1, 2)
        x = attended_BFHa.flatten(2)  # [B, F, A]
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
        query, key, _ = self._projected(fields).permute(2, 0, 3, 1, 4)  # [B, H, F, a]
        return torch.softmax(query @ key.transpose(2, 3), dim=3)

    def _projected(self, fields: Tensor) -> Tensor:
        """Queries, scaled, keys and values ``[B, F, 3, H, a]``: one product, as their inputs are the same."""
        layers = (self.query, self.key, self.value)
        weights = [layer.weight for layer in layers]
        weights[0] = weights[0] * self._scale  # fewer to scale than its outputs
        bias = None
        if self.query.bias is not None:
            biases = [layer.bias for layer in layers]
            bias = torch.cat([biases[0] * self._scale, *biases[1:]])
        projected_BFA = self._activated(F.linear(fields, torch.cat(weights), bias))  # 3 A wide
        return projected_BFA.view(*projected_BFA.shape[:2], 3, self.settings.heads, -1)

    def _activated(self, x: Tensor) -> Tensor:
        return x.relu() if self.settings.activation else x
