"""The schema: what each column of a raw log is, declared once and used by every later part.

A ``schema.yaml`` looks like this::

    label: click                  # 0 or 1
    group: user_id                # whose rows GAUC compares; optional
    timestamp: time               # for splits by time; optional
    keep: [request_id]            # columns copied beside each prepared row; optional
    entities: {user: user_id, item: ad_id}
    features:
      - {name: user_id, kind: categorical, entity: user}
      - {name: ad_id, kind: categorical, entity: item}
      - {name: age, kind: numeric, entity: user, transforms: [standardize], missing: mask}
      - {name: recent_ads, kind: sequence, entity: user, of: ad_id, max_length: 20}
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from common.errors import SchemaError, did_you_mean
from common.settings import Settings, read_mapping, validate

Entity = Literal["user", "item", "context"]
Encoding = Literal["token", "vocabulary"]
Transform = Literal["log1p", "standardize", "minmax"]
_FLOAT32_MAX = 3.4028234663852886e38
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]*$", max_length=128)]


class _Feature(Settings):
    """What the features of every kind share."""

    name: Name
    column: str | None = Field(default=None, min_length=1)
    entity: Entity = "context"

    @property
    def source(self) -> str:
        """Raw column that holds the feature: ``column``, or the feature's own name."""
        return self.column or self.name


class CategoricalFeature(_Feature):
    """One value out of many, such as an id.

    Attributes:
        encoding: ``token``: the 64-bit hash of the text, addressed into any table later. ``vocabulary``: an id
            from the values of the training rows (0 missing, 1 unseen, 2.. by falling frequency).
        min_count: With ``vocabulary``, values seen less often become unseen.
    """

    kind: Literal["categorical"]
    encoding: Encoding = "token"
    min_count: int = Field(default=1, ge=1)


class NumericFeature(_Feature):
    """A number.

    Attributes:
        transforms: Applied in order. ``log1p`` is sign(x) ln(1 + abs(x)), so that negative counts stay finite;
            ``standardize`` and ``minmax`` use statistics of the training rows.
        missing: ``mask`` keeps a missing value apart (models learn a vector for it); a number is filled in before
            the transforms.
    """

    kind: Literal["numeric"]
    transforms: tuple[Transform, ...] = ()
    missing: Literal["mask"] | float = "mask"

    @model_validator(mode="after")
    def _can_be_computed(self) -> "NumericFeature":
        if any(transform != "log1p" for transform in self.transforms[:-1]):
            raise ValueError(
                f"feature {self.name!r}: standardize or minmax comes last and once, after any log1p; reorder transforms"
            )
        if self.missing != "mask" and abs(self.missing) > _FLOAT32_MAX:
            raise ValueError(f"feature {self.name!r}: missing {self.missing:g} is too large for float32; fill in less")
        return self

    @property
    def fitted_transform(self) -> Literal["standardize", "minmax"] | None:
        """The transform that needs statistics of the training rows, if there is one."""
        last = self.transforms[-1] if self.transforms else "log1p"
        return None if last == "log1p" else last


class SequenceFeature(_Feature):
    """A list of values, most recent last.

    Attributes:
        of: A categorical feature whose encoding and embedding rows the elements share.
        encoding: As for a categorical feature; with ``of`` it is that feature's.
        min_count: As for a categorical feature; with ``of`` it is that feature's.
        max_length: The most recent elements that are kept.
        separator: What parts the elements where the column is text, as in csv.
        pooling: How a model without a sequence encoder joins the elements' embeddings.
    """

    kind: Literal["sequence"]
    of: str | None = None
    encoding: Encoding = "token"
    min_count: int = Field(default=1, ge=1)
    max_length: int = Field(default=50, ge=1, le=10_000)
    separator: str = Field(default=" ", min_length=1)
    pooling: Literal["sum", "mean"] = "mean"


Feature = Annotated[CategoricalFeature | NumericFeature | SequenceFeature, Field(discriminator="kind")]


class Schema(Settings):
    """The declaration of a raw log's columns.

    Attributes:
        label: Column of the 0/1 label.
        features: The model's inputs, in the order that models see them.
        group: Column whose equal values form a group for GAUC.
        timestamp: Column to split by time: an integer, a datetime or ISO 8601 text.
        keep: Columns copied unchanged beside each prepared row: keys, slices, known probabilities.
        entities: For ``user`` and ``item``, the categorical feature that identifies one; a scoring request's
            ``user_id`` and candidate ``id`` fill it.
    """

    label: str
    features: tuple[Feature, ...] = Field(min_length=1)
    group: str | None = None
    timestamp: str | None = None
    keep: tuple[str, ...] = ()
    entities: dict[Literal["user", "item"], str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_agree(self) -> "Schema":
        names = [feature.name for feature in self.features]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"feature {name!r} is named twice; give each feature a name of its own")
        if len(set(self.keep)) < len(self.keep):
            raise ValueError("keep names a column twice; name each once")
        for feature in self.features:
            if feature.source == self.label:
                raise ValueError(
                    f"feature {feature.name!r} reads the label {self.label!r}; remove it, it gives the answer away"
                )
            if feature.kind == "sequence" and feature.of is not None:
                self._require_categorical(feature.of, f"sequence {feature.name!r} is of")
        for entity, name in self.entities.items():
            identity = self._require_categorical(name, f"entities: {entity} is identified by")
            if identity.entity != entity:
                raise ValueError(
                    f"entities: {entity} is identified by {name!r}, whose entity is {identity.entity}; make them agree"
                )
        return self

    def _require_categorical(self, name: str, subject: str) -> CategoricalFeature:
        found = [f for f in self.features if f.kind == "categorical"]
        for feature in found:
            if feature.name == name:
                return feature
        hint = did_you_mean(name, [f.name for f in found])
        raise ValueError(f"{subject} {name!r}, which is no categorical feature; {hint}")

    @property
    def sparse(self) -> tuple[CategoricalFeature | SequenceFeature, ...]:
        """Features that become tokens, in order."""
        return tuple(f for f in self.features if f.kind != "numeric")

    @property
    def numeric(self) -> tuple[NumericFeature, ...]:
        """Features that stay numbers, in order."""
        return tuple(f for f in self.features if f.kind == "numeric")

    def feature(self, name: str) -> CategoricalFeature | NumericFeature | SequenceFeature:
        """The feature of a name.

        Raises:
            SchemaError: No feature has it.
        """
        for feature in self.features:
            if feature.name == name:
                return feature
        raise SchemaError(f"no feature {name!r}; {did_you_mean(name, [f.name for f in self.features])}")

    def encoder_of(self, feature: CategoricalFeature | SequenceFeature) -> CategoricalFeature | SequenceFeature:
        """The feature whose encoding and embedding rows this one uses: itself, or what a sequence is ``of``."""
        if feature.kind == "sequence" and feature.of is not None:
            owner = self.feature(feature.of)
            assert owner.kind == "categorical"
            return owner
        return feature

    @property
    def columns(self) -> tuple[str, ...]:
        """Every raw column that is read, each once."""
        named = [self.label, self.group, self.timestamp, *self.keep, *(f.source for f in self.features)]
        return tuple(dict.fromkeys(column for column in named if column is not None))


def load_schema(path: Path) -> Schema:
    """Read and check a ``schema.yaml``.

    Raises:
        SchemaError: The file is missing, is not yaml, or breaks a rule; the message names the key.
    """
    return parse_schema(read_mapping(path, SchemaError), source=str(path))


def parse_schema(document: dict[str, Any], *, source: str) -> Schema:
    """Check a schema given as a plain mapping.

    Raises:
        SchemaError: It breaks a rule; the message starts with ``source``.
    """
    return validate(Schema, document, source=source, error=SchemaError)
