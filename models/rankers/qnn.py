"""QNN-alpha: quadratic layers, whose two dropout passes learn from their mean.

Source: Li et al. 2025, "Revisiting Feature Interactions from the Perspective of Quadratic Neural Networks for
Click-through Rate Prediction", KDD, arXiv 2505.17999: the alpha variant of its layer, and its self-ensemble loss.

Shapes: B batch, D width of all vectors, R rows of a layer.
"""

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from common.settings import Settings
from models.blocks.dropout import Dropout
from models.blocks.linear import Linear
from models.network import Network
from models.scope import Fields


class QNNSettings(Settings):
    """Settings of QNN-alpha.

    Attributes:
        layers: Number of layers.
        rows: Rows R of a layer: products that are added up.
        dropout: Share of a layer's factors dropped; more than 0 makes the two passes of the loss differ.
        batch_norm: Normalise the factors before their ReLU.
    """

    layers: int = Field(default=2, ge=1)
    rows: int = Field(default=4, ge=1)
    dropout: float = Field(default=0.1, ge=0.0, lt=1.0)
    batch_norm: bool = True


class QuadraticLayer(nn.Module):
    """x <- x + the sum over rows r of x * h_r, with h = Dropout(ReLU(BN(W x + b))) cut into R rows.

    Args:
        width: Width D of the features.
        settings: Of the model.
    """

    def __init__(self, width: int, settings: QNNSettings) -> None:
        super().__init__()
        self._rows = settings.rows
        self.linear = Linear(width, settings.rows * width)
        self.norm = nn.BatchNorm1d(settings.rows * width) if settings.batch_norm else nn.Identity()
        self.dropout = Dropout(settings.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, D]`` to ``[B, D]``."""
        factors: Tensor = self.dropout(self.norm(self.linear(x))).relu()  # [B, R D]
        crossed: Tensor = x + x * factors.unflatten(1, (self._rows, -1)).sum(1)
        return crossed


class QNN(Network):
    """QNN-alpha.

    Args:
        settings: Of the model.
        vectors: Every feature's vector.
    """

    settings_class = QNNSettings

    def __init__(self, settings: QNNSettings, vectors: Fields) -> None:
        super().__init__(settings, vectors)
        self.layers = nn.Sequential(*(QuadraticLayer(vectors.width, settings) for _ in range(settings.layers)))
        self.output = Linear(vectors.width, 1)

    def forward(self, vectors: Tensor) -> Tensor:
        """Logits ``[B]`` of vectors ``[B, D]``."""
        logits: Tensor = self.output(self.layers(vectors)).squeeze(1)
        return logits

    def loss(self, label: Tensor, *scopes: Tensor) -> Tensor:
        """The cross-entropy of the mean probability of two dropout passes, and of each pass against that mean."""
        passes = torch.stack([self(*scopes).float() for _ in range(2)])  # [2, B]
        mean = F.logsigmoid(passes).logsumexp(0) - F.logsigmoid(-passes).logsumexp(0)  # [B] logit of the mean
        taught = torch.sigmoid(mean).detach()
        loss = F.binary_cross_entropy_with_logits(mean, label)
        return loss + sum(F.binary_cross_entropy_with_logits(logits, taught) for logits in passes)
