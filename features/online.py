"""Encoding a request: the definitions of the fitted schema applied to Python values, without a data frame.

A value gives the same token, id or float32 here as in a prepared set. A feature that is left out is missing.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import RequestError, did_you_mean
from features.encoded import EncodedRows, Ragged
from features.fitted import FittedSchema
from features.numerics import encoded_value, exceeds_float32
from features.schema import CategoricalFeature, Entity, NumericFeature, SequenceFeature
from features.tokens import text, token


class RequestEncoder:
    """Encodes the candidates of one request.

    Args:
        fitted: The fitted schema of the model that will score them.
    """

    def __init__(self, fitted: FittedSchema) -> None:
        self._schema = fitted.schema
        self._fitted = fitted
        self._features = {feature.name: feature for feature in fitted.schema.features}
        self._ids: dict[str, Callable[[str | None], int]] = {}
        for feature in fitted.schema.sparse:
            vocabulary = fitted.vocabulary(feature)
            self._ids[feature.name] = token if vocabulary is None else vocabulary.id

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
        categorical: list[NDArray[Any]] = []
        dense: list[NDArray[Any]] = []
        sequences: dict[str, Ragged] = {}
        for feature in self._schema.features:
            if feature.entity == "item":
                places = [(item, f"candidates[{i}].features.{feature.name}") for i, item in enumerate(items)]
            else:
                places = [(shared[feature.entity], f"{feature.entity}.{feature.name}")]
            values = [self._encode(feature, source.get(feature.name), where) for source, where in places]
            if feature.kind == "sequence":
                sequences[feature.name] = _ragged(values, count)
            else:
                column = np.array(values, np.float32 if feature.kind == "numeric" else np.int64)
                (dense if feature.kind == "numeric" else categorical).append(np.broadcast_to(column, count))
        return EncodedRows(
            schema=self._schema,
            categorical=np.stack(categorical, 1) if categorical else np.zeros((count, 0), np.int64),
            sequences=sequences,
            dense=np.stack(dense, 1) if dense else np.zeros((count, 0), np.float32),
        )

    def _check_names(self, given: Mapping[str, Any], entity: Entity, where: str) -> None:
        for name in given:
            feature = self._features.get(name)
            if feature is None:
                known = [f.name for f in self._schema.features if f.entity == entity]
                raise RequestError(f"unknown feature {name!r}; {did_you_mean(name, known)}", where=f"{where}.{name}")
            if feature.entity != entity:
                raise RequestError(
                    f"feature {name!r} describes the {feature.entity}, not the {entity}; move it there",
                    where=f"{where}.{name}",
                )

    def _encode(
        self, feature: CategoricalFeature | NumericFeature | SequenceFeature, value: Any, where: str
    ) -> int | float | list[int]:
        if feature.kind == "numeric":
            return self._numeric(feature, value, where)
        to_id = self._ids[feature.name]
        if feature.kind == "categorical":
            return to_id(_text(value, where))
        if value is None:
            return []
        if not isinstance(value, list):
            raise RequestError("a sequence is a list of texts or integers, most recent last", where=where)
        first = max(len(value) - feature.max_length, 0)
        return [to_id(_text(v, f"{where}[{i}]")) for i, v in enumerate(value[first:], first)]

    def _numeric(self, feature: NumericFeature, value: Any, where: str) -> float:
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise RequestError(f"a number is expected, not {_shown(value)}", where=where)
        try:
            encoded = encoded_value(value, feature, self._fitted.statistics.get(feature.name))
            fits = value is None or (
                math.isfinite(value) and np.isfinite(encoded) and not exceeds_float32(np.array(float(value)), feature)
            )
        except OverflowError:
            fits = False
        if not fits:
            raise RequestError("the number is not finite, or too large for float32", where=where)
        return float(encoded)


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


def _ragged(values: list[Any], count: int) -> Ragged:
    """Lists as values and offsets; one list stands for all rows."""
    if len(values) == 1:
        values = values * count
    lengths = [len(v) for v in values]
    flat = np.array([token for v in values for token in v], np.int64)
    return flat, np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)
