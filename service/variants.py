"""Loading what is served side by side, and checking that one request can go to any of it."""

import re
from collections.abc import Sequence
from pathlib import Path

from common.errors import ConfigError
from features.schema import Schema
from service.scorer import Scorer
from training.artifact import Artifact

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")


def load_variants(folders: Sequence[Path], names: Sequence[str] = ()) -> list[Scorer]:
    """Load an artifact for each variant.

    Variants may know different features: a request holds the features of all, and each takes its own.

    Args:
        folders: The artifacts.
        names: Names of the variants; none: the artifacts' own.

    Returns:
        A scorer a variant, in order.

    Raises:
        ArtifactError: An artifact is missing or damaged.
        ConfigError: The names do not fit, or two variants take a feature of one name differently.
    """
    if names and len(names) != len(folders):
        raise ConfigError(f"{len(names)} of {len(folders)} names are given; give a --name for each artifact, or none")
    artifacts = [Artifact.load(folder) for folder in folders]
    chosen = list(names) or [artifact.name for artifact in artifacts]
    for name in chosen:
        if not _NAME.fullmatch(name):
            raise ConfigError(f"{name!r} cannot name a variant; give a --name of letters, digits, '_', '.' and '-'")
        if chosen.count(name) > 1:
            raise ConfigError(f"{chosen.count(name)} variants are named {name!r}; give each a --name of its own")
    schemas = [artifact.fitted.schema for artifact in artifacts]
    _check_agreement(chosen, schemas)
    every = {feature.name for schema in schemas for feature in schema.features}
    return [
        Scorer(name, artifact, foreign=every - {feature.name for feature in artifact.fitted.schema.features})
        for name, artifact in zip(chosen, artifacts, strict=True)
    ]


def _check_agreement(names: Sequence[str], schemas: Sequence[Schema]) -> None:
    """Refuse variants of which no one request could satisfy both."""
    first: dict[str, tuple[str, str, str]] = {}
    for name, schema in zip(names, schemas, strict=True):
        for feature in schema.features:
            owner, kind, entity = first.setdefault(feature.name, (name, feature.kind, feature.entity))
            if (kind, entity) != (feature.kind, feature.entity):
                raise ConfigError(
                    f"feature {feature.name!r} is {kind} of the {entity} to {owner!r} and {feature.kind} of the "
                    f"{feature.entity} to {name!r}; serve models that take the same requests"
                )
