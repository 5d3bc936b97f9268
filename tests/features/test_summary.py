"""The summary: exact on small data, its estimates within their stated error, its parts that merge."""

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.encoding.fitted import FittedSchema
from features.encoding.fitter import Fitter
from features.encoding.tokens import token_expr
from features.encoding.typed import ROW
from features.preparation import summary
from features.preparation.summary import DistinctCounter, Summary
from features.schema import parse_schema

SCHEMA = parse_schema(
    {
        "label": "y",
        "features": [
            {"name": "ad", "kind": "categorical"},
            {"name": "price", "kind": "numeric"},
            {"name": "past", "kind": "sequence", "max_length": 2},
            {"name": "ids", "kind": "categorical", "encoding": "vocabulary", "min_count": 2},
            {"name": "tags", "kind": "multivalued", "of": "ids"},
            {"name": "age", "kind": "bucketized", "edges": [30], "encoding": "vocabulary"},
            {"name": "ad_age", "kind": "cross", "of": ["ad", "age"]},
            # Its name is one that frames of counts have.
            {"name": "count", "kind": "categorical"},
        ],
    },
    source="test",
)
TYPED = pl.DataFrame(
    {
        ROW: range(8),
        "ad": ["a", "b", "a", None, "", "c", "a", "b"],
        "price": [-1.0, None, -3.0, -4.0, None, -2.0, -8.0, None],
        "past": [["x", "y"], [], None, ["x"], ["x", None, "v"], ["z"], [], ["y", ""]],
        "ids": ["i", "j", "i", "j", "k", None, "i", "i"],
        "tags": [["i", "j", "new"], [], None, ["k", "k"], ["i"], [], [], []],
        "age": [20.0, 30.0, None, None, 40.0, 10.0, 50.0, 5.0],
        "count": [None, "value", *["count"] * 6],
    }
)
DTYPES: dict[str, Any] = dict(TYPED.schema)


def fitted_to(typed: pl.DataFrame) -> FittedSchema:
    fitter = Fitter(SCHEMA)
    fitter.update(typed)
    return fitter.fitted()


FITTED = fitted_to(TYPED)


def summarised(*batches: pl.DataFrame, rows: int | None = None) -> Summary:
    made = Summary(FITTED, sum(batch.height for batch in batches) if rows is None else rows)
    for batch in batches:
        made.update(batch, FITTED.encode(batch))
    return made


def reloaded(made: Summary, rows: int) -> Summary:
    return Summary.from_json(FITTED, rows, json.loads(json.dumps(made.to_json(), allow_nan=False)))


def tokens(first: int, last: int) -> np.ndarray[Any, np.dtype[np.uint64]]:
    found = pl.select(token_expr(pl.int_range(first, last).cast(pl.String)).alias("token")).to_series()
    return found.to_numpy().view(np.uint64)


def counted(*batches: np.ndarray[Any, np.dtype[np.uint64]]) -> DistinctCounter:
    counter = DistinctCounter()
    for batch in batches:
        counter.update(batch)
    return counter


EXPECTED: list[dict[str, Any]] = [
    {
        "name": "ad",
        "kind": "categorical",
        "missing": 1,
        "distinct": 4,
        "distinct_exact": True,
        "top": [{"value": "a", "share": 3 / 7}, {"value": "b", "share": 2 / 7}, {"value": "", "share": 1 / 7}],
    },
    {"name": "price", "kind": "numeric", "missing": 3, "min": -8.0, "mean": -3.6, "max": -1.0},
    {
        "name": "past",
        "kind": "sequence",
        "missing": 1,
        # Distinct and length count what is kept, two elements at most; the most frequent are those that were given.
        "distinct": 5,
        "distinct_exact": True,
        "top": [{"value": "x", "share": 3 / 8}, {"value": "y", "share": 2 / 8}, {"value": "", "share": 1 / 8}],
        "mean_length": 1.0,
    },
    {
        "name": "ids",
        "kind": "categorical",
        "missing": 1,
        # k has no id of its own.
        "distinct": 2,
        "distinct_exact": True,
        "top": [{"value": "i", "share": 4 / 7}, {"value": "j", "share": 2 / 7}, {"value": "k", "share": 1 / 7}],
    },
    {
        "name": "tags",
        "kind": "multivalued",
        "missing": 1,
        "distinct": 2,
        "distinct_exact": True,
        "top": [{"value": "i", "share": 2 / 6}, {"value": "k", "share": 2 / 6}, {"value": "j", "share": 1 / 6}],
        "mean_length": 0.75,
    },
    {
        "name": "age",
        "kind": "bucketized",
        "missing": 2,
        "min": 5.0,
        "mean": 155 / 6,
        "max": 50.0,
        "distinct": 2,
        "distinct_exact": True,
    },
    {"name": "ad_age", "kind": "cross", "missing": 1, "distinct": 7, "distinct_exact": True},
    {
        "name": "count",
        "kind": "categorical",
        "missing": 1,
        "distinct": 2,
        "distinct_exact": True,
        "top": [{"value": "count", "share": 6 / 7}, {"value": "value", "share": 1 / 7}],
    },
]


@pytest.mark.parametrize("batches", [[TYPED], [TYPED[:3], TYPED[3:3], TYPED[3:4], TYPED[4:]]])
def test_small_data_is_counted_exactly(batches: list[pl.DataFrame]) -> None:
    made = summarised(*batches)
    assert made.columns() == EXPECTED
    assert (made.rows, made.sampled) == (8, 8)


def test_nothing_at_all_is_summarised() -> None:
    empty = TYPED.with_columns(pl.lit(None, dtype).alias(name) for name, dtype in DTYPES.items() if name != ROW)
    for made in (summarised(), summarised(TYPED[:0]), summarised(empty), reloaded(summarised(), 0)):
        for column in made.columns():
            assert column["missing"] == made.rows
            assert column.get("distinct", 0) == column.get("mean_length", 0.0) == 0
            assert column.get("top", []) == []
            assert "mean" not in column


VALUES = st.none() | st.sampled_from(["a", "b", "", "é", "new"])
STRATEGIES: dict[str, st.SearchStrategy[Any]] = {
    name: {
        pl.String: VALUES,
        # Sums of whole numbers are exact in any order.
        pl.Float64: st.none() | st.integers(-(2**40), 2**40).map(float),
    }.get(dtype, st.none() | st.lists(VALUES, max_size=4))
    for name, dtype in DTYPES.items()
    if name != ROW
}


@settings(max_examples=50)
@given(rows=st.lists(st.fixed_dictionaries(STRATEGIES), max_size=12), data=st.data())
def test_parts_merge_to_the_whole(rows: Sequence[dict[str, Any]], data: st.DataObject) -> None:
    frame = pl.DataFrame([{ROW: i, **row} for i, row in enumerate(rows)], schema=DTYPES, orient="row")
    # Of an input of 200,000 rows every fourth is sampled.
    count = data.draw(st.sampled_from([frame.height, 200_000]))
    whole = summarised(frame, rows=count)
    owners = pl.Series(data.draw(st.lists(st.integers(0, 2), min_size=len(rows), max_size=len(rows))), dtype=pl.Int64)
    merged = Summary(FITTED, count)
    for part in data.draw(st.permutations(range(3))):
        of_part = summarised(frame.filter(owners == part), rows=count)
        merged.merge(reloaded(of_part, count) if data.draw(st.booleans()) else of_part)
    for other in (merged, reloaded(merged, count), reloaded(whole, count)):
        assert (other.rows, other.sampled) == (whole.rows, whole.sampled)
        assert other.columns() == whole.columns()


def test_a_reloaded_summary_goes_on() -> None:
    half = reloaded(summarised(TYPED[:5], rows=8), 8)
    half.update(TYPED[5:], FITTED.encode(TYPED[5:]))
    assert half.columns() == EXPECTED


@pytest.mark.parametrize("largest", [1.7e308, -1.7e308])
def test_sums_beyond_float64_have_no_mean(largest: float) -> None:
    frame = TYPED.with_columns(price=pl.lit(largest), age=pl.lit(largest))
    first, second = summarised(frame), summarised(TYPED, frame)
    second.merge(reloaded(first, 8))
    for made in (first, second, reloaded(second, 24)):
        price = made.columns()[1]
        assert price["mean"] is None
        assert largest in (price["min"], price["max"])
    json.dumps(second.columns(), allow_nan=False)


def test_few_distinct_values_are_counted_exactly() -> None:
    made = counted(tokens(0, 700), tokens(0, 100), tokens(500, 1023))
    assert made.exact
    assert made.count == 1023


def test_many_distinct_values_are_estimated_within_five_sigma() -> None:
    made = counted(*(tokens(i, i + 10_000) for i in range(0, 200_000, 10_000)), tokens(0, 50_000))
    assert not made.exact
    assert abs(made.count / 200_000 - 1) <= 5 / math.sqrt(1024 - 2)


@pytest.mark.parametrize("few", [1024, 1030])
def test_the_estimate_is_near_where_it_begins(few: int) -> None:
    made = counted(tokens(0, few))
    assert not made.exact
    assert abs(made.count / few - 1) <= 5 / math.sqrt(1024 - 2)


def test_the_estimate_does_not_depend_on_order_or_batches() -> None:
    whole = tokens(0, 50_000)
    expected = counted(whole).count
    assert counted(whole[::-1].copy()).count == expected
    assert counted(*(whole[i : i + 777] for i in range(0, 50_000, 777))).count == expected
    assert counted(whole[25_000:], whole[:30_000], whole).count == expected
    one, other = counted(whole[:20_000]), counted(whole[10_000:])
    one.update(other.smallest)
    assert one.count == expected


@pytest.mark.parametrize("kind", ["vocabulary", "token", "buckets"])
def test_ids_and_tokens_are_estimated_alike(kind: str) -> None:
    count = 800 if kind == "buckets" else 20_000
    feature: dict[str, Any] = {"name": "f", "kind": "categorical", "encoding": kind}
    typed = pl.DataFrame({ROW: range(count), "f": [f"v{i}" for i in range(count)]})
    if kind == "buckets":
        feature = {"name": "f", "kind": "bucketized", "edges": list(range(1, count)), "encoding": "vocabulary"}
        typed = typed.with_columns(f=pl.int_range(count).cast(pl.Float64))
    schema = parse_schema({"label": "y", "features": [feature]}, source="test")
    fitter = Fitter(schema)
    fitter.update(typed)
    # Half of the values that have an id are there, every other one.
    some = typed.gather_every(2)
    made = Summary(fitter.fitted(), count)
    made.update(some, fitter.fitted().encode(some))
    column = made.columns()[0]
    assert column["distinct_exact"] is (kind == "buckets")
    assert abs(column["distinct"] / (count / 2) - 1) <= (0 if kind == "buckets" else 5 / math.sqrt(1024 - 2))


def test_rows_are_sampled_by_their_position(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summary, "_SAMPLE", 100)
    draw = np.random.default_rng(0)
    frame = pl.DataFrame({ROW: range(5000), "ad": [f"a{i}" for i in draw.zipf(1.5, 5000) % 50]}).with_columns(
        pl.lit(None, dtype).alias(name) for name, dtype in DTYPES.items() if name not in (ROW, "ad")
    )
    whole = summarised(frame)
    # Every 64th row of the input: 79 of 5000.
    assert whole.sampled == 79
    expected = frame[::64]["ad"].value_counts(sort=True)
    top: list[dict[str, Any]] = whole.columns()[0]["top"]
    assert top[0]["share"] == expected["count"][0] / 79
    cut = summarised(*(frame[i : i + 333] for i in range(0, 5000, 333)))
    assert cut.columns() == whole.columns()
    # Bad rows are not there to be sampled, and none takes their place.
    assert summarised(frame.filter(pl.col(ROW) % 128 != 0), rows=5000).sampled == 39


@pytest.mark.parametrize(("rows", "sampled"), [(0, 0), (1, 1), (100, 100), (101, 51), (200, 100), (201, 51)])
def test_the_sample_stays_within_its_size(monkeypatch: pytest.MonkeyPatch, rows: int, sampled: int) -> None:
    monkeypatch.setattr(summary, "_SAMPLE", 100)
    frame = pl.concat([TYPED] * 30)[:rows].with_columns(pl.int_range(rows).alias(ROW))
    assert summarised(frame).sampled == sampled
