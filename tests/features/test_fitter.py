"""Fitting: parts that merge to the same bit, a set that grows, and what cannot be fitted."""

import pickle
from collections.abc import Sequence
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import DataError, SchemaError
from features.encoding.crosses import cross_text
from features.encoding.fitted import FittedSchema
from features.encoding.fitter import Fitter
from features.schema import Schema, parse_schema

EVERY_KIND: dict[str, Any] = {
    "label": "y",
    "features": [
        {"name": "token", "kind": "categorical"},
        {"name": "ad", "kind": "categorical", "encoding": "vocabulary", "min_count": 2},
        {"name": "city", "kind": "categorical", "encoding": "vocabulary"},
        {"name": "past", "kind": "sequence", "of": "ad", "max_length": 2},
        {"name": "words", "kind": "sequence", "encoding": "vocabulary", "max_length": 1},
        {"name": "tags", "kind": "multivalued", "encoding": "vocabulary", "min_count": 2},
        {"name": "plain", "kind": "numeric", "column": "n0"},
        {"name": "logged", "kind": "numeric", "transforms": ["log1p"], "missing": 0},
        {"name": "standard", "kind": "numeric", "transforms": ["standardize"]},
        {"name": "log_standard", "kind": "numeric", "transforms": ["log1p", "standardize"], "missing": -1},
        {"name": "ranged", "kind": "numeric", "transforms": ["minmax"]},
        {"name": "log_ranged", "kind": "numeric", "transforms": ["log1p", "log1p", "minmax"]},
        {"name": "ranked", "kind": "numeric", "transforms": ["quantile"], "missing": 5},
        {"name": "log_ranked", "kind": "numeric", "transforms": ["log1p", "quantile"]},
        {"name": "given", "kind": "bucketized", "edges": [-1, 0, 10], "encoding": "vocabulary"},
        {"name": "cut", "kind": "bucketized", "buckets": 4},
        {"name": "cut_ids", "kind": "bucketized", "buckets": 3, "encoding": "vocabulary"},
        {"name": "ad_city", "kind": "cross", "of": ["ad", "city"], "encoding": "vocabulary"},
        {"name": "ad_given", "kind": "cross", "of": ["given", "ad"], "encoding": "vocabulary", "min_count": 2},
        {"name": "ad_cut", "kind": "cross", "of": ["ad", "cut"]},
    ],
}
SCHEMA = parse_schema(EVERY_KIND, source="test")
VALUES = st.none() | st.sampled_from(["a", "b", "c", "", "é", "1:a=b"]) | st.text(max_size=2)
LISTS = st.none() | st.lists(VALUES, max_size=4)
# As typed rows let them pass: finite, and within float32 where no log1p makes them small.
NUMBERS = st.none() | st.integers(-20, 20).map(float) | st.floats(-3.4e38, 3.4e38) | st.just(-0.0)
LARGE = NUMBERS | st.floats(allow_nan=False, allow_infinity=False)


def strategy_of(name: str) -> st.SearchStrategy[Any]:
    feature = SCHEMA.feature(name)
    if feature.kind == "numeric":
        return LARGE if "log1p" in feature.transforms else NUMBERS
    return {"bucketized": LARGE, "categorical": VALUES}.get(feature.kind, LISTS)


COLUMNS = [f.name for f in SCHEMA.given]
DTYPES: dict[str, Any] = {
    f.name: pl.Float64
    if f.kind in ("numeric", "bucketized")
    else pl.String
    if f.kind == "categorical"
    else pl.List(pl.String)
    for f in SCHEMA.given
}
# With a value in every column: without any, fitting is refused.
FIRST: dict[str, Any] = {
    name: 1.0 if dtype == pl.Float64 else "a" if dtype == pl.String else ["a"] for name, dtype in DTYPES.items()
}
ROWS = st.lists(st.fixed_dictionaries({name: strategy_of(name) for name in COLUMNS}), max_size=12)


def frame_of(rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame({name: pl.Series(name, [row[name] for row in rows], dtype) for name, dtype in DTYPES.items()})


def fitter_of(*batches: pl.DataFrame, schema: Schema = SCHEMA, **options: Any) -> Fitter:
    fitter = Fitter(schema, **options)
    for batch in batches:
        fitter.update(batch)
    return fitter


def fit(*batches: pl.DataFrame, schema: Schema = SCHEMA, **options: Any) -> FittedSchema:
    return fitter_of(*batches, schema=schema, **options).fitted()


def merged(data: st.DataObject, fitters: list[Fitter]) -> Fitter:
    """Fitters merged two at a time, any with any."""
    while len(fitters) > 1:
        one = fitters.pop(data.draw(st.integers(0, len(fitters) - 1)))
        fitters[data.draw(st.integers(0, len(fitters) - 1))].merge(one)
    return fitters[0]


def in_parts(data: st.DataObject, frame: pl.DataFrame, **options: Any) -> FittedSchema:
    """Fitted in any parts, in batches, some of them empty, and merged in any order."""
    parts = data.draw(st.integers(1, 4))
    owners = pl.Series(data.draw(st.lists(st.integers(0, parts - 1), min_size=frame.height, max_size=frame.height)))
    fitters = []
    for part in range(parts):
        rows = frame.filter(owners == part) if frame.height else frame
        cut = data.draw(st.integers(0, rows.height))
        fitter = fitter_of(rows[:cut], rows[cut:].reverse(), **options)
        fitters.append(pickle.loads(pickle.dumps(fitter)) if data.draw(st.booleans()) else fitter)
    return merged(data, fitters).fitted()


@settings(max_examples=60)
@given(st.data(), ROWS)
def test_any_parts_merged_in_any_order_are_fitted_as_the_whole(data: st.DataObject, rows: list[dict[str, Any]]) -> None:
    frame = frame_of([FIRST, *rows])
    whole, parts = fit(frame), in_parts(data, frame)
    assert parts.digest == whole.digest
    assert parts.encode(frame).equals(whole.encode(frame))


@settings(max_examples=30)
@given(st.data(), ROWS, ROWS, st.booleans())
def test_a_set_grows_in_parts_as_by_the_whole(
    data: st.DataObject, rows: list[dict[str, Any]], later: list[dict[str, Any]], refit: bool
) -> None:
    old = fit(frame_of([FIRST, *rows]))
    frame = frame_of([FIRST, *later])
    whole, parts = fit(frame, grow=old, refit=refit), in_parts(data, frame, grow=old, refit=refit)
    assert parts.digest == whole.digest


@settings(max_examples=30)
@given(ROWS, ROWS)
def test_growth_moves_no_id_and_keeps_what_was_fitted(rows: list[dict[str, Any]], later: list[dict[str, Any]]) -> None:
    old_rows = frame_of([FIRST, *rows])
    old = fit(old_rows)
    new = fit(frame_of(later), grow=old)
    assert (new.statistics, new.edges) == (old.statistics, old.edges)
    assert list(new.vocabularies) == list(old.vocabularies)
    for name, vocabulary in old.vocabularies.items():
        values = new.vocabularies[name].values
        assert values[: len(vocabulary.values)].equals(vocabulary.values)
        assert values.is_unique().all()
    # What had an id keeps it; what had none may have got one.
    before, after = old.encode(old_rows), new.encode(old_rows)
    for feature in SCHEMA.features:
        one, other = before[feature.name], after[feature.name]
        if one.dtype == pl.List:
            one, other = one.list.explode(empty_as_null=False), other.list.explode(empty_as_null=False)
        known = (one != 1).fill_null(True)
        assert one.filter(known).equals(other.filter(known), null_equal=True)


def small(*features: dict[str, Any]) -> Schema:
    return parse_schema({"label": "y", "features": list(features)}, source="test")


AD = {"name": "ad", "kind": "categorical", "encoding": "vocabulary", "min_count": 2}
PRICE = {"name": "price", "kind": "numeric", "transforms": ["standardize"]}
AGE = {"name": "age", "kind": "bucketized", "buckets": 2}
OLD = pl.DataFrame(
    {"ad": ["b", "a", "b", "a", "b"], "price": [1.0, 2.0, 3.0, 4.0, 5.0], "age": [1.0, 1.0, 1.0, 2.0, 2.0]}
)
NEW = pl.DataFrame({"ad": ["d", "c", "d", "c", "d", "e", "a"], "price": [9.0] * 7, "age": [5.0, 6.0] * 3 + [7.0]})


def test_new_values_follow_the_old_ones_by_frequency() -> None:
    schema = small(AD, PRICE, AGE)
    old = fit(OLD, schema=schema)
    new = fit(NEW, schema=schema, grow=old)
    assert old.vocabularies["ad"].values.to_list() == ["b", "a"]
    # e was seen once, and once is too seldom; a stays, however often it was seen.
    assert new.vocabularies["ad"].values.to_list() == ["b", "a", "d", "c"]
    assert fit(NEW, schema=schema, grow=new).digest == new.digest
    assert fit(NEW[:0], schema=schema, grow=old).digest == old.digest


def test_growth_fits_anew_only_when_told() -> None:
    schema = small(AD, PRICE, AGE)
    old, fresh = fit(OLD, schema=schema), fit(NEW, schema=schema)
    kept, refitted = (fit(NEW, schema=schema, grow=old, refit=refit) for refit in (False, True))
    assert (kept.statistics, kept.edges) == (old.statistics, old.edges)
    assert (refitted.statistics, refitted.edges) == (fresh.statistics, fresh.edges)
    assert refitted.vocabularies["ad"].digest == kept.vocabularies["ad"].digest
    assert fresh.statistics["price"].mean == 9.0 != old.statistics["price"].mean


@pytest.mark.parametrize("other", [{**AD, "min_count": 3}, {**AD, "name": "item"}, {**AD, "encoding": "token"}])
def test_a_set_of_another_schema_cannot_grow(other: dict[str, Any]) -> None:
    old = fit(OLD.rename({"ad": other["name"]}), schema=small(other))
    with pytest.raises(SchemaError, match="the set to grow was prepared with another schema; prepare with its own"):
        Fitter(small(AD), grow=old)


def test_statistics_are_those_of_the_logged_values() -> None:
    schema = small(
        {"name": "x", "kind": "numeric", "transforms": ["log1p", "minmax"]},
        {"name": "z", "kind": "numeric", "transforms": ["minmax"]},
    )
    values = [0.0, None, 3.0, -7.0]
    found = fit(pl.DataFrame({"x": values, "z": values}), schema=schema).statistics
    assert (found["z"].count, found["z"].minimum, found["z"].maximum) == (3, -7.0, 3.0)
    assert found["x"].minimum == pytest.approx(-2.0794415416798357)
    assert found["x"].maximum == pytest.approx(1.3862943611198906)
    assert (found["x"].values, found["x"].ranks) == ((), ())


def test_edges_are_fitted_or_stay_as_given() -> None:
    schema = small({**AGE, "buckets": 4}, {"name": "pay", "kind": "bucketized", "edges": [10, 20]})
    typed = pl.DataFrame({"age": [float(i % 8) for i in range(800)], "pay": [0.0] * 800})
    assert fit(typed, schema=schema).edges == {"age": (2.0, 4.0, 6.0), "pay": (10.0, 20.0)}
    constant = fit(typed.with_columns(age=7.0), schema=schema)
    assert constant.edges["age"] == ()
    assert constant.encode(typed)["age"].n_unique() == 1


def test_a_list_is_learnt_whole_and_one_of_a_feature_not_at_all() -> None:
    schema = small(
        {"name": "ad", "kind": "categorical", "encoding": "vocabulary"},
        {"name": "past", "kind": "sequence", "of": "ad"},
        {"name": "words", "kind": "multivalued", "encoding": "vocabulary", "max_length": 1},
    )
    typed = pl.DataFrame({"ad": ["a", None], "past": [["z"], None], "words": [["v", "w", None], []]})
    found = fit(typed, typed.clear(), schema=schema)
    assert {name: v.values.to_list() for name, v in found.vocabularies.items()} == {"ad": ["a"], "words": ["v", "w"]}


def test_a_cross_learns_the_texts_of_its_pairs() -> None:
    schema = small(
        AD,
        {"name": "age", "kind": "bucketized", "edges": [30]},
        {"name": "both", "kind": "cross", "of": ["ad", "age"], "encoding": "vocabulary"},
    )
    typed = pl.DataFrame({"ad": ["a", "a", None, None], "age": [30.0, 31.0, 5.0, None]})
    # A value too seldom for an id of its own still counts in a cross.
    assert fit(typed, schema=schema).vocabularies["both"].values.to_list() == [
        cross_text("a", "1"),
        cross_text(None, "0"),
    ]


A, B, C = ({"name": name, "kind": "categorical"} for name in "abc")
IDS = {"encoding": "vocabulary"}


@pytest.mark.parametrize(
    ("features", "learning"),
    [
        ([A, {"name": "s", "kind": "sequence", "of": "a"}], None),
        ([{"name": "x", "kind": "numeric", "transforms": ["log1p"]}], None),
        ([{"name": "b", "kind": "bucketized", "edges": [1], **IDS}], None),
        ([A, B, {"name": "x", "kind": "cross", "of": ["a", "b"]}], None),
        ([A, {"name": "x", "kind": "numeric", "transforms": ["quantile"]}], ["x"]),
        ([A, {"name": "b", "kind": "bucketized", "buckets": 2}], ["b"]),
        ([{"name": "m", "kind": "multivalued", **IDS}, A], ["m"]),
        ([{"name": "s", "kind": "sequence", "of": "i"}, {"name": "i", "kind": "categorical", **IDS}], ["i"]),
        ([A, B, C, {"name": "x", "kind": "cross", "of": ["a", "c"], **IDS}], ["a", "c", "x"]),
    ],
)
def test_it_says_which_columns_are_enough_to_learn_from(
    features: list[dict[str, Any]], learning: list[str] | None
) -> None:
    found = Fitter(small(*features)).learns_from
    assert (found and [feature.name for feature in found.features]) == learning


@settings(max_examples=10)
@given(ROWS)
def test_the_columns_to_learn_from_are_enough(rows: list[dict[str, Any]]) -> None:
    frame = frame_of([FIRST, *rows])
    enough = Fitter(SCHEMA).learns_from
    assert enough is not None
    unread = {feature.name for feature in SCHEMA.given} - {feature.name for feature in enough.given}
    assert unread == {"token", "past", "plain", "logged"}
    assert fit(frame.drop(unread)).digest == fit(frame).digest


def test_growth_of_statistics_alone_reads_no_rows() -> None:
    schema = small(PRICE, AGE)
    old = fit(OLD, schema=schema)
    assert Fitter(schema, grow=old).learns_from is None
    assert Fitter(schema, grow=old, refit=True).learns_from == schema
    assert Fitter(schema, grow=old).fitted().digest == old.digest


@pytest.mark.parametrize("feature", [PRICE, AGE, {**PRICE, "transforms": ["quantile"], "missing": 0}])
@pytest.mark.parametrize("rows", [0, 3])
def test_a_number_that_no_row_has_is_refused(feature: dict[str, Any], rows: int) -> None:
    schema = small({**feature, "name": "price"}, {"name": "ad", "kind": "categorical"})
    typed = pl.DataFrame({"price": [None] * rows, "ad": ["a"] * rows}, schema={"price": pl.Float64, "ad": pl.String})
    with pytest.raises(
        DataError, match=f"^{feature['kind']} feature 'price' has no value in any training row; mend it, or remove it$"
    ):
        fit(typed, schema=schema)


def test_vocabularies_may_be_empty() -> None:
    schema = small(AD, {"name": "words", "kind": "sequence", "encoding": "vocabulary"})
    typed = pl.DataFrame(
        {"ad": ["a", None], "words": [[], None]}, schema={"ad": pl.String, "words": pl.List(pl.String)}
    )
    found = fit(typed, schema=schema)
    assert [v.size for v in found.vocabularies.values()] == [2, 2]
    assert found.encode(typed)["ad"].to_list() == [1, 0]


def test_a_fill_that_its_transform_makes_infinite_is_refused() -> None:
    schema = small({**PRICE, "transforms": ["minmax"], "missing": 1e30})
    with pytest.raises(
        DataError, match=r"feature 'price': its minmax makes the fill 1e\+30 too large for float32; set"
    ):
        fit(pl.DataFrame({"price": [1.0, 1.0 + 1e-12]}), schema=schema)
