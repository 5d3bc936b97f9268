"""What a ranker is to those who train and serve it."""

import torch
from torch import Tensor, nn
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

from kernels.lookup.interface import Lookup
from models.embedding import FeatureEmbedding
from models.network import Network


class Ranker(nn.Module):
    """A model that turns features into one logit a row: an embedding, and a network over it.

    Args:
        embedding: Gives what the network reads, scope by scope.
        network: Gives the logits.

    Attributes:
        looked_up_l2: Strength of the sparse L2: a loss besides has (l2 / 2) times the squared norm of what a row of the
            batch looks up, on average over the batch.
    """

    def __init__(self, embedding: FeatureEmbedding, network: Network) -> None:
        super().__init__()
        self.embedding = embedding
        self.network = network
        self.looked_up_l2 = 0.0

    @property
    def device(self) -> torch.device:
        """Where the model lives."""
        return next(self.parameters()).device

    def forward(self, dense: Tensor, sparse: KeyedJaggedTensor, label: Tensor | None = None) -> Tensor:
        """Score rows, or say how wrong their scores are.

        Args:
            dense: Numerics, float32 ``[B, M]``; NaN is missing.
            sparse: Tokens, int64, a key a sparse feature.
            label: Clicks, float32 ``[B]``; None for scores.

        Returns:
            Without labels the logits, float32 ``[B]``; their sigmoid is the click probability. With labels the loss, a
            float32 scalar: what the network minimises, and the sparse L2.
        """
        return self.dense_part(dense, self.embedding.look_up(sparse), label)

    def dense_part(self, dense: Tensor, rows: Tensor | None, label: Tensor | None = None) -> Tensor:
        """Do what :meth:`forward` does of a batch whose rows are looked up: what ``torch.compile`` may fuse.

        Args:
            dense: Numerics, float32 ``[B, M]``.
            rows: The embedding's looked-up rows, float32 ``[B, S, D]``; None where no feature has a slot.
            label: Clicks, float32 ``[B]``; None for scores.

        Returns:
            As :meth:`forward`.
        """
        scopes = self.embedding.arrange(dense, rows)
        if label is None:
            logits: Tensor = self.network(*scopes)
            return logits
        loss = self.network.loss(label, *scopes)
        if self.looked_up_l2 and rows is not None:
            loss = loss + self.looked_up_l2 / 2 * rows.square().sum() / rows.shape[0]
        return loss


def parameter_count(model: nn.Module) -> int:
    """Numbers that training learns, the embedding table among them whichever backend holds it."""
    lookups = [module for module in model.modules() if isinstance(module, Lookup)]
    tables = {id(parameter) for lookup in lookups for parameter in lookup.parameters()}
    others = sum(p.numel() for p in model.parameters() if id(p) not in tables)
    return others + sum(lookup.layout.rows * lookup.layout.dim for lookup in lookups)
