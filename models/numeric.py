"""Numeric features as vectors, or as they are.

Shapes: B batch, m numeric fields, w width of a field.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class NumericEmbedding(nn.Module):
    """Numeric fields: value times a learned vector; where missing, another learned vector instead.

    Args:
        fields: Number m of numeric fields.
        width: Width w of a field.
        masks: Which fields can be missing; the others have no vector for it.
        std: Standard deviation of the vectors' normal initialisation.
    """

    _masked: Tensor

    def __init__(self, fields: int, width: int, *, masks: Sequence[bool], std: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(fields, width))
        self.missing = nn.Parameter(torch.empty(sum(masks), width)) if any(masks) else None
        self.register_buffer(
            "_masked", torch.tensor([i for i, mask in enumerate(masks) if mask]).long(), persistent=False
        )
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=std)

    def forward(self, x: Tensor) -> Tensor:
        """Embed values ``[B, m]``, NaN where missing, as ``[B, m, w]``."""
        absent = x.isnan()
        embedded = torch.where(absent, 0.0, x).unsqueeze(2) * self.weight  # [B, m, w]
        if self.missing is None:
            return embedded
        mask = absent[:, self._masked].to(embedded.dtype).unsqueeze(2) * self.missing  # [B, masked, w]
        return embedded.index_add(1, self._masked, mask)


class Numbers(nn.Module):
    """Numeric fields as they are: 0 where missing, and behind each that can be missing whether it is.

    Args:
        positions: Columns of the fields among the batch's numerics.
        masks: Which fields can be missing.

    Attributes:
        widths: Columns of each field: 1, or 2 with the indicator.
    """

    _columns: Tensor
    _order: Tensor

    def __init__(self, positions: Sequence[int], *, masks: Sequence[bool]) -> None:
        super().__init__()
        self.widths = tuple(1 + mask for mask in masks)
        count = len(positions)
        order = [place for i, mask in enumerate(masks) for place in ([i, count + i] if mask else [i])]
        self.register_buffer("_columns", torch.tensor(positions).long(), persistent=False)
        self.register_buffer("_order", torch.tensor(order).long(), persistent=False)

    def forward(self, dense: Tensor) -> Tensor:
        """Give numerics ``[B, M]`` as ``[B, sum of widths]``."""
        x = dense[:, self._columns]  # [B, m]
        absent = x.isnan()
        return torch.cat([torch.where(absent, 0.0, x), absent.to(x.dtype)], 1)[:, self._order]
