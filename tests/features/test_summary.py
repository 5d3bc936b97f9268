"""The summary: exact on small data, its estimates within their stated error, its sample of flat size."""

import math
from typing import Any

import numpy as np
import polars as pl
import pytest

from features import summary
from features.schema import parse_schema
from features.summary import DistinctCounter, Summary
from features.tokens import token_expr
from features.typed import ROW

SCHEMA = parse_schema(
    {
        "label": "y",
        "features": [
            {"name": "ad", "kind": "categorical"},
            {"name": "price", "kind": "numeric"},
            {"name": "past", "kind": "sequence"},
        ],
    },
    source="test",
)
TYPED = pl.DataFrame(
    {
        ROW: range(8),
        "ad": ["a", "b", "a", None, "", "c", "a", "b"],
        "price": [1.0, None, 3.0, -4.0, None, 2.0, 8.0, None],
        "past": [["x", "y"], [], None, ["x"], ["x", None], ["z"], [], ["y", ""]],
    }
)


def summarised(*batches: pl.DataFrame) -> Summary:
    made = Summary(SCHEMA)
    for batch in batches:
        made.update(batch)
    return made


def tokens(first: int, last: int) -> pl.Series:
    return pl.select(token_expr(pl.int_range(first, last).cast(pl.String)).alias("token")).to_series()


def counted(*batches: pl.Series) -> DistinctCounter:
    counter = DistinctCounter()
    for batch in batches:
        counter.update(batch)
    return counter


@pytest.mark.parametrize("batches", [[TYPED], [TYPED[:3], TYPED[3:3], TYPED[3:4], TYPED[4:]]])
def test_small_data_is_counted_exactly(batches: list[pl.DataFrame]) -> None:
    made = summarised(*batches)
    ad, price, past = made.columns()
    assert ad == {
        "name": "ad",
        "kind": "categorical",
        "missing": 1,
        "distinct": 4,
        "distinct_exact": True,
        "top": [{"value": "a", "share": 3 / 8}, {"value": "b", "share": 2 / 8}, {"value": "", "share": 1 / 8}],
    }
    assert price == {"name": "price", "kind": "numeric", "missing": 3, "min": -4.0, "mean": 2.0, "max": 8.0}
    assert past == {
        "name": "past",
        "kind": "sequence",
        "missing": 1,
        "distinct": 4,
        "distinct_exact": True,
        "top": [{"value": "x", "share": 3 / 8}, {"value": "y", "share": 2 / 8}, {"value": "", "share": 1 / 8}],
        "mean_length": 1.0,
    }
    assert made.sampled == 8


def test_nothing_at_all_is_summarised() -> None:
    empty = TYPED.with_columns(
        ad=pl.lit(None, pl.String), price=pl.lit(None, pl.Float64), past=pl.lit(None, pl.List(pl.String))
    )
    for made in (summarised(), summarised(empty)):
        ad, price, past = made.columns()
        assert (ad["distinct"], ad["top"], past["distinct"], past["mean_length"]) == (0, [], 0, 0.0)
        assert "mean" not in price


def test_few_distinct_values_are_counted_exactly() -> None:
    made = counted(tokens(0, 3000), tokens(0, 100), tokens(2000, 4095))
    assert made.exact
    assert made.count == 4095


def test_many_distinct_values_are_estimated_within_five_sigma() -> None:
    made = counted(*(tokens(i, i + 10_000) for i in range(0, 200_000, 10_000)), tokens(0, 50_000))
    assert not made.exact
    assert abs(made.count / 200_000 - 1) <= 5 / math.sqrt(4096 - 2)


def test_the_estimate_does_not_depend_on_order_or_batches() -> None:
    whole = tokens(0, 50_000)
    expected = counted(whole).count
    assert counted(whole.reverse()).count == expected
    assert counted(*(whole[i : i + 777] for i in range(0, 50_000, 777))).count == expected
    assert counted(whole[25_000:], whole[:30_000], whole).count == expected


def test_the_sample_stays_flat_and_does_not_depend_on_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summary, "_SAMPLE", 100)
    draw = np.random.default_rng(0)
    frame = pl.DataFrame(
        {
            ROW: range(5000),
            "ad": [f"a{i}" for i in draw.zipf(1.5, 5000) % 50],
            "price": draw.normal(size=5000),
            "past": [[f"a{i}"] for i in draw.integers(0, 5, 5000)],
        }
    )
    whole = summarised(frame)
    assert 50 < whole.sampled <= 100
    # Every 64th row of the input: 79 of 5000.
    assert whole.sampled == 79
    expected = frame[::64]["ad"].value_counts(sort=True)
    top: list[dict[str, Any]] = whole.columns()[0]["top"]
    assert top[0]["share"] == expected["count"][0] / 79
    cut = summarised(*(frame[i : i + 333] for i in range(0, 5000, 333)))
    assert [c.get("top") for c in cut.columns()] == [c.get("top") for c in whole.columns()]
    assert [c["missing"] for c in cut.columns()] == [0, 0, 0]
