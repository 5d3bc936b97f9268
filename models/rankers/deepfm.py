"""DeepFM: a factorization machine and a perceptron over the same vectors.

Source: Guo et al. 2017, "DeepFM: A Factorization-Machine based Neural Network for CTR Prediction", IJCAI, arXiv
1703.04247: equations 1 to 4.

Shapes: B batch, F fields, d width of a field.
"""

from torch import Tensor

from common.settings import Settings
from features.schema import Schema
from models.blocks.factorization_machine import PairwiseProducts
from models.blocks.logit_mlp import LogitMLP
from models.blocks.mlp import MLPSettings
from models.network import Network
from models.scope import Fields, Scope, all_features


class DeepFMSettings(Settings):
    """Settings of DeepFM.

    Attributes:
        mlp: The deep part.
    """

    mlp: MLPSettings = MLPSettings(hidden=(64, 64, 64))


class DeepFM(Network):
    """DeepFM.

    Args:
        settings: Of the model.
        vectors: Every feature's vector.
        weights: Every feature's weights.
    """

    settings_class = DeepFMSettings

    @classmethod
    def scopes(cls, settings: DeepFMSettings, schema: Schema) -> list[Scope]:
        """Every feature's vector and first-order weight."""
        return [all_features(schema), all_features(schema, reads="weights")]

    def __init__(self, settings: DeepFMSettings, vectors: Fields, weights: Fields) -> None:
        super().__init__(settings, vectors, weights)
        self.pairs = PairwiseProducts(vectors.count, vectors.equal_width("deepfm"))
        self.mlp = LogitMLP(vectors.width, settings.mlp)

    def forward(self, vectors: Tensor, weights: Tensor) -> Tensor:
        """Logits ``[B]`` of vectors ``[B, F d]`` and weights ``[B, F]``."""
        logits: Tensor = self.pairs(vectors) + weights.sum(1) + self.mlp(vectors)
        return logits
