"""LR: logistic regression, a weight a feature value.

Shapes: B batch, F fields.
"""

import torch
from torch import Tensor, nn

from common.settings import Settings
from features.encoding.fitted import FittedSchema
from models.embedding import BuildLookup, EmbeddingSettings, FeatureEmbedding, Scope
from models.ranker import Ranker


class LogisticRegressionSettings(Settings):
    """LR has no settings of its own; its embedding has ``dim: 1`` and ``probes: 1``, whatever the run file says."""


class LogisticRegression(Ranker):
    """The sum of the values' weights, plus a bias.

    Args:
        embedding: One scope with all features, fields one wide.
    """

    def __init__(self, embedding: FeatureEmbedding) -> None:
        super().__init__(embedding)
        self.bias = nn.Parameter(torch.zeros(()))

    def logits(self, *scopes: Tensor) -> Tensor:
        """Logits ``[B]`` of the weights ``[B, F]``."""
        (weights,) = scopes
        return weights.sum(1) + self.bias


def build(
    settings: LogisticRegressionSettings, embedding: EmbeddingSettings, fitted: FittedSchema, build_lookup: BuildLookup
) -> LogisticRegression:
    """Build LR for a fitted schema.

    Raises:
        ConfigError: The table cannot be laid out.
    """
    scope = Scope(tuple(feature.name for feature in fitted.schema.features))
    return LogisticRegression(FeatureEmbedding(embedding.scalar, fitted, [scope], build_lookup))
