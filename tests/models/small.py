"""Small schemas, one of them with every kind of feature, rows for them, and rankers over them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
import torch

from features.encoding.fitted import FittedSchema
from features.encoding.fitter import Fitter
from features.encoding.typed import LABEL
from features.encoding.vocabulary import Vocabulary
from features.schema import parse_schema
from models.ranker import Ranker
from models.registry import Architecture, build_model

SCHEMA: dict[str, Any] = {
    "label": "click",
    "features": [
        {"name": "user", "kind": "categorical", "entity": "user", "encoding": "vocabulary"},
        {"name": "age", "kind": "numeric", "entity": "user"},
        {"name": "item", "kind": "categorical", "entity": "item"},
        {"name": "history", "kind": "sequence", "entity": "user", "of": "item", "max_length": 3},
        {"name": "price", "kind": "numeric", "entity": "item", "missing": 0},
    ],
}

EVERY_KIND: dict[str, Any] = {
    "label": "click",
    "features": [
        *SCHEMA["features"],
        {"name": "income", "kind": "bucketized", "buckets": 4},
        {"name": "level", "kind": "bucketized", "edges": [0.0], "encoding": "vocabulary"},
        {"name": "rank", "kind": "numeric", "transforms": ["quantile"]},
        {"name": "genres", "kind": "multivalued", "encoding": "vocabulary", "pooling": "sum"},
        {"name": "user_by_item", "kind": "cross", "of": ["user", "item"]},
        {"name": "user_by_level", "kind": "cross", "of": ["user", "level"], "encoding": "vocabulary"},
    ],
}

FRAPPE = {
    "user": 956, "item": 4084, "daytime": 9, "weekday": 9, "isweekend": 4,
    "homework": 5, "cost": 4, "weather": 11, "country": 82, "city": 235,
}  # fmt: skip
"""The vocabularies of Frappe, the two reserved ids of each included."""


def typed(rows: int, seed: int = 0) -> pl.DataFrame:
    """Random typed rows; some ages are missing, some histories empty."""
    draw = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "user": [f"u{i}" for i in draw.integers(0, 5, rows)],
            "age": [None if i == 0 else float(i) for i in draw.integers(0, 4, rows)],
            "item": [f"i{i}" for i in draw.integers(0, 50, rows)],
            "history": [[f"i{i}" for i in draw.integers(0, 50, n)] for n in draw.integers(0, 4, rows)],
            "price": draw.normal(size=rows),
            LABEL: draw.integers(0, 2, rows).astype(np.uint8),
            "genres": [[f"g{i}" for i in draw.integers(0, 9, n)] for n in draw.integers(0, 4, rows)],
            **dict.fromkeys(("income", "level", "rank"), draw.normal(size=rows)),
        },
        schema_overrides={"history": pl.List(pl.String), "genres": pl.List(pl.String)},
    )


def fit(document: dict[str, Any]) -> FittedSchema:
    """The schema fitted on 200 rows."""
    fitter = Fitter(parse_schema(document, source="test"))
    fitter.update(typed(200))
    return fitter.fitted()


def vocabulary_schema(sizes: Mapping[str, int], numerics: Sequence[str] = ()) -> FittedSchema:
    """A schema of numbers that are never missing and vocabularies of known sizes, the two reserved ids included."""
    features = [{"name": name, "kind": "numeric", "missing": 0} for name in numerics]
    features += [{"name": name, "kind": "categorical", "encoding": "vocabulary"} for name in sizes]
    schema = parse_schema({"label": "click", "features": features}, source="test")
    values = {name: pl.int_range(size - 2, eager=True).cast(pl.String) for name, size in sizes.items()}
    return FittedSchema(schema, {}, {}, {name: Vocabulary(texts) for name, texts in values.items()})


def build(fitted: FittedSchema, name: str, settings: Mapping[str, Any] = {}, **embedding: Any) -> Ranker:
    """A ranker drawn from seed 0; without other settings of the table its rows are large, so that products matter."""
    hashed = any(fitted.ids(feature) is None for feature in fitted.schema.sparse)
    table = {"dim": 4, "init_std": 1.0, **({"rows": 100} if hashed else {}), **embedding}
    torch.manual_seed(0)
    document = {"name": name, "settings": dict(settings), "embedding": table}
    return build_model(Architecture.model_validate(document), fitted)
