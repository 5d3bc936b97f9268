"""Raw rows of every kind of feature: plain ones to train on, strange ones to compare offline and online with."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

SCHEMA: dict[str, Any] = {
    "label": "click",
    "group": "user_id",
    "keep": ["row"],
    "entities": {"user": "user_id", "item": "ad_id"},
    "features": [
        {"name": "user_id", "kind": "categorical", "entity": "user"},
        {"name": "age", "kind": "numeric", "entity": "user", "transforms": ["standardize"]},
        {"name": "recent_ads", "kind": "sequence", "entity": "user", "of": "ad_id", "max_length": 3},
        {"name": "ad_id", "kind": "categorical", "entity": "item", "encoding": "vocabulary"},
        {"name": "category", "kind": "categorical", "entity": "item", "encoding": "vocabulary", "min_count": 2},
        {"name": "price", "kind": "numeric", "entity": "item", "transforms": ["log1p"], "missing": 1.0},
        {"name": "tags", "kind": "sequence", "entity": "item", "separator": "|", "pooling": "sum"},
        {"name": "hour", "kind": "categorical"},
        {"name": "device", "kind": "categorical", "encoding": "vocabulary"},
        {"name": "warmth", "column": "temperature", "kind": "numeric", "transforms": ["minmax"]},
        {"name": "raw", "kind": "numeric", "missing": 0.0},
        {"name": "age_band", "column": "age", "kind": "bucketized", "entity": "user", "buckets": 4},
        {"name": "cheap", "column": "price", "kind": "bucketized", "entity": "item", "edges": [0.0, 5.0]},
        {"name": "tag", "column": "tags", "kind": "multivalued", "entity": "item", "separator": "|", "max_length": 1},
        {"name": "band_by_category", "kind": "cross", "of": ["age_band", "category"]},
        {"name": "cheap_by_hour", "kind": "cross", "of": ["cheap", "hour"], "encoding": "vocabulary"},
    ],
}


def write_log(path: Path, rows: int, seed: int) -> None:
    """Plain rows as csv; one in ten values is missing."""
    draw = np.random.default_rng(seed)
    ads, users = draw.integers(0, 20, rows), draw.integers(0, 30, rows)

    def thinned(values: list[Any]) -> list[Any]:
        return [None if draw.random() < 0.1 else value for value in values]

    pl.DataFrame(
        {
            "row": [f"r{i}" for i in range(rows)],
            "click": ((ads + users + draw.integers(0, 9, rows)) % 3 == 0).astype(int),
            "user_id": [f"u{u}" for u in users],
            "age": thinned(draw.integers(18, 80, rows).tolist()),
            "recent_ads": thinned([" ".join(f"ad{a}" for a in draw.integers(0, 20, 4)) for _ in range(rows)]),
            "ad_id": [f"ad{a}" for a in ads],
            "category": thinned([("shoes", "books", "Bücher", "車")[a % 4] for a in ads]),
            "price": thinned(draw.exponential(9, rows).round(2).tolist()),
            "tags": thinned(["|".join(("new", "sale", "été")[: n + 1]) for n in draw.integers(0, 3, rows)]),
            "hour": draw.integers(0, 24, rows),
            "device": thinned([("phone", "tablet", "desktop")[d] for d in draw.integers(0, 3, rows)]),
            "temperature": thinned(draw.normal(15, 8, rows).round(1).tolist()),
            "raw": thinned(draw.normal(0, 1, rows).tolist()),
            "weekday": draw.integers(0, 7, rows),
        }
    ).write_csv(path)


def strange_rows() -> pl.DataFrame:
    """One plain row, then rows that each differ from it in one strange way."""
    plain: dict[str, Any] = {
        "row": "r0",
        "click": 0,
        "user_id": "u1",
        "age": 40.0,
        "recent_ads": ["ad1", "ad2"],
        "ad_id": "ad3",
        "category": "shoes",
        "price": 4.99,
        "tags": ["new", "sale"],
        "hour": 7,
        "device": "phone",
        "temperature": 21.5,
        "raw": 0.25,
    }
    changes: list[dict[str, Any]] = [
        {},
        {"user_id": "nobody has seen"},
        {"user_id": "Zoë 🚲"},
        {"user_id": ""},
        {"age": None},
        {"age": -3.5},
        {"recent_ads": None},
        {"recent_ads": []},
        {"recent_ads": ["ad1", None, "unseen", ""]},
        {"recent_ads": [f"ad{i}" for i in range(9)]},
        {"ad_id": "unseen"},
        {"ad_id": ""},
        {"category": None},
        {"category": "車"},
        {"category": "e\u0301te\u0301"},
        {"price": None},
        {"price": 0.0},
        {"price": 1e30},
        {"price": -3.5},
        {"tags": None},
        {"tags": ["été"]},
        {"tags": ["été", "été"]},
        {"tags": [None]},
        {"hour": None},
        {"hour": -1},
        {"hour": 2**62},
        {"device": None},
        {"device": "watch"},
        {"device": "phone\u0000"},
        {"temperature": None},
        {"temperature": 60},
        {"raw": None},
        {"raw": -7.125},
        {name: None for name in plain if name not in ("row", "click", "user_id", "ad_id")},
    ]
    rows = [{**plain, **change, "row": f"r{i}", "click": i % 2} for i, change in enumerate(changes)]
    lists = pl.List(pl.String)
    return pl.DataFrame(rows, schema_overrides={"recent_ads": lists, "tags": lists}, infer_schema_length=None)


def as_request(row: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A raw row as the body that scores it."""
    given: dict[str, dict[str, Any]] = {"user": {}, "context": {}, "item": {}}
    for feature in SCHEMA["features"]:
        if feature["name"] not in SCHEMA["entities"].values() and feature["kind"] != "cross":
            given[feature.get("entity", "context")][feature["name"]] = row[feature.get("column", feature["name"])]
    return {
        "user_id": row["user_id"],
        "user": given["user"],
        "context": given["context"],
        "candidates": [{"id": row["ad_id"], "features": given["item"]}],
        **changes,
    }


def good_request(candidates: int = 3) -> dict[str, Any]:
    """A request that every model takes; its candidates differ."""
    request = as_request(strange_rows().row(0, named=True))
    features = request["candidates"][0]["features"]
    several = [{"id": f"ad{i}", "features": {**features, "price": i}} for i in range(candidates)]
    return {**request, "candidates": several}
