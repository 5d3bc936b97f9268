"""Loading what is served side by side, and checking that one request can go to any of it."""

import re
from collections.abc import Sequence
from pathlib import Path

from common.errors import ConfigError
from features.schema import ColumnFeature, Schema
from kernels.lookup.quantized import TablePrecision
from service.scorer import Scorer
from training.artifact import Artifact

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")

_VALUE = {"categorical": "text", "numeric": "number", "bucketized": "number", "multivalued": "list", "sequence": "list"}
"""What a request gives for a feature of each kind."""


def load_variants(
    folders: Sequence[Path], names: Sequence[str] = (), *, table: TablePrecision = "fp32"
) -> list[Scorer]:
    """Load an artifact for each variant.

    Variants may know different features: a request holds the features of all, and each takes its own.

    Args:
        folders: The artifacts.
        names: Names of the variants; none: the artifacts' own.
        table: What the rows of their tables are kept in.

    Returns:
        A scorer a variant, in order.

    Raises:
        ArtifactError: An artifact is missing or damaged.
        ConfigError: The names do not fit, or two variants take a feature of one name differently.
    """
    if names and len(names) != len(folders):
        raise ConfigError(f"{len(names)} of {len(folders)} names are given; give a --name for each artifact, or none")
    artifacts = [Artifact.load(folder, table=table) for folder in folders]
    chosen = list(names) or [artifact.name for artifact in artifacts]
    for name in chosen:
        if not _NAME.fullmatch(name):
            raise ConfigError(f"{name!r} cannot name a variant; give a --name of letters, digits, '_', '.' and '-'")
        if chosen.count(name) > 1:
            raise ConfigError(f"{chosen.count(name)} variants are named {name!r}; give each a --name of its own")
    schemas = [artifact.fitted.schema for artifact in artifacts]
    _check_agreement(chosen, schemas)
    given = [{feature.name for feature in schema.given} for schema in schemas]
    every = set[str]().union(*given)
    return [
        Scorer(name, artifact, foreign=every - own)
        for name, artifact, own in zip(chosen, artifacts, given, strict=True)
    ]


def _check_agreement(names: Sequence[str], schemas: Sequence[Schema]) -> None:
    """Refuse variants of which no one request could satisfy both."""
    first: dict[str, tuple[str, ColumnFeature]] = {}
    for name, schema in zip(names, schemas, strict=True):
        for feature in schema.given:
            owner, known = first.setdefault(feature.name, (name, feature))
            if (_VALUE[known.kind], known.entity) != (_VALUE[feature.kind], feature.entity):
                raise ConfigError(
                    f"feature {feature.name!r} is {known.kind} of the {known.entity} to {owner!r} and {feature.kind} "
                    f"of the {feature.entity} to {name!r}; serve models that take the same requests"
                )
