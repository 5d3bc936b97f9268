"""The rankers by name, and the one way to build one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import Field

from common.errors import ConfigError, did_you_mean
from common.settings import Settings, validate
from features.encoding.fitted import FittedSchema
from kernels.lookup.dispatch import Backend, build_lookup
from kernels.lookup.interface import Lookup
from kernels.lookup.layout import TableLayout, TableOptimizer
from models import dcnv2, finalmlp, logistic_regression
from models.embedding import EmbeddingSettings
from models.ranker import Ranker


@dataclass(frozen=True)
class Entry:
    """A ranker's settings class, and the function that builds it."""

    settings: type[Settings]
    build: Callable[..., Ranker]


MODELS: Mapping[str, Entry] = {
    "dcnv2": Entry(dcnv2.DCNv2Settings, dcnv2.build),
    "finalmlp": Entry(finalmlp.FinalMLPSettings, finalmlp.build),
    "lr": Entry(logistic_regression.LogisticRegressionSettings, logistic_regression.build),
}


class Architecture(Settings):
    """What a model is built from besides a schema; an artifact's ``model.json``.

    Attributes:
        name: The ranker's name in the registry.
        settings: Its own settings, checked against its class when it is built.
        embedding: The table's.
    """

    name: str
    settings: dict[str, Any] = Field(default_factory=dict)
    embedding: EmbeddingSettings = EmbeddingSettings()


def model_settings(architecture: Architecture) -> Settings:
    """A ranker's own settings, checked.

    Raises:
        ConfigError: The ranker is unknown, or a setting is wrong.
    """
    entry = MODELS.get(architecture.name)
    if entry is None:
        raise ConfigError(f"model {architecture.name!r} is unknown; {did_you_mean(architecture.name, MODELS)}")
    return validate(entry.settings, architecture.settings, source="model", error=ConfigError)


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
    settings = model_settings(architecture)

    def lookup(layout: TableLayout) -> Lookup:
        return build_lookup(layout, optimizer, backend=backend, device=device)

    model = MODELS[architecture.name].build(settings, architecture.embedding, fitted, lookup)
    return model if backend == "torchrec" else model.to(device)  # torchrec moves what it shards
