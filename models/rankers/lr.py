"""LR: logistic regression, a weight a feature value.

Shapes: B batch, F fields.
"""

import torch
from torch import Tensor, nn

from common.settings import Settings
from features.schema import Schema
from models.network import Network
from models.scope import Fields, Scope, all_features


class LogisticRegressionSettings(Settings):
    """LR has no settings of its own, and no vectors: ``embedding.dim`` does not matter; probes are weights."""


class LogisticRegression(Network):
    """The sum of the values' weights, plus a bias.

    Args:
        settings: None.
        weights: Every feature's weights.
    """

    settings_class = LogisticRegressionSettings

    @classmethod
    def scopes(cls, settings: LogisticRegressionSettings, schema: Schema) -> list[Scope]:
        """Every feature's first-order weight."""
        return [all_features(schema, reads="weights")]

    def __init__(self, settings: LogisticRegressionSettings, weights: Fields) -> None:
        super().__init__(settings, weights)
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, weights: Tensor) -> Tensor:
        """Logits ``[B]`` of the weights ``[B, F]``."""
        return weights.sum(1) + self.bias
