"""What the file of a ranker defines: from features to a logit a row.

Shapes: B batch, W width of a scope.
"""

from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from common.settings import Settings
from features.schema import Schema
from models.scope import Fields, Scope, all_features


class Network(nn.Module):
    """Base of the rankers' networks.

    A subclass says what it reads (:meth:`scopes`), is built from its settings and the shape of each scope, and maps the
    scopes' tensors, each ``[B, W]`` and in the same order, to logits ``[B]`` in its ``forward``.

    Attributes:
        settings_class: The ranker's own settings.
        dead_start_hint: What helps when training stays at an AUC of 0.5, beside what helps all rankers.
    """

    settings_class: ClassVar[type[Settings]]
    dead_start_hint: ClassVar[str] = ""

    @classmethod
    def scopes(cls, settings: Any, schema: Schema) -> list[Scope]:
        """What the network reads: here every feature's vector.

        Args:
            settings: Of ``settings_class``.
            schema: Of the features.

        Raises:
            ConfigError: The schema lacks what the ranker needs.
        """
        return [all_features(schema)]

    def __init__(self, settings: Any, *fields: Fields) -> None:
        super().__init__()

    def loss(self, label: Tensor, *scopes: Tensor) -> Tensor:
        """What training minimises: here the mean binary cross-entropy.

        Args:
            label: Clicks, float32 ``[B]``.
            scopes: As ``forward`` takes them.

        Returns:
            A float32 scalar.
        """
        return F.binary_cross_entropy_with_logits(self(*scopes).float(), label)
