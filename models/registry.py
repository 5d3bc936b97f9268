"""What a model is built from, and the one way to build one."""

from typing import Any

import torch
from pydantic import Field

from common.settings import Settings
from features.encoding.fitted import FittedSchema
from kernels.lookup.dispatch import Backend, build_lookup
from kernels.lookup.interface import Lookup
from kernels.lookup.layout import TableLayout, TableOptimizer
from models.catalogue import checked_settings, network_class
from models.embedding import EmbeddingSettings, FeatureEmbedding
from models.ranker import Ranker


class Architecture(Settings):
    """What a model is built from besides a schema; an artifact's ``model.json``.

    Attributes:
        name: The ranker's name.
        settings: Its own settings, checked against its class when it is built.
        embedding: The table's.
    """

    name: str
    settings: dict[str, Any] = Field(default_factory=dict)
    embedding: EmbeddingSettings = EmbeddingSettings()


def build_model(
    architecture: Architecture,
    fitted: FittedSchema,
    *,
    optimizer: TableOptimizer | None = None,
    backend: Backend = "auto",
    device: torch.device | None = None,
) -> Ranker:
    """Build a ranker, its weights drawn from torch's global generator.

    Args:
        architecture: Which, and its settings.
        fitted: The fitted schema of its inputs.
        optimizer: The table's update, fused into the backward pass; None leaves a dense gradient.
        backend: Which lookup backend holds the table.
        device: Where it lives; the CPU by default.

    Returns:
        The ranker, in training mode.

    Raises:
        ConfigError: The name is unknown, a setting is wrong, or the schema does not fit.
    """
    settings = checked_settings(architecture.name, architecture.settings)
    network = network_class(architecture.name)

    def lookup(layout: TableLayout) -> Lookup:
        return build_lookup(layout, optimizer, backend=backend, device=device)

    scopes = network.scopes(settings, fitted.schema)
    embedding = FeatureEmbedding(architecture.embedding, fitted, scopes, lookup)
    model = Ranker(embedding, network(settings, *embedding.shapes))
    return model if backend == "torchrec" else model.to(device)  # torchrec moves what it shards
