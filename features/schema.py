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
      - {name: income, kind: bucketized, entity: user, buckets: 10}
      - {name: interests, kind: multivalued, entity: user, separator: "|"}
      - {name: recent_ads, kind: sequence, entity: user, of: ad_id, max_length: 20}
      - {name: income_by_ad, kind: cross, of: [income, ad_id]}
"""

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from common.errors import SchemaError, did_you_mean
from common.settings import Settings, read_mapping, validate

Entity = Literal["user", "item", "context"]
Encoding = Literal["token", "vocabulary"]
Transform = Literal["log1p", "standardize", "minmax", "quantile"]
FittedTransform = Literal["standardize", "minmax", "quantile"]
FLOAT32_MAX = 3.4028234663852886e38
_MAX_BUCKETS = 1000
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]*$", max_length=128)]


class _Feature(Settings):
    """What the features that are read from a column share."""

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
            ``standardize``, ``minmax`` and ``quantile`` (the share of the training values below, in [0, 1]) use
            statistics of the training rows.
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
                f"feature {self.name!r}: standardize, minmax or quantile comes last and once, after any log1p; "
                "reorder transforms"
            )
        if self.missing != "mask" and abs(self.missing) > FLOAT32_MAX:
            raise ValueError(f"feature {self.name!r}: missing {self.missing:g} is too large for float32; fill in less")
        return self

    @property
    def fitted_transform(self) -> FittedTransform | None:
        """The transform that needs statistics of the training rows, if there is one."""
        last = self.transforms[-1] if self.transforms else "log1p"
        return None if last == "log1p" else last


class BucketizedFeature(_Feature):
    """A number that becomes the token, or id, of the bucket it falls into.

    Bucket i holds the numbers from edge i - 1, included, to edge i, left out; below the first edge lies bucket 0.

    Attributes:
        edges: The edges, rising.
        buckets: Instead: how many buckets of about equal weight to fit on the training rows. Fewer come out where one
            value has more weight than a bucket.
        encoding: ``token``: the token of the bucket's number. ``vocabulary``: an id a bucket, 2 for bucket 0.
    """

    kind: Literal["bucketized"]
    edges: tuple[float, ...] | None = Field(default=None, min_length=1, max_length=_MAX_BUCKETS - 1)
    buckets: int | None = Field(default=None, ge=2, le=_MAX_BUCKETS)
    encoding: Encoding = "token"

    @model_validator(mode="after")
    def _can_be_computed(self) -> "BucketizedFeature":
        if (self.edges is None) == (self.buckets is None):
            raise ValueError(f"feature {self.name!r}: give either edges, or buckets to fit them on the training rows")
        edges = self.edges or ()
        if any(b <= a for a, b in pairwise(edges)):
            raise ValueError(f"feature {self.name!r}: edges do not rise; sort them, each once")
        return self


_SHARED = ("encoding", "min_count")


class _ListFeature(_Feature):
    """What the features with many values a row share.

    Attributes:
        of: A categorical feature whose encoding and embedding rows the elements share.
        encoding: As for a categorical feature; with ``of`` it is that feature's, and is not given.
        min_count: As for a categorical feature; with ``of`` it is that feature's, and is not given.
        max_length: The most elements that are kept.
        separator: What parts the elements where the column is text, as in csv.
        pooling: How the elements' embeddings are joined; a model with a sequence encoder leaves a sequence's unjoined.
    """

    of: str | None = None
    encoding: Encoding = "token"
    min_count: int = Field(default=1, ge=1)
    max_length: int = Field(default=50, ge=1, le=10_000)
    separator: str = Field(default=" ", min_length=1)
    pooling: Literal["sum", "mean"] = "mean"

    @model_validator(mode="after")
    def _shares_or_has_its_own(self) -> "_ListFeature":
        own = [key for key in _SHARED if key in self.model_fields_set]
        if self.of is not None and own:
            raise ValueError(
                f"feature {self.name!r} is of {self.of!r}, whose {own[0]} it shares; drop its own {own[0]}, or of"
            )
        return self

    @model_serializer(mode="wrap")  # what is written must be accepted when it is read again
    def _as_it_may_be_given(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in dump(self).items() if self.of is None or key not in _SHARED}


class MultivaluedFeature(_ListFeature):
    """A set of values without order, such as a film's genres; of too many, the first ``max_length`` stay."""

    kind: Literal["multivalued"]


class SequenceFeature(_ListFeature):
    """A list of values in the order of time, most recent last; of too many, the last ``max_length`` stay."""

    kind: Literal["sequence"]


class CrossFeature(Settings):
    """Two features' values taken together as one value; missing where both are.

    Attributes:
        of: Two categorical or bucketized features.
        encoding: As for a categorical feature.
        min_count: As for a categorical feature.
    """

    name: Name
    kind: Literal["cross"]
    of: tuple[str, str]
    encoding: Encoding = "token"
    min_count: int = Field(default=1, ge=1)


ColumnFeature = CategoricalFeature | NumericFeature | BucketizedFeature | MultivaluedFeature | SequenceFeature
"""A feature that is read from a column, or given in a request."""

SparseFeature = CategoricalFeature | BucketizedFeature | MultivaluedFeature | SequenceFeature | CrossFeature
"""A feature that becomes tokens or ids."""

ListFeature = MultivaluedFeature | SequenceFeature
"""A feature with any number of values a row."""

Feature = Annotated[ColumnFeature | CrossFeature, Field(discriminator="kind")]


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
            if feature.kind == "cross":
                self._check_cross(feature)
                continue
            if feature.source == self.label:
                raise ValueError(
                    f"feature {feature.name!r} reads the label {self.label!r}; remove it, it gives the answer away"
                )
            if isinstance(feature, ListFeature) and feature.of is not None:
                self._require_categorical(feature.of, f"{feature.kind} {feature.name!r} is of")
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

    def _check_cross(self, cross: CrossFeature) -> None:
        crossed = {f.name: f for f in self.features if f.kind in ("categorical", "bucketized")}
        for name in cross.of:
            part = crossed.get(name)
            if part is None:
                hint = did_you_mean(name, crossed)
                raise ValueError(
                    f"cross {cross.name!r} is of {name!r}, which is no categorical or bucketized feature; {hint}"
                )
            if part.kind == "bucketized" and part.edges is None and cross.encoding == "vocabulary":
                raise ValueError(
                    f"cross {cross.name!r} has a vocabulary, and {name!r} edges that are only fitted at the same time; "
                    "give edges, or use encoding: token"
                )
        if cross.of[0] == cross.of[1]:
            raise ValueError(f"cross {cross.name!r} is of {cross.of[0]!r} twice; name two features")

    @property
    def sparse(self) -> tuple[SparseFeature, ...]:
        """Features that become tokens or ids, in order."""
        return tuple(f for f in self.features if f.kind != "numeric")

    @property
    def numeric(self) -> tuple[NumericFeature, ...]:
        """Features that stay numbers, in order."""
        return tuple(f for f in self.features if f.kind == "numeric")

    @property
    def given(self) -> tuple[ColumnFeature, ...]:
        """Features that are read from a column, or given in a request, in order; the others follow from them."""
        return tuple(f for f in self.features if f.kind != "cross")

    @property
    def crosses(self) -> tuple[CrossFeature, ...]:
        """Features that are two others taken together, in order."""
        return tuple(f for f in self.features if f.kind == "cross")

    def feature(self, name: str) -> ColumnFeature | CrossFeature:
        """The feature of a name.

        Raises:
            SchemaError: No feature has it.
        """
        for feature in self.features:
            if feature.name == name:
                return feature
        raise SchemaError(f"no feature {name!r}; {did_you_mean(name, [f.name for f in self.features])}")

    def encoder_of(self, feature: SparseFeature) -> SparseFeature:
        """The feature whose encoding and embedding rows this one uses: itself, or what a list is ``of``."""
        if isinstance(feature, ListFeature) and feature.of is not None:
            owner = self.feature(feature.of)
            assert owner.kind == "categorical"
            return owner
        return feature

    def crossed(self, cross: CrossFeature) -> tuple[CategoricalFeature | BucketizedFeature, ...]:
        """The two features that a cross is of."""
        parts = tuple(self.feature(name) for name in cross.of)
        return tuple(part for part in parts if isinstance(part, CategoricalFeature | BucketizedFeature))

    @property
    def columns(self) -> tuple[str, ...]:
        """Every raw column that is read, each once."""
        named = [self.label, self.group, self.timestamp, *self.keep, *(f.source for f in self.given)]
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
