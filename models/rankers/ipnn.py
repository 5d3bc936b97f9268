"""IPNN: a perceptron over the vectors and the inner products of their pairs.

Source: Qu et al. 2016, "Product-based Neural Networks for User Response Prediction", ICDM, arXiv 1611.00144, with the
inner products themselves as inputs, as its later implementations have it.

Shapes: B batch, F fields, d width of a field, P pairs of fields.
"""

import torch
from torch import Tensor

from common.settings import Settings
from models.blocks.inner_product import InnerProduct
from models.blocks.logit_mlp import LogitMLP
from models.blocks.mlp import MLPSettings
from models.network import Network
from models.scope import Fields


class IPNNSettings(Settings):
    """Settings of IPNN.

    Attributes:
        mlp: The perceptron.
    """

    mlp: MLPSettings = MLPSettings(hidden=(64, 64, 64))


class IPNN(Network):
    """IPNN.

    Args:
        settings: Of the model.
        vectors: Every feature's vector.
    """

    settings_class = IPNNSettings

    def __init__(self, settings: IPNNSettings, vectors: Fields) -> None:
        super().__init__(settings, vectors)
        self._width = vectors.equal_width("ipnn")
        self.products = InnerProduct(vectors.count)
        self.mlp = LogitMLP(vectors.width + self.products.outputs, settings.mlp)

    def forward(self, vectors: Tensor) -> Tensor:
        """Logits ``[B]`` of vectors ``[B, F d]``."""
        products = self.products(vectors.unflatten(1, (-1, self._width)))  # [B, P]
        logits: Tensor = self.mlp(torch.cat([vectors, products], 1))
        return logits
