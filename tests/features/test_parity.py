"""The parity property: a value becomes the same bytes in a prepared set and in a request, whatever it is.

``PLEXRANK_PARITY_EXAMPLES=20000 pytest tests/features/test_parity.py`` looks at as many examples.
"""

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

import polars as pl
import pytest
from hypothesis import HealthCheck, event, given, reject, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from common.errors import DataError, PlexrankError, RequestError
from features.datasets.prepared import PreparedSet
from features.encoding.encoded import EncodedRows
from features.encoding.fitted import FittedSchema
from features.encoding.fitter import Fitter
from features.encoding.online import RequestEncoder
from features.encoding.tokens import token
from features.encoding.typed import typed_rows
from features.preparation.split import Fractions
from features.schema import Entity, Schema, parse_schema
from features.sources.piece import Read

EXAMPLES = int(os.environ.get("PLEXRANK_PARITY_EXAMPLES", "300"))
ENTITIES: tuple[Entity, ...] = get_args(Entity)
RAW: dict[str, Any] = {
    "word": pl.String,
    "number": pl.Int128,
    "flag": pl.Boolean,
    "float": pl.Float64,
    "count": pl.Int64,
    "words": pl.List(pl.String),
    "numbers": pl.List(pl.Int128),
    "flags": pl.List(pl.Boolean),
}
CHAINS = [
    *([], ["log1p"], ["log1p", "log1p"]),
    *([fitted] for fitted in ("standardize", "minmax", "quantile")),
    *(["log1p", fitted] for fitted in ("standardize", "minmax", "quantile")),
]

WORD = st.none() | st.sampled_from(["", "a", "b", "A", "é", "é", "🙂", "7", "-7", "0", "true", "\x00"]) | st.text()
INTEGER = st.none() | st.integers(-3, 3) | st.integers(-(2**127), 2**127 - 1)
FLAG = st.none() | st.booleans()
SMALL = st.sampled_from([0.0, -0.0, 5e-324, -1e-310, 1.0, 2.0, 3.5]) | st.floats(-1e6, 1e6)
FLOAT = (
    st.none()
    | SMALL
    | st.sampled_from([1.1754944e-38, 3.4028235e38, -3.5e38, 1.7976931348623157e308, math.inf, -math.inf])
    | st.floats(-1e60, 1e60)
)


def rows(*, floats: st.SearchStrategy[float | None]) -> st.SearchStrategy[dict[str, Any]]:
    """Raw values by name."""
    return st.fixed_dictionaries(
        {
            "word": WORD,
            "number": INTEGER,
            "flag": FLAG,
            "float": floats,
            "count": st.none() | st.integers(-3, 3) | st.integers(-(2**63), 2**63 - 1),
            "words": st.none() | st.lists(WORD, max_size=5),
            "numbers": st.none() | st.lists(INTEGER, max_size=3),
            "flags": st.none() | st.lists(FLAG, max_size=2),
        }
    )


def declared(kind: str, *columns: str, **others: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A feature of a kind that reads one of some raw columns."""
    entity = st.sampled_from(ENTITIES)
    parts = st.fixed_dictionaries({"kind": st.just(kind), "entity": entity, "column": st.sampled_from(columns)})
    return st.builds(
        lambda a, b: a | b | {"column": f"{a['entity']}.{a['column']}"}, parts, st.fixed_dictionaries(others)
    )


ENCODING = {"encoding": st.sampled_from(["token", "vocabulary"])}
COUNTED = {**ENCODING, "min_count": st.integers(1, 2)}
ONE_VALUE = st.one_of(
    declared("categorical", "word", **COUNTED),
    declared("categorical", "number", "flag", **COUNTED),
    declared("bucketized", "float", "count", buckets=st.integers(2, 5), **ENCODING),
    declared(
        "bucketized",
        *("float", "count"),
        edges=st.lists(SMALL | st.floats(-1e300, 1e300), min_size=1, max_size=4, unique_by=lambda v: v + 0.0).map(
            sorted
        ),
        **ENCODING,
    ),
)
NUMERIC = declared(
    "numeric", "float", "count", transforms=st.sampled_from(CHAINS), missing=st.sampled_from(["mask", -2.5, 0.0])
)
LISTS = st.sampled_from(["multivalued", "sequence"]).flatmap(
    lambda kind: declared(kind, "words", "numbers", "flags", max_length=st.integers(1, 3), **COUNTED)
)


@st.composite
def schemas(draw: st.DrawFn) -> Schema:
    """A schema of any kinds in any order, with lists `of` others and crosses between any two entities."""
    single = [{**f, "name": f"one{i}"} for i, f in enumerate(draw(st.lists(ONE_VALUE, min_size=2, max_size=4)))]
    others = [{**f, "name": f"other{i}"} for i, f in enumerate(draw(st.lists(NUMERIC | LISTS, max_size=5)))]
    owners = [f["name"] for f in single if f["kind"] == "categorical"]
    for feature in others:
        if draw(st.booleans()) and owners and feature["kind"] != "numeric":
            feature["of"] = draw(st.sampled_from(owners))
            del feature["encoding"], feature["min_count"]
    crosses = []
    for i in range(draw(st.integers(0, 3))):
        a, b = draw(st.permutations(single))[:2]
        fits = "buckets" not in a and "buckets" not in b  # a vocabulary's texts must be known before it is fitted
        settings_ = draw(st.fixed_dictionaries(COUNTED)) if fits else {}
        crosses.append({"name": f"cross{i}", "kind": "cross", "of": [a["name"], b["name"]], **settings_})
    features = draw(st.permutations([*single, *others, *crosses]))
    return parse_schema({"label": "y", "features": features}, source="test")


def raw_rows(users: Sequence[Any], contexts: Sequence[Any], items: Sequence[Any]) -> Read:
    """Rows as a Parquet file would give them."""
    columns = [pl.Series("y", [0] * len(items), dtype=pl.Int8)]
    for entity, given_ in (("user", users), ("context", contexts), ("item", items)):
        columns += [pl.Series(f"{entity}.{name}", [r[name] for r in given_], dtype=t) for name, t in RAW.items()]
    return Read(pl.DataFrame(columns), pl.int_range(len(items), eager=True), [])


def fit(schema: Schema, train: list[dict[str, Any]]) -> FittedSchema:
    typed, bad = typed_rows(raw_rows(train, train, train), schema, Path("train"))
    assert not bad
    fitter = Fitter(schema)
    fitter.update(typed)
    return fitter.fitted()


def offline(fitted: FittedSchema, user: Any, context: Any, items: list[Any]) -> pl.DataFrame | None:
    """Encoded rows, or None where preparation refuses a number."""
    raw = raw_rows([user] * len(items), [context] * len(items), items)
    typed, bad = typed_rows(raw, fitted.schema, Path("valid"))
    if bad:
        return None
    encoded = fitted.encode(typed)
    numerics = encoded.select(pl.col(f.name for f in fitted.schema.numeric))
    return None if any(column.is_infinite().any() for column in numerics) else encoded


def request_part(schema: Schema, entity: str, given_: dict[str, Any]) -> dict[str, Any]:
    """What a caller sends for a raw row; what is missing may be left out."""
    named = {f.name: given_[f.source.removeprefix(f"{entity}.")] for f in schema.given if f.entity == entity}
    return {name: value for i, (name, value) in enumerate(named.items()) if value is not None or i % 2}


def arrays(encoded: EncodedRows) -> dict[str, tuple[Any, ...]]:
    found: dict[str, NDArray[Any]] = {"categorical": encoded.categorical, "dense": encoded.dense}
    for name, (values, offsets) in encoded.lists.items():
        found |= {f"{name} values": values, f"{name} offsets": offsets}
    return {name: (array.dtype, array.shape, array.tobytes()) for name, array in found.items()}


@pytest.mark.timeout(300 + EXAMPLES)  # seconds
@settings(deadline=None, max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow])
@given(
    schema=schemas(),
    train=st.lists(rows(floats=st.none() | SMALL), max_size=5),
    user=rows(floats=FLOAT),
    context=rows(floats=FLOAT),
    items=st.lists(rows(floats=FLOAT), min_size=1, max_size=4),
)
def test_a_prepared_row_and_a_request_are_the_same_bytes(
    schema: Schema,
    train: list[dict[str, Any]],
    user: dict[str, Any],
    context: dict[str, Any],
    items: list[dict[str, Any]],
) -> None:
    try:
        fitted = fit(schema, train)
    except DataError:  # a feature has no value, or the training rows' range is so small that a fill overflows
        reject()
    encoder = RequestEncoder(fitted)
    shared = request_part(schema, "user", user), request_part(schema, "context", context)
    candidates = [request_part(schema, "item", given_) for given_ in items]
    kept = []
    for i, (item, candidate) in enumerate(zip(items, candidates, strict=True)):
        if offline(fitted, user, context, [item]) is not None:
            kept.append(i)
            continue
        # What preparation refuses, a request is refused for too.
        with pytest.raises(RequestError, match=r"too large for float(32|64)"):
            encoder.encode(*shared, [candidate])
    event(f"{bool(kept)=}")
    if kept:
        online = encoder.encode(*shared, [candidates[i] for i in kept])
        encoded = offline(fitted, user, context, [items[i] for i in kept])
        assert encoded is not None
        assert arrays(online) == arrays(EncodedRows.of(encoded, schema))


def test_the_property_meets_every_kind_of_value() -> None:
    # One example by hand, so that the property above is known to compare what it says.
    vocabulary = {"encoding": "vocabulary"}
    features: list[dict[str, Any]] = [
        {"name": "token", "kind": "categorical", "entity": "user", "column": "user.word"},
        {"name": "known", "kind": "categorical", "entity": "item", "column": "item.word", **vocabulary},
        {"name": "often", "kind": "categorical", "column": "context.word", **vocabulary, "min_count": 2},
        {"name": "bucket", "kind": "bucketized", "entity": "user", "column": "user.count", "buckets": 2},
        {"name": "fixed", "kind": "bucketized", "column": "context.float", "edges": [0.0, 2.0], **vocabulary},
        {"name": "words", "kind": "multivalued", "column": "context.words", **vocabulary, "max_length": 2},
        {"name": "last", "kind": "sequence", "column": "context.words", "of": "known", "max_length": 2},
        {"name": "ranked", "kind": "numeric", "column": "context.float", "transforms": ["quantile"]},
        {"name": "cross", "kind": "cross", "of": ["bucket", "known"]},
        {"name": "known_cross", "kind": "cross", "of": ["fixed", "token"], **vocabulary},
    ]
    schema = parse_schema({"label": "y", "features": features}, source="test")
    nothing: dict[str, Any] = dict.fromkeys(RAW)
    train = [
        {**nothing, "word": "a", "float": 1.0, "count": 3, "words": ["a"]},
        {**nothing, "word": "a", "float": 3.0, "count": 5, "words": ["b", "c", "b"]},
        {**nothing, "word": "b"},
    ]
    fitted = fit(schema, train)
    seen = {**nothing, "word": "b", "float": 2.0, "count": 4, "words": ["c", None, "b"]}
    encoded = fitted.encode(typed_rows(raw_rows([seen], [seen], [seen]), schema, Path("valid"))[0])
    assert encoded.select(f["name"] for f in features).row(0, named=True) == {
        "token": token("b"),
        "known": 3,
        "often": 1,
        "bucket": token("0"),
        "fixed": 4,
        "words": [4, 0],
        "last": [0, 3],
        "ranked": 0.5,
        "cross": token("1:0=b"),
        "known_cross": 1,
    }
    part = {name: request_part(schema, name, seen) for name in ENTITIES}
    online = RequestEncoder(fitted).encode(part["user"], part["context"], [part["item"]])
    assert arrays(online) == arrays(EncodedRows.of(encoded, schema))


def test_what_a_file_calls_nan_is_missing_and_a_request_cannot_say_it() -> None:
    feature = {"name": "x", "kind": "bucketized", "column": "context.float", "edges": [0.0], "encoding": "vocabulary"}
    fitted = fit(parse_schema({"label": "y", "features": [feature]}, source="test"), [])
    row = {**dict.fromkeys(RAW), "float": math.nan}
    encoded = offline(fitted, row, row, [row])
    assert encoded is not None
    assert encoded["x"].to_list() == [0]
    with pytest.raises(RequestError, match="not finite"):
        RequestEncoder(fitted).encode({}, {"x": math.nan}, [{}])


def refused(error: type[PlexrankError], run: Callable[[], object]) -> bool:
    try:
        run()
    except error:
        return True
    return False


@pytest.mark.parametrize("value", [1e38, 3.4028235e38, 3.4028236e38, 1e60, -1e160, 1.7e308])
@pytest.mark.parametrize("chain", [[], ["log1p"], ["standardize"], ["quantile"], ["log1p", "minmax"]], ids="-".join)
def test_preparation_and_requests_refuse_the_same_numbers(
    log: Path, prepare_set: Callable[..., PreparedSet], chain: list[str], value: float
) -> None:
    document = {"label": "y", "features": [{"name": "x", "kind": "numeric", "transforms": chain}]}
    (log / "train.csv").write_text("y,x\n0,0\n1,1\n0,0.5\n")
    (log / "valid.csv").write_text(f"y,x\n0,1\n1,{value!r}\n")
    train = prepare_set(document, log / "train.csv", split={"fractions": Fractions(1, 0, 0)}, output="x")
    encoder = RequestEncoder(train.fitted)
    online = refused(RequestError, lambda: encoder.encode({}, {"x": value}, [{}]))
    offline = refused(DataError, lambda: prepare_set(document, log / "train.csv", valid=[log / "valid.csv"]))
    assert online == offline
