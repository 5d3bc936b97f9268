"""Encoding a request: the definitions of the fitted schema applied to Python values, without a data frame.

A value gives the same token, id or float32 here as in a prepared set. A feature that is left out is missing.
"""

import bisect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import RequestError, did_you_mean
from features.encoding.crosses import cross_text
from features.encoding.encoded import EncodedRows, Ragged
from features.encoding.fitted import FittedSchema
from features.encoding.numerics import encoded_value, exceeds_float32
from features.encoding.tokens import text, token
from features.encoding.vocabulary import MISSING_ID, RESERVED
from features.schema import (
    BucketizedFeature,
    CategoricalFeature,
    Entity,
    ListFeature,
    NumericFeature,
    SequenceFeature,
    SparseFeature,
)


class RequestEncoder:
    """Encodes the candidates of one request.

    Args:
        fitted: The fitted schema of the model that will score them.
    """

    def __init__(self, fitted: FittedSchema) -> None:
        self._schema = fitted.schema
        self._fitted = fitted
        self._given = {feature.name: feature for feature in fitted.schema.given}
        self._crosses = {cross.name: cross for cross in fitted.schema.crosses}
        self._ids = {feature.name: _ids(fitted, feature) for feature in fitted.schema.sparse}

    def encode(
        self,
        user: Mapping[str, Any],
        context: Mapping[str, Any],
        candidates: Sequence[Mapping[str, Any]],
        *,
        user_id: str | int | None = None,
        candidate_ids: Sequence[str | int] = (),
    ) -> EncodedRows:
        """Encode a request: a row a candidate.

        Args:
            user: Features whose entity is ``user``, by name.
            context: Features whose entity is ``context``.
            candidates: For each candidate its features, whose entity is ``item``.
            user_id: Fills the feature that identifies a user, where the schema names one.
            candidate_ids: Likewise for each candidate.

        Returns:
            The rows, in the order of the candidates.

        Raises:
            RequestError: A feature is unknown, stands in the wrong place, or has a value its kind cannot take.
        """
        identities = self._schema.entities
        user = _with_identity(user, identities.get("user"), user_id, "user")
        self._check_names(user, "user", "user")
        self._check_names(context, "context", "context")
        items = []
        for i, features in enumerate(candidates):
            where = f"candidates[{i}].features"
            candidate_id = candidate_ids[i] if candidate_ids else None
            items.append(_with_identity(features, identities.get("item"), candidate_id, where))
            self._check_names(items[-1], "item", where)

        count = len(items)
        shared = {"user": user, "context": context}
        texts: dict[str, list[str | None]] = {}  # a text for all rows, or one a row
        encoded: dict[str, list[Any]] = {}  # likewise
        for feature in self._schema.given:
            name = feature.name
            if feature.entity == "item":
                places = [(item.get(name), f"candidates[{i}].features.{name}") for i, item in enumerate(items)]
            else:
                places = [(shared[feature.entity].get(name), f"{feature.entity}.{name}")]
            if isinstance(feature, NumericFeature):
                encoded[name] = [self._numeric(feature, *place) for place in places]
            elif isinstance(feature, ListFeature):
                encoded[name] = [self._list(feature, *place) for place in places]
            else:
                texts[name] = [self._text(feature, *place) for place in places]
                encoded[name] = [self._ids[name](found) for found in texts[name]]
        for cross in self._schema.crosses:
            a, b = (texts[name] for name in cross.of)
            if len(a) != len(b):
                a, b = _spread(a, count), _spread(b, count)
            encoded[cross.name] = [self._ids[cross.name](found) for found in map(cross_text, a, b)]

        one_hot = [f.name for f in self._schema.sparse if not isinstance(f, ListFeature)]
        numeric = [f.name for f in self._schema.numeric]
        return EncodedRows(
            schema=self._schema,
            categorical=_matrix([encoded[name] for name in one_hot], count, np.int64),
            lists={
                f.name: _ragged(_spread(encoded[f.name], count))
                for f in self._schema.sparse
                if isinstance(f, ListFeature)
            },
            dense=_matrix([encoded[name] for name in numeric], count, np.float32),
        )

    def _check_names(self, given: Mapping[str, Any], entity: Entity, where: str) -> None:
        for name in given:
            feature = self._given.get(name)
            if name in self._crosses:
                parts = " and ".join(map(repr, self._crosses[name].of))
                raise RequestError(f"feature {name!r} is a cross; give {parts} instead", where=f"{where}.{name}")
            if feature is None:
                known = [f.name for f in self._schema.given if f.entity == entity]
                raise RequestError(f"unknown feature {name!r}; {did_you_mean(name, known)}", where=f"{where}.{name}")
            if feature.entity != entity:
                raise RequestError(
                    f"feature {name!r} describes the {feature.entity}, not the {entity}; move it there",
                    where=f"{where}.{name}",
                )

    def _numeric(self, feature: NumericFeature, value: Any, where: str) -> float:
        number = _number(value, where)
        if number is None or (math.isfinite(number) and not exceeds_float32(np.array(number), feature)):
            encoded = encoded_value(number, feature, self._fitted.statistics.get(feature.name))
            if not np.isinf(encoded):
                return float(encoded)
        raise RequestError("the number is not finite, or too large for float32", where=where)

    def _text(self, feature: CategoricalFeature | BucketizedFeature, value: Any, where: str) -> str | None:
        """The text that a feature is known by, alone or in a cross; None where it is missing."""
        if feature.kind == "categorical":
            return _text(value, where)
        number = _number(value, where)
        if number is None:
            return None
        if not math.isfinite(number):
            raise RequestError("the number is not finite, or too large for float64", where=where)
        return str(bisect.bisect_right(self._fitted.edges[feature.name], number))

    def _list(self, feature: ListFeature, value: Any, where: str) -> list[int]:
        if value is None:
            return []
        if not isinstance(value, list):
            order = ", most recent last" if isinstance(feature, SequenceFeature) else ""
            raise RequestError(f"a list of texts or integers is expected{order}, not {_shown(value)}", where=where)
        first = max(len(value) - feature.max_length, 0) if isinstance(feature, SequenceFeature) else 0
        kept = value[first : first + feature.max_length]
        return [self._ids[feature.name](_text(v, f"{where}[{i}]")) for i, v in enumerate(kept, first)]


def _ids(fitted: FittedSchema, feature: SparseFeature) -> Callable[[str | None], int]:
    """What gives a feature's texts their ids, or tokens."""
    vocabulary = fitted.vocabulary(feature)
    if vocabulary is not None:
        return vocabulary.id
    if feature.kind == "bucketized" and feature.encoding == "vocabulary":
        return lambda bucket: MISSING_ID if bucket is None else int(bucket) + RESERVED
    return token


def _with_identity(
    features: Mapping[str, Any], name: str | None, identity: str | int | None, where: str
) -> Mapping[str, Any]:
    """Features completed by the entity's id, unless they have it themselves."""
    if name is None or identity is None:
        return features
    if name in features and text(features[name]) != text(identity):
        raise RequestError(
            f"feature {name!r} contradicts the id {identity!r}; drop one of them", where=f"{where}.{name}"
        )
    return {**features, name: identity}


def _number(value: Any, where: str) -> float | None:
    """A number, infinite where float64 cannot hold it."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RequestError(f"a number is expected, not {_shown(value)}", where=where)
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _text(value: Any, where: str) -> str | None:
    if value is not None and not isinstance(value, str | int):
        raise RequestError(f"a text or an integer is expected, not {_shown(value)}", where=where)
    try:
        found = text(value)
    except ValueError:  # Python writes no integer of more than 4,300 digits
        raise RequestError("the integer has too many digits", where=where) from None
    if found is not None:
        try:
            found.encode()
        except UnicodeEncodeError:
            raise RequestError("the text is not valid unicode", where=where) from None
    return found


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return repr(value)[:40]


def _spread(values: list[Any], count: int) -> list[Any]:
    """A value a row, from one for all rows or one a row already."""
    return values * count if len(values) == 1 else values


def _matrix(columns: list[list[Any]], count: int, dtype: type[np.generic]) -> NDArray[Any]:
    """Columns side by side, each of one value for all rows or one a row."""
    spread = np.empty((count, len(columns)), dtype)
    for i, column in enumerate(columns):
        spread[:, i] = np.array(column, dtype)
    return spread


def _ragged(lists: list[list[int]]) -> Ragged:
    """Lists as values and offsets."""
    flat = np.array([token for some in lists for token in some], np.int64)
    return flat, np.cumsum([0, *map(len, lists)], dtype=np.int64)
