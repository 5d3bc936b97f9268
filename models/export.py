"""A ranker as a graph of torch operators, for runtimes without its code.

Shapes: B batch, M numeric features, K sparse features, N values.
"""

import torch
from torch import Tensor, nn

from models.ranker import Ranker


class PlainRanker(nn.Module):
    """A ranker that takes plain tensors.

    Args:
        ranker: The ranker.
    """

    def __init__(self, ranker: Ranker) -> None:
        super().__init__()
        self.ranker = ranker

    def forward(self, dense: Tensor, values: Tensor, offsets: Tensor | None) -> Tensor:
        """Score rows.

        Args:
            dense: Numerics, float32 ``[B, M]``; NaN is missing.
            values: Tokens, int64 ``[N]``: key by key, then row by row.
            offsets: int64 ``[K * B + 1]`` bounds of each (key, row) bag; None where each holds one value.

        Returns:
            Logits, float32 ``[B]``.
        """
        return self.ranker.dense_part(dense, self.ranker.embedding.look_up_plain(values, offsets))


def export(ranker: Ranker) -> torch.export.ExportedProgram:
    """Export a ranker for scoring, for batches of any size from two rows on.

    The program takes what :meth:`PlainRanker.forward` takes; ``offsets`` is None exactly if no feature is a list. Its
    lookup is the operator ``plexrank::lookup``, which importing ``kernels.lookup.ops`` registers.

    Args:
        ranker: The ranker; its mode is kept.
    """
    embedding = ranker.embedding
    keys, numerics, device = embedding.keys, embedding.numerics, ranker.device
    rows = 3  # of the example; torch takes sizes of 0 and 1 for constants
    dense = torch.zeros(rows, numerics, device=device)
    values = torch.zeros(keys * rows, dtype=torch.int64, device=device)
    offsets = None if embedding.one_hot else torch.arange(keys * rows + 1, device=device)
    batch = torch.export.Dim("batch", min=2)
    one_a_row = {0: keys * batch} if keys else {}  # torch multiplies no size by 0
    shapes = {
        "dense": {0: batch},
        "values": one_a_row if offsets is None else {0: torch.export.Dim("values")},
        "offsets": None if offsets is None else {0: keys * batch + 1},
    }
    training = ranker.training
    try:
        with torch.no_grad():
            return torch.export.export(PlainRanker(ranker).eval(), (dense, values, offsets), dynamic_shapes=shapes)
    finally:
        ranker.train(training)
