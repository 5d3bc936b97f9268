"""The values of encoded rows as people read them, as far as they can be told from what they were encoded to."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import polars as pl

from features.encoding.fitted import FittedSchema
from features.encoding.tokens import EMPTY_TOKEN, MISSING_TOKEN, token
from features.encoding.typed import KEEP
from features.encoding.vocabulary import MISSING_ID, RESERVED, UNSEEN_ID
from features.schema import BucketizedFeature, ColumnFeature, CrossFeature, SparseFeature

_MISSING, _UNSEEN = "missing", "unseen in training"


def value_texts(frame: pl.DataFrame, fitted: FittedSchema) -> dict[str, list[str]]:
    """The value of each feature in each row.

    Kept columns are shown as they were in the log. Else ids are looked up in their vocabulary, buckets are told by
    their edges, and numbers are as they are after their transforms. Of what was hashed only the token is left.

    Args:
        frame: Rows of a prepared set, with all columns.
        fitted: The fitted schema that encoded them.
    """
    return {feature.name: _texts(frame, feature, fitted) for feature in fitted.schema.features}


def _texts(frame: pl.DataFrame, feature: ColumnFeature | CrossFeature, fitted: FittedSchema) -> list[str]:
    if feature.kind != "cross" and feature.source in fitted.schema.keep:
        return [_MISSING if value is None else str(value) for value in frame[KEEP + feature.source].to_list()]
    values = frame[feature.name].to_list()
    if feature.kind == "numeric":
        return [_MISSING if value is None or np.isnan(value) else f"{value:g}" for value in values]
    text = _reader(feature, fitted)
    return [", ".join(map(text, value)) or "none" if isinstance(value, list) else text(value) for value in values]


def _reader(feature: SparseFeature, fitted: FittedSchema) -> Callable[[int], str]:
    """What tells the text of an encoded value."""
    vocabulary = fitted.vocabulary(feature)
    if feature.kind == "bucketized":
        buckets = _buckets(feature, fitted)
        return lambda value: buckets.get(value, _MISSING)
    if vocabulary is not None:
        special = {MISSING_ID: _MISSING, UNSEEN_ID: _UNSEEN}
        return lambda value: special.get(value) or str(vocabulary.values[value - RESERVED])
    hashed = {MISSING_TOKEN: _MISSING, EMPTY_TOKEN: "empty"}
    return lambda value: hashed.get(value) or f"token {value % 2**64:016x}"


def _buckets(feature: BucketizedFeature, fitted: FittedSchema) -> dict[int, str]:
    """The stretch of numbers that each id or token of a bucket stands for."""
    edges = fitted.edges[feature.name]
    numbers = range(len(edges) + 1)
    codes = [bucket + RESERVED if feature.encoding == "vocabulary" else token(str(bucket)) for bucket in numbers]
    texts = [f"below {edges[0]:g}" if edges else "any number"]
    texts += [f"{low:g} to {high:g}" for low, high in pairwise(edges)]
    texts += [f"{edges[-1]:g} and above"] if edges else []
    return dict(zip(codes, texts, strict=True))
