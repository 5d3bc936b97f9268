"""Crosses: no two pairs of values share a text, and it is the same text offline and online."""

from itertools import product

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.encoding.crosses import bucket_text, cross_expr, cross_text, with_crosses
from features.schema import parse_schema

# A prepared set, an artifact and a request must agree for years: these texts never change.
GOLDEN: dict[tuple[str | None, str | None], str | None] = {
    (None, None): None,
    ("a", "b"): "1:a=b",
    ("a", None): "1:a",
    (None, "b"): "-=b",
    ("", ""): "0:=",
    ("", None): "0:",
    (None, ""): "-=",
    ("é日🙂", "ß"): "9:é日🙂=ß",
    ("a=b", "c"): "3:a=b=c",
    ("a", "b=c"): "1:a=b=c",
}

Texts = st.none() | st.text() | st.text(alphabet="0123456789:=-", max_size=4)


def offline(pairs: list[tuple[str | None, str | None]]) -> list[str | None]:
    frame = pl.DataFrame(pairs, schema={"a": pl.String, "b": pl.String}, orient="row")
    found = frame.select(cross_expr(pl.col("a"), pl.col("b")).alias("x"))["x"]
    assert found.dtype == pl.String
    texts: list[str | None] = found.to_list()
    return texts


def test_golden_texts() -> None:
    assert {pair: cross_text(*pair) for pair in GOLDEN} == GOLDEN
    assert dict(zip(GOLDEN, offline(list(GOLDEN)), strict=True)) == GOLDEN


@given(st.lists(st.tuples(Texts, Texts), max_size=20))
def test_any_pairs_have_the_same_text_offline_and_online(pairs: list[tuple[str | None, str | None]]) -> None:
    assert offline(pairs) == [cross_text(*pair) for pair in pairs]


@given(*[st.tuples(Texts, Texts)] * 2)
def test_no_two_pairs_share_a_text(one: tuple[str | None, str | None], other: tuple[str | None, str | None]) -> None:
    assert (cross_text(*one) == cross_text(*other)) == (one == other)


def test_no_two_pairs_of_short_texts_share_a_text() -> None:
    texts = [None, *("".join(letters) for size in range(4) for letters in product("01:=-", repeat=size))]
    found = {cross_text(a, b) for a, b in product(texts, repeat=2)}
    assert len(found) == len(texts) ** 2


@pytest.mark.parametrize(
    ("edges", "values", "expected"),
    [
        ((0.0, 1.5), [-1.0, -0.0, 0.0, 1.4999, 1.5, 1e300, None], ["0", "1", "1", "1", "2", "2", None]),
        ((), [5.0, None], ["0", None]),
        (tuple(map(float, range(100))), [98.5, 99.0], ["99", "100"]),
        ((0.0,), [], []),
        ((0.0,), [None, None], [None, None]),
    ],
)
def test_a_bucket_is_known_by_its_decimal_number(
    edges: tuple[float, ...], values: list[float | None], expected: list[str | None]
) -> None:
    found = bucket_text(pl.Series("v", values, pl.Float64), edges)
    assert found.dtype == pl.String
    assert found.to_list() == expected


SCHEMA = parse_schema(
    {
        "label": "y",
        "features": [
            {"name": "ad_by_age", "kind": "cross", "of": ["ad", "age"]},
            {"name": "ad", "kind": "categorical"},
            {"name": "age", "kind": "bucketized", "buckets": 2},
            {"name": "age_by_ad", "kind": "cross", "of": ["age", "ad"]},
            {"name": "age_by_pay", "kind": "cross", "of": ["age", "pay"]},
            {"name": "pay", "kind": "bucketized", "edges": [0]},
        ],
    },
    source="test",
)
TYPED = pl.DataFrame(
    {"ad": ["7", None, "", None], "age": [20.0, 40.0, None, None], "pay": [-1.0, None, 2.0, None], "other": range(4)}
)
EDGES = {"age": (30.0,), "pay": (0.0,)}


@pytest.mark.parametrize("rows", [4, 1, 0])
def test_crosses_of_values_and_buckets_are_added(rows: int) -> None:
    found = with_crosses(TYPED[:rows], SCHEMA, SCHEMA.crosses, EDGES)
    assert found.drop("ad_by_age", "age_by_ad", "age_by_pay").equals(TYPED[:rows])
    assert found["ad_by_age"].to_list() == ["1:7=0", "-=1", "0:", None][:rows]
    assert found["age_by_ad"].to_list() == ["1:0=7", "1:1", "-=", None][:rows]
    assert found["age_by_pay"].to_list() == ["1:0=0", "1:1", "-=1", None][:rows]


def test_only_the_crosses_asked_for_need_edges() -> None:
    assert with_crosses(TYPED, SCHEMA, [], {}).equals(TYPED)
    found = with_crosses(TYPED, SCHEMA, SCHEMA.crosses[:1], {"age": (30.0,)})
    assert found.columns == [*TYPED.columns, "ad_by_age"]
