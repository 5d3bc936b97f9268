"""The second-order term of a factorization machine.

Source: Rendle 2010, "Factorization Machines", ICDM: equation 1, and lemma 3.1 for its cost.

Shapes: B batch, F fields, d width of a field.
"""

from torch import Tensor


def pairwise_products(fields: Tensor) -> Tensor:
    """Sum the inner products of all pairs of fields, in time linear in F.

    Args:
        fields: ``[B, F, d]``.

    Returns:
        ``[B]``.
    """
    total = fields.sum(1)  # [B, d]
    return (total.square() - fields.square().sum(1)).sum(1) / 2
