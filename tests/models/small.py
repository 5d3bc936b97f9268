"""Small schemas, one of them with every kind of feature, and rows for them."""

from typing import Any

import numpy as np
import polars as pl

from features.encoding.fitted import FittedSchema
from features.encoding.fitter import Fitter
from features.encoding.typed import LABEL
from features.schema import parse_schema

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
