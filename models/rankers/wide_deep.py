"""Wide & Deep: first-order weights beside a perceptron over the vectors.

Source: Cheng et al. 2016, "Wide & Deep Learning for Recommender Systems", DLRS, arXiv 1606.07792: equation 3. The wide
part reads the features themselves; crosses are the schema's to declare (kind ``cross``).

Shapes: B batch, F fields, D width of all vectors.
"""

from torch import Tensor

from common.settings import Settings
from features.schema import Schema
from models.blocks.logit_mlp import LogitMLP
from models.blocks.mlp import MLPSettings
from models.network import Network
from models.scope import Fields, Scope, all_features


class WideDeepSettings(Settings):
    """Settings of Wide & Deep.

    Attributes:
        mlp: The deep part.
    """

    mlp: MLPSettings = MLPSettings(hidden=(64, 64, 64))


class WideDeep(Network):
    """Wide & Deep.

    Args:
        settings: Of the model.
        vectors: Every feature's vector.
        weights: Every feature's weights.
    """

    settings_class = WideDeepSettings

    @classmethod
    def scopes(cls, settings: WideDeepSettings, schema: Schema) -> list[Scope]:
        """Every feature's vector and first-order weight."""
        return [all_features(schema), all_features(schema, reads="weights")]

    def __init__(self, settings: WideDeepSettings, vectors: Fields, weights: Fields) -> None:
        super().__init__(settings, vectors, weights)
        self.mlp = LogitMLP(vectors.width, settings.mlp)

    def forward(self, vectors: Tensor, weights: Tensor) -> Tensor:
        """Logits ``[B]`` of vectors ``[B, D]`` and weights ``[B, F]``."""
        logits: Tensor = self.mlp(vectors) + weights.sum(1)
        return logits
