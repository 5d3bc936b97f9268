"""The second-order term of a factorization machine.

Source: Rendle 2010, "Factorization Machines", ICDM: equation 1, and lemma 3.1 for its cost.

Shapes: B batch, F fields, d width of a field.
"""

import torch
from torch import Tensor, nn


class PairwiseProducts(nn.Module):
    """The sum of the inner products of all pairs of fields, in time linear in F.

    Args:
        fields: Number F of fields.
        width: Width d of a field.
    """

    _total: Tensor

    def __init__(self, fields: int, width: int) -> None:
        super().__init__()
        # Identities on top of one another: compilers vectorise a product with them, and no sum over a middle axis.
        self.register_buffer("_total", torch.eye(width).repeat(fields, 1), persistent=False)

    def forward(self, vectors: Tensor) -> Tensor:
        """Interact vectors ``[B, F d]``: ``[B]``."""
        # A difference of squares that are near one another: never in half precision.
        with torch.autocast(vectors.device.type, enabled=False):
            vectors = vectors.to(self._total.dtype)
            total = vectors @ self._total  # [B, d]
            return (total.square().sum(1) - vectors.square().sum(1)) / 2
