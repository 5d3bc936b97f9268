"""Requests: what fills a feature, and what is refused with the place in the body."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from common.errors import PlexrankError, RequestError
from features.encoding.encoded import EncodedRows
from features.encoding.fitter import Fitter
from features.encoding.online import RequestEncoder
from features.encoding.tokens import token
from features.schema import parse_schema

DOCUMENT: dict[str, Any] = {
    "label": "y",
    "entities": {"user": "user_id", "item": "ad_id"},
    "features": [
        {"name": "user_id", "kind": "categorical", "entity": "user"},
        {"name": "age", "kind": "numeric", "entity": "user", "transforms": ["standardize"]},
        {"name": "ad_id", "kind": "categorical", "entity": "item", "encoding": "vocabulary"},
        {"name": "price", "kind": "numeric", "entity": "item"},
        {"name": "past", "kind": "sequence", "entity": "user", "of": "ad_id", "max_length": 3},
        {"name": "words", "kind": "sequence", "entity": "item"},
        {"name": "hour", "kind": "categorical"},
        {"name": "load", "kind": "numeric", "missing": 0.5, "transforms": ["log1p"]},
    ],
}


@pytest.fixture
def encoder() -> RequestEncoder:
    fitter = Fitter(parse_schema(DOCUMENT, source="test"))
    fitter.update(pl.DataFrame({"ad_id": ["a", "b", "a", "7"], "age": [20.0, 30.0, 40.0, 50.0]}))
    return RequestEncoder(fitter.fitted())


def encode(encoder: RequestEncoder, **parts: Any) -> EncodedRows:
    given = {"user": {}, "context": {}, "candidates": [{}], **parts}
    return encoder.encode(given.pop("user"), given.pop("context"), given.pop("candidates"), **given)


def test_a_row_a_candidate(encoder: RequestEncoder) -> None:
    rows = encode(
        encoder,
        user={"user_id": 5, "age": 35, "past": ["z", "a", 7, "b"]},
        context={"hour": 12, "load": 0},
        candidates=[{"ad_id": "a", "price": 1.5, "words": ["x", ""]}, {"ad_id": 7}, {"ad_id": "z", "words": []}],
    )
    assert len(rows) == 3
    assert (rows.label, rows.group) == (None, None)
    assert rows.categorical.dtype == np.int64
    assert rows.categorical.tolist() == [[token("5"), known, token("12")] for known in (2, 3, 1)]
    assert rows.dense.dtype == np.float32
    np.testing.assert_array_equal(rows.dense, [[0, 1.5, 0], [0, math.nan, 0], [0, math.nan, 0]])
    values, offsets = rows.lists["past"]
    assert (values.tolist(), offsets.tolist()) == ([2, 3, 4] * 3, [0, 3, 6, 9])
    values, offsets = rows.lists["words"]
    assert (values.tolist(), offsets.tolist()) == ([token("x"), 1], [0, 2, 2, 2])
    assert [array.dtype for ragged in rows.lists.values() for array in ragged] == [np.int64] * 4


@pytest.mark.parametrize(
    "nothing", [{}, {"user": dict.fromkeys(["user_id", "age", "past"]), "candidates": [{"words": None}]}]
)
def test_what_is_left_out_is_missing(encoder: RequestEncoder, nothing: dict[str, Any]) -> None:
    rows = encode(encoder, **nothing)
    assert rows.categorical.tolist() == [[0, 0, 0]]
    np.testing.assert_array_equal(rows.dense, np.array([[math.nan, math.nan, math.log1p(0.5)]], np.float32))
    assert [(v.tolist(), o.tolist()) for v, o in rows.lists.values()] == [([], [0, 0])] * 2


def test_no_candidates_are_no_rows(encoder: RequestEncoder) -> None:
    rows = encode(encoder, user={"user_id": "u", "past": ["a"]}, candidates=[])
    assert (len(rows), rows.categorical.shape, rows.dense.shape) == (0, (0, 3), (0, 3))
    assert [(v.tolist(), o.tolist()) for v, o in rows.lists.values()] == [([], [0])] * 2


def test_identities_fill_the_features_that_identify(encoder: RequestEncoder) -> None:
    filled = encode(encoder, user_id=5, candidate_ids=["a", 7], candidates=[{}, {"price": 2}])
    named = encode(encoder, user={"user_id": "5"}, candidates=[{"ad_id": "a"}, {"ad_id": "7", "price": 2}])
    assert filled.categorical.tolist() == named.categorical.tolist() == [[token("5"), 2, 0], [token("5"), 3, 0]]
    agreeing = encode(encoder, user={"user_id": "5"}, user_id=5, candidates=[{"ad_id": 7}], candidate_ids=["7"])
    assert agreeing.categorical.tolist() == [[token("5"), 3, 0]]


def test_the_callers_mappings_are_left_alone(encoder: RequestEncoder) -> None:
    user, candidate = {"age": 30}, {"price": 1}
    encode(encoder, user=user, candidates=[candidate], user_id="u", candidate_ids=["a"])
    assert (user, candidate) == ({"age": 30}, {"price": 1})


def test_identities_are_ignored_where_the_schema_names_none() -> None:
    document = {"label": "y", "features": [{"name": "c", "kind": "categorical", "entity": "item"}]}
    encoder = RequestEncoder(Fitter(parse_schema(document, source="test")).fitted())
    assert encode(encoder, user_id="u", candidate_ids=["a"]).categorical.tolist() == [[0]]


def item(**features: Any) -> dict[str, Any]:
    """A request whose second candidate is of interest."""
    return {"candidates": [{}, features]}


HUGE = 10**400
FLOAT32_MAX = float(np.finfo(np.float32).max)


@pytest.mark.parametrize(
    ("parts", "where", "message"),
    [
        (item(prise=1), "candidates[1].features.prise", "unknown feature 'prise'; did you mean 'price'?"),
        ({"user": {"zzz": 1}}, "user.zzz", "unknown feature 'zzz'; known: age, past, user_id"),
        ({"context": {"huor": 1}}, "context.huor", "unknown feature 'huor'; did you mean 'hour'?"),
        ({"user": {"y": 1}}, "user.y", "unknown feature 'y'"),
        (item(age=1), "candidates[1].features.age", "feature 'age' describes the user, not the item; move it there"),
        ({"user": {"price": 1}}, "user.price", "feature 'price' describes the item, not the user; move it there"),
        ({"user": {"hour": 1}}, "user.hour", "feature 'hour' describes the context, not the user; move it there"),
        (item(price=True), "candidates[1].features.price", "a number is expected, not true"),
        (item(price="1.5"), "candidates[1].features.price", "a number is expected, not '1.5'"),
        (item(price=[1]), "candidates[1].features.price", "a number is expected, not a list"),
        ({"user": {"age": {}}}, "user.age", "a number is expected, not an object"),
        ({"context": {"load": math.nan}}, "context.load", "the number is not finite, or too large for float32"),
        ({"context": {"load": -math.inf}}, "context.load", "the number is not finite, or too large for float32"),
        (item(price=1e39), "candidates[1].features.price", "the number is not finite, or too large for float32"),
        (item(price=HUGE), "candidates[1].features.price", "the number is not finite, or too large for float32"),
        ({"user": {"age": -HUGE}}, "user.age", "the number is not finite, or too large for float32"),
        ({"context": {"hour": 1.5}}, "context.hour", "a text or an integer is expected, not 1.5"),
        ({"context": {"hour": 1.0}}, "context.hour", "a text or an integer is expected, not 1.0"),
        ({"context": {"hour": ["a"]}}, "context.hour", "a text or an integer is expected, not a list"),
        ({"context": {"hour": {"a": 1}}}, "context.hour", "a text or an integer is expected, not an object"),
        ({"context": {"hour": "\ud800"}}, "context.hour", "the text is not valid unicode"),
        ({"context": {"hour": 10**5000}}, "context.hour", ""),
        (
            {"user": {"past": "a b"}},
            "user.past",
            "a list of texts or integers is expected, most recent last, not 'a b'",
        ),
        (
            {"user": {"past": {}}},
            "user.past",
            "a list of texts or integers is expected, most recent last, not an object",
        ),
        ({"user": {"past": ["a", 0.5]}}, "user.past[1]", "a text or an integer is expected, not 0.5"),
        ({"user": {"past": ["a", "b", "c", ["d"]]}}, "user.past[3]", "a text or an integer is expected, not a list"),
        (item(words=["\udfff"]), "candidates[1].features.words[0]", "the text is not valid unicode"),
        (
            {"user": {"user_id": "u"}, "user_id": "v"},
            "user.user_id",
            "feature 'user_id' contradicts the id 'v'; drop one",
        ),
        (
            {**item(ad_id="a"), "candidate_ids": ["a", "b"]},
            "candidates[1].features.ad_id",
            "feature 'ad_id' contradicts the id 'b'; drop one",
        ),
        ({"user_id": "\ud800"}, "user.user_id", "the text is not valid unicode"),
    ],
)
def test_a_refusal_names_the_place(encoder: RequestEncoder, parts: dict[str, Any], where: str, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        encode(encoder, **parts)
    assert caught.value.where == where
    assert caught.value.status == 422
    assert str(caught.value).startswith(message)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "value", [FLOAT32_MAX, -FLOAT32_MAX, 3.4028235e38, 3.4028235677973362e38, 3.4028235677973366e38, 3.5e38]
)
def test_the_largest_numbers_are_taken_or_refused_as_offline(encoder: RequestEncoder, value: float) -> None:
    # A number between float32's largest and half a step above it rounds down to it.
    offline = pl.Series([value]).cast(pl.Float32)
    if offline.is_infinite().any():
        with pytest.raises(RequestError, match="too large for float32"):
            encode(encoder, candidates=[{"price": value}])
    else:
        assert encode(encoder, candidates=[{"price": value}]).dense[0, 1] == offline[0]


@pytest.mark.parametrize("value", [2**53 + 1, 2**63, -(2**64) - 1, 10**30])
def test_integers_of_any_size_are_numbers(encoder: RequestEncoder, value: int) -> None:
    assert encode(encoder, candidates=[{"price": value}]).dense[0, 1] == np.float32(float(value))


@pytest.mark.parametrize("shape", [lambda v: v, lambda v: str(v), lambda v: int(v)])
def test_an_id_may_be_a_text_or_an_integer(encoder: RequestEncoder, shape: Callable[[Any], Any]) -> None:
    rows = encode(encoder, context={"hour": shape(7)}, candidates=[{"ad_id": shape(7), "words": [shape(7)]}])
    assert rows.categorical.tolist() == [[0, 3, token("7")]]
    assert rows.lists["words"][0].tolist() == [token("7")]


def test_booleans_are_categories(encoder: RequestEncoder) -> None:
    assert encode(encoder, context={"hour": True}).categorical[0, 2] == token("true")


KINDS: dict[str, Any] = {
    "label": "y",
    "features": [
        {"name": "income", "kind": "bucketized", "entity": "user", "edges": [-1.0, 0.0, 10.5]},
        {"name": "level", "kind": "bucketized", "entity": "item", "edges": [2.0], "encoding": "vocabulary"},
        {"name": "ad", "kind": "categorical", "entity": "item"},
        {"name": "genres", "kind": "multivalued", "entity": "item", "max_length": 2},
        {"name": "day", "kind": "categorical"},
        {"name": "income_by_ad", "kind": "cross", "of": ["income", "ad"]},
        {"name": "day_by_income", "kind": "cross", "of": ["day", "income"], "encoding": "vocabulary"},
    ],
}


@pytest.fixture
def kinds() -> RequestEncoder:
    fitter = Fitter(parse_schema(KINDS, source="test"))
    train = {"income": [1.0, None], "level": [1.0, 1.0], "ad": ["a", "b"], "day": ["mon", "tue"]}
    fitter.update(pl.DataFrame({**train, "genres": [["x"], []]}))
    return RequestEncoder(fitter.fitted())


def test_crosses_join_what_the_request_and_each_candidate_say(kinds: RequestEncoder) -> None:
    items = [{"ad": "a", "level": 1}, {"ad": None, "level": 2.0}, {"ad": "=", "level": None}]
    rows = encode(kinds, user={"income": 3}, context={"day": "mon"}, candidates=items)
    income = token("2")
    assert rows.categorical.tolist() == [
        [income, 2, token("a"), token("mon"), token("1:2=a"), 2],
        [income, 3, 0, token("mon"), token("1:2"), 2],
        [income, 0, token("="), token("mon"), token("1:2=="), 2],
    ]
    other = encode(kinds, context={"day": "tue"}, candidates=[{"ad": "a"}]).categorical[0]
    assert other.tolist() == [0, 0, token("a"), token("tue"), token("-=a"), 3]
    assert encode(kinds, candidates=[{}]).categorical.tolist() == [[0] * 6]
    assert encode(kinds, user={"income": 3}, candidates=[]).categorical.shape == (0, 6)


@pytest.mark.parametrize(
    ("number", "bucket"), [(-1e300, 0), (-1, 1), (-0.0, 2), (0, 2), (10.5, 3), (2**63, 3), (10**300, 3)]
)
def test_a_bucket_is_that_of_the_number(kinds: RequestEncoder, number: float, bucket: int) -> None:
    assert encode(kinds, user={"income": number}).categorical[0, 0] == token(str(bucket))


def test_of_too_many_values_the_first_stay(kinds: RequestEncoder) -> None:
    values, _ = encode(kinds, candidates=[{"genres": ["x", "y", "z"]}]).lists["genres"]
    assert values.tolist() == [token("x"), token("y")]


@pytest.mark.parametrize(
    ("parts", "where", "message"),
    [
        ({"user": {"income": math.inf}}, "user.income", "the number is not finite, or too large for float64"),
        ({"user": {"income": HUGE}}, "user.income", "the number is not finite, or too large for float64"),
        ({"user": {"income": "3"}}, "user.income", "a number is expected, not '3'"),
        (item(level=False), "candidates[1].features.level", "a number is expected, not false"),
        (item(genres="x"), "candidates[1].features.genres", "a list of texts or integers is expected, not 'x'"),
        (item(genres=["x", 1.5]), "candidates[1].features.genres[1]", "a text or an integer is expected, not 1.5"),
        (
            item(income_by_ad="2,a"),
            "candidates[1].features.income_by_ad",
            "feature 'income_by_ad' is a cross; give 'income' and 'ad' instead",
        ),
        (
            {"context": {"day_by_income": None}},
            "context.day_by_income",
            "feature 'day_by_income' is a cross; give 'day' and 'income' instead",
        ),
        ({"user": {"zzz": 1}}, "user.zzz", "unknown feature 'zzz'; known: income"),
    ],
)
def test_a_refusal_names_the_place_of_every_kind(
    kinds: RequestEncoder, parts: dict[str, Any], where: str, message: str
) -> None:
    with pytest.raises(RequestError) as caught:
        encode(kinds, **parts)
    assert (caught.value.where, str(caught.value)) == (where, message)


def test_a_fill_that_becomes_infinite_reaches_no_model() -> None:
    # The fill itself fits into float32, but not once the training rows' tiny range has scaled it.
    numeric = {"name": "x", "kind": "numeric", "transforms": ["minmax"], "missing": -2.5}
    fitter = Fitter(parse_schema({"label": "y", "features": [numeric]}, source="test"))
    fitter.update(pl.DataFrame({"x": [0.0, 1e-40]}))
    with pytest.raises(PlexrankError):
        RequestEncoder(fitter.fitted()).encode({}, {}, [{}])
