"""FGCNN: fields that convolutions generate, read by any other ranker beside the original ones.

Source: Liu et al. 2019, "Feature Generation by Convolutional Neural Network for Click-Through Rate Prediction", WWW,
arXiv 1904.04447: its feature generation, and section 3.4 on other deep classifiers than IPNN.

Shapes: B batch, F fields, d width of a field, G generated fields.
"""

import torch
from pydantic import Field
from torch import Tensor

from common.errors import ConfigError
from common.settings import Settings
from features.schema import Schema
from models.blocks.feature_generation import FeatureGeneration, GenerationSettings
from models.catalogue import NetworkSettings, checked_settings, network_class
from models.network import Network
from models.scope import Fields, Scope, all_features


class FGCNNSettings(Settings):
    """Settings of FGCNN.

    Attributes:
        generation: The generator.
        classifier: The deep classifier: a ranker by name, with its own settings.
        share_embedding: Whether the generator reads the vectors that the classifier reads, instead of its own.
    """

    generation: GenerationSettings = GenerationSettings()
    classifier: NetworkSettings = Field(default_factory=lambda: NetworkSettings(name="ipnn"))
    share_embedding: bool = False


class FGCNN(Network):
    """FGCNN.

    Args:
        settings: Of the model.
        scopes: What the classifier reads; and the generator's vectors, unless it shares the classifier's.
    """

    settings_class = FGCNNSettings
    dead_start_hint = "for fgcnn, model.generation.batch_norm: false"

    @classmethod
    def scopes(cls, settings: FGCNNSettings, schema: Schema) -> list[Scope]:
        """What the classifier reads, and every feature's vector once more, with rows of its own.

        Raises:
            ConfigError: The classifier is unknown or reads no vectors, or a setting of it is wrong.
        """
        classifier, own = _classifier(settings)
        scopes = classifier.scopes(own, schema)
        if all(scope.reads != "vectors" for scope in scopes):
            raise ConfigError(
                f"model.classifier: {settings.classifier.name} reads no vectors that fgcnn could add to; "
                "use one that does, such as ipnn, deepfm or finalmlp"
            )
        return scopes if settings.share_embedding else [*scopes, all_features(schema, name="generation")]

    def __init__(self, settings: FGCNNSettings, *scopes: Fields) -> None:
        super().__init__(settings, *scopes)
        classifier, own = _classifier(settings)
        self._main = [fields.reads for fields in scopes].index("vectors")  # what the generated fields join
        main, source = scopes[self._main], scopes[self._main if settings.share_embedding else -1]
        width = source.equal_width("fgcnn")
        self.generation = FeatureGeneration(source.count, width, settings.generation)
        made = tuple(f"generated {i}" for i in range(1, self.generation.outputs + 1))
        augmented = Fields((*main.names, *made), (*main.widths, *(width for _ in made)), main.default)
        self._width, self._shared = width, settings.share_embedding
        inner = list(scopes if self._shared else scopes[:-1])
        inner[self._main] = augmented
        self.classifier = classifier(own, *inner)

    def forward(self, *scopes: Tensor) -> Tensor:
        """Logits ``[B]`` of the classifier's scopes and, unless shared, the generator's vectors ``[B, F d]``."""
        logits: Tensor = self.classifier(*self._augmented(scopes))
        return logits

    def loss(self, label: Tensor, *scopes: Tensor) -> Tensor:
        """The classifier's."""
        return self.classifier.loss(label, *self._augmented(scopes))

    def _augmented(self, scopes: tuple[Tensor, ...]) -> list[Tensor]:
        """The classifier's scopes, the generated fields behind its vectors."""
        source = scopes[self._main if self._shared else -1]
        made = self.generation(source.unflatten(1, (-1, self._width)))  # [B, G, d]
        inner = list(scopes if self._shared else scopes[:-1])
        inner[self._main] = torch.cat([inner[self._main], made.flatten(1)], 1)  # [B, (F + G) d]
        return inner


def _classifier(settings: FGCNNSettings) -> tuple[type[Network], Settings]:
    section = settings.classifier
    return network_class(section.name), checked_settings(section.name, section.own, source="model.classifier")
