"""The parity property: a value becomes the same bytes in a prepared set and in a request, whatever it is."""

from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from common.errors import DataError, PlexrankError, RequestError
from features.encoded import EncodedRows
from features.fitted import FittedSchema, Fitter
from features.online import RequestEncoder
from features.prepared import PreparedSet
from features.schema import Schema, parse_schema
from features.split import Fractions
from features.typed import Place, typed_rows

CHAINS = [[], ["log1p"], ["log1p", "log1p"], ["standardize"], ["minmax"], ["log1p", "standardize"], ["log1p", "minmax"]]
CATEGORICAL, NUMERIC, SEQUENCE = {"kind": "categorical"}, {"kind": "numeric"}, {"kind": "sequence"}
VOCABULARY = {"encoding": "vocabulary"}
RAW: dict[str, Any] = {
    "word": pl.String,
    "number": pl.Int128,
    "flag": pl.Boolean,
    "float": pl.Float64,
    "count": pl.Int64,
    "words": pl.List(pl.String),
    "numbers": pl.List(pl.Int128),
}


def features(entity: str) -> list[dict[str, Any]]:
    """Every kind with every setting that changes an encoding; several features read one raw column."""
    made: list[dict[str, Any]] = [
        {"name": "token", "column": "word", **CATEGORICAL},
        {"name": "known", "column": "word", **CATEGORICAL, **VOCABULARY},
        {"name": "words", **SEQUENCE, "of": f"{entity}.known", "max_length": 2},
        {"name": "float", **NUMERIC, "transforms": ["log1p", "standardize"]},
    ]
    if entity == "item":
        made += [
            {"name": "often", "column": "word", **CATEGORICAL, **VOCABULARY, "min_count": 2},
            {"name": "number", **CATEGORICAL},
            {"name": "known_number", "column": "number", **CATEGORICAL, **VOCABULARY},
            {"name": "flag", **CATEGORICAL},
            {"name": "all_words", "column": "words", **SEQUENCE},
            {"name": "words_of_token", "column": "words", **SEQUENCE, "of": "item.token", "max_length": 1},
            {"name": "known_words", "column": "words", **SEQUENCE, **VOCABULARY, "max_length": 3},
            {"name": "numbers", **SEQUENCE, "of": "item.known_number"},
        ]
        for column, chain, missing in product(("float", "count"), CHAINS, ("mask", -2.5)):
            name = "-".join([column, *chain, str(missing)])
            made.append({"name": name, "column": column, **NUMERIC, "transforms": chain, "missing": missing})
    return [
        {**f, "entity": entity, "name": f"{entity}.{f['name']}", "column": f"{entity}.{f.get('column', f['name'])}"}
        for f in made
    ]


SCHEMA = parse_schema(
    {"label": "y", "features": features("user") + features("context") + features("item")}, source="test"
)

WORD = st.none() | st.sampled_from(["", "a", "b", "A", "é", "é", "🙂", "7", "-7", "0", "true", "\x00"]) | st.text()
INTEGER = st.none() | st.integers(-3, 3) | st.integers(-(2**127), 2**127 - 1)
SMALL = st.floats(-1e6, 1e6)
FLOAT = (
    st.none()
    | st.sampled_from([0.0, -0.0, 5e-324, -5e-324, 1e-310, 1.1754944e-38, 3.4028235e38, -3.5e38])
    | SMALL
    | st.floats(-1e60, 1e60)
)


def row(*, floats: st.SearchStrategy[float | None]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            "word": WORD,
            "number": INTEGER,
            "flag": st.none() | st.booleans(),
            "float": floats,
            "count": st.none() | st.integers(-3, 3) | st.integers(-(2**63), 2**63 - 1),
            "words": st.none() | st.lists(WORD, max_size=5),
            "numbers": st.none() | st.lists(INTEGER, max_size=3),
        }
    )


def raw_frame(users: Sequence[Any], contexts: Sequence[Any], items: Sequence[Any]) -> pl.DataFrame:
    """Rows as a parquet file would give them."""
    columns = [pl.Series("y", [0] * len(items), dtype=pl.Int8)]
    for entity, rows in (("user", users), ("context", contexts), ("item", items)):
        columns += [pl.Series(f"{entity}.{name}", [r[name] for r in rows], dtype=dtype) for name, dtype in RAW.items()]
    return pl.DataFrame(columns)


def fit(rows: list[dict[str, Any]]) -> FittedSchema:
    fitter = Fitter(SCHEMA)
    fitter.update(typed_rows(raw_frame(rows, rows, rows), SCHEMA, Place("train", 0)))
    return fitter.fitted()


def request_part(schema: Schema, entity: str, given: dict[str, Any]) -> dict[str, Any]:
    """What a caller sends for a raw row; what is missing may be left out."""
    named = {f.name: given[f.source.removeprefix(f"{entity}.")] for f in schema.features if f.entity == entity}
    return {name: value for i, (name, value) in enumerate(named.items()) if value is not None or i % 2}


def arrays(rows: EncodedRows) -> dict[str, tuple[Any, ...]]:
    found: dict[str, NDArray[Any]] = {"categorical": rows.categorical, "dense": rows.dense}
    for name, (values, offsets) in rows.sequences.items():
        found |= {f"{name} values": values, f"{name} offsets": offsets}
    return {name: (array.dtype, array.shape, array.tobytes()) for name, array in found.items()}


def offline(fitted: FittedSchema, user: Any, context: Any, items: list[Any]) -> pl.DataFrame | None:
    """Encoded rows, or None where preparation refuses a number."""
    try:
        raw = raw_frame([user] * len(items), [context] * len(items), items)
        encoded = fitted.encode(typed_rows(raw, SCHEMA, Place("valid", 0)))
    except DataError:
        return None
    numerics = encoded.select(pl.col(f.name for f in SCHEMA.numeric))
    return None if any(column.is_infinite().any() for column in numerics) else encoded


@settings(deadline=None, max_examples=200)
@given(
    train=st.lists(row(floats=st.none() | SMALL), max_size=4),
    user=row(floats=FLOAT),
    context=row(floats=FLOAT),
    items=st.lists(row(floats=FLOAT), min_size=1, max_size=4),
)
def test_a_prepared_row_and_a_request_are_the_same_bytes(
    train: list[dict[str, Any]], user: dict[str, Any], context: dict[str, Any], items: list[dict[str, Any]]
) -> None:
    try:
        fitted = fit(train)
    except DataError:  # the training rows' range is so small that a fill overflows
        reject()
    count = len(items)
    # What preparation refuses, a request is refused for too.
    refused = [offline(fitted, user, context, [item]) is None for item in items]
    encoder = RequestEncoder(fitted)
    shared = request_part(SCHEMA, "user", user), request_part(SCHEMA, "context", context)
    candidates = [request_part(SCHEMA, "item", given_) for given_ in items]
    for i, candidate in enumerate(candidates):
        if refused[i]:
            with pytest.raises(RequestError, match="too large for float32"):
                encoder.encode(*shared, [candidate])
    kept = [i for i in range(count) if not refused[i]]
    if kept:
        online = encoder.encode(*shared, [candidates[i] for i in kept])
        encoded = offline(fitted, user, context, [items[i] for i in kept])
        assert encoded is not None
        assert arrays(online) == arrays(EncodedRows.of(encoded, SCHEMA))


def test_the_property_meets_every_kind_of_value() -> None:
    # One example by hand, so that the property above is known to compare what it says.
    train: list[dict[str, Any]] = [
        {"word": "a", "number": 7, "flag": True, "float": 1.0, "count": 3, "words": ["a"], "numbers": [7]},
        {"word": "a", "number": 2**100, "flag": None, "float": 3.0, "count": 5, "words": ["b"], "numbers": []},
        {"word": "b", "number": None, "flag": False, "float": None, "count": None, "words": None, "numbers": None},
    ]
    seen = {
        "word": "b",
        "number": 2**100,
        "flag": True,
        "float": 2.0,
        "count": 4,
        "words": ["c", None, "b"],
        "numbers": [7],
    }
    encoded = fit(train).encode(typed_rows(raw_frame([seen], [seen], [seen]), SCHEMA, Place("valid", 0)))
    found = EncodedRows.of(encoded, SCHEMA)
    names = [f.name for f in SCHEMA.sparse if f.kind == "categorical"]
    ids = dict(zip(names, found.categorical[0].tolist(), strict=True))
    assert [ids[f"item.{name}"] for name in ("known", "often", "known_number")] == [3, 1, 2]
    assert found.sequences["item.known_words"][0].tolist() == [1, 0, 3]
    assert found.sequences["user.words"][0].tolist() == [0, 3]
    assert found.sequences["item.numbers"][0].tolist() == [3]
    dense = dict(zip([f.name for f in SCHEMA.numeric], found.dense[0], strict=True))
    assert dense["item.float-standardize-mask"] == 0
    assert dense["item.count-minmax-mask"] == np.float32(0.5)


def refused(error: type[PlexrankError], run: Callable[[], object]) -> bool:
    try:
        run()
    except error:
        return True
    return False


@pytest.mark.parametrize("value", [1e38, 3.4028235e38, 3.4028236e38, 1e60, -1e160, 1.7e308])
@pytest.mark.parametrize("chain", [[], ["log1p"], ["standardize"], ["log1p", "minmax"]], ids="-".join)
def test_preparation_and_requests_refuse_the_same_numbers(
    log: Path, prepare_set: Callable[..., PreparedSet], chain: list[str], value: float
) -> None:
    document = {"label": "y", "features": [{"name": "x", "kind": "numeric", "transforms": chain}]}
    (log / "train.csv").write_text("y,x\n0,0\n1,1\n0,0.5\n")
    (log / "valid.csv").write_text(f"y,x\n0,1\n1,{value!r}\n")
    encoder = RequestEncoder(prepare_set(document, log / "train.csv", fractions=Fractions(1, 0, 0), output="x").fitted)
    online = refused(RequestError, lambda: encoder.encode({}, {"x": value}, [{}]))
    offline = refused(DataError, lambda: prepare_set(document, log / "train.csv", valid=[log / "valid.csv"]))
    assert online == offline
