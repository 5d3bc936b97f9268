"""Inner products of all pairs of fields.

Source: Qu et al. 2016, "Product-based Neural Networks for User Response Prediction", ICDM, arXiv 1611.00144: the inner
product layer.

Shapes: B batch, F fields, d width of a field, P pairs: F (F - 1) / 2.
"""

import torch
from torch import Tensor, nn


class InnerProduct(nn.Module):
    """The inner product of each pair of fields.

    Args:
        fields: Number F of fields.
    """

    _pairs: Tensor

    def __init__(self, fields: int) -> None:
        super().__init__()
        first, second = torch.triu_indices(fields, fields, offset=1)
        self.register_buffer("_pairs", first * fields + second, persistent=False)

    @property
    def outputs(self) -> int:
        """Number P of pairs."""
        return len(self._pairs)

    def forward(self, fields: Tensor) -> Tensor:
        """Multiply fields ``[B, F, d]``: ``[B, P]``, the pairs (0, 1), (0, 2), ... (1, 2), ..."""
        products = torch.bmm(fields, fields.transpose(1, 2))  # [B, F, F]
        return products.flatten(1)[:, self._pairs]
