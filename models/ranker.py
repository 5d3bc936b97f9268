"""What a ranker is to those who train and serve it."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

from kernels.lookup.interface import Lookup
from models.embedding import FeatureEmbedding
from models.mlp import initialise


class Ranker(nn.Module, ABC):
    """A model that turns features into one logit a row.

    Args:
        embedding: Gives the field vectors, scope by scope.
    """

    def __init__(self, embedding: FeatureEmbedding) -> None:
        super().__init__()
        self.embedding = embedding

    @property
    def device(self) -> torch.device:
        """Where the model lives."""
        return next(self.parameters()).device

    def forward(self, dense: Tensor, sparse: KeyedJaggedTensor) -> Tensor:
        """Score rows.

        Args:
            dense: Numerics, float32 ``[B, M]``; NaN is missing.
            sparse: Tokens, int64, a key a sparse feature.

        Returns:
            Logits, float32 ``[B]``; their sigmoid is the click probability.
        """
        return self.dense_part(dense, self.embedding.look_up(sparse))

    def dense_part(self, dense: Tensor, rows: Tensor | None) -> Tensor:
        """Score rows of a batch whose table rows are looked up: what ``torch.compile`` may fuse.

        Args:
            dense: Numerics, float32 ``[B, M]``.
            rows: The embedding's looked-up rows, float32 ``[B, S, D]``; None where no feature has a slot.

        Returns:
            Logits, float32 ``[B]``.
        """
        return self.logits(*self.embedding.arrange(dense, rows))

    @abstractmethod
    def logits(self, *scopes: Tensor) -> Tensor:
        """Logits ``[B]`` of the field vectors ``[B, W]`` of each scope."""

    def initialise(self) -> None:
        """Draw every dense layer's weights anew."""
        self.apply(initialise)


def parameter_count(model: nn.Module) -> int:
    """Numbers that training learns, the embedding table among them whichever backend holds it."""
    lookups = [module for module in model.modules() if isinstance(module, Lookup)]
    tables = {id(parameter) for lookup in lookups for parameter in lookup.parameters()}
    others = sum(p.numel() for p in model.parameters() if id(p) not in tables)
    return others + sum(lookup.layout.rows * lookup.layout.dim for lookup in lookups)
