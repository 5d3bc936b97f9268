"""DualMLP: the sum of two perceptrons over the same vectors.

Source: Mao et al. 2023, "FinalMLP: An Enhanced Two-Stream MLP Model for CTR Prediction", AAAI, arXiv 2304.00902: its
baseline.

Shapes: B batch, D width of all vectors.
"""

from torch import Tensor

from common.settings import Settings
from models.blocks.logit_mlp import LogitMLP
from models.blocks.mlp import MLPSettings
from models.network import Network
from models.scope import Fields


class DualMLPSettings(Settings):
    """Settings of DualMLP.

    Attributes:
        mlp1: The first stream.
        mlp2: The second stream.
    """

    mlp1: MLPSettings = MLPSettings(hidden=(64, 64, 64))
    mlp2: MLPSettings = MLPSettings(hidden=(64, 64, 64))


class DualMLP(Network):
    """DualMLP.

    Args:
        settings: Of the model.
        vectors: Every feature's vector.
    """

    settings_class = DualMLPSettings

    def __init__(self, settings: DualMLPSettings, vectors: Fields) -> None:
        super().__init__(settings, vectors)
        self.mlp1 = LogitMLP(vectors.width, settings.mlp1)
        self.mlp2 = LogitMLP(vectors.width, settings.mlp2)

    def forward(self, vectors: Tensor) -> Tensor:
        """Logits ``[B]`` of vectors ``[B, D]``."""
        logits: Tensor = self.mlp1(vectors) + self.mlp2(vectors)
        return logits
