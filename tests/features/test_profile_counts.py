"""Counts gathered shard by shard against counting all rows at once."""

from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from features.datasets.shards import Shards
from features.encoding.numerics import NumericState, NumericStatistics, encoded, logged
from features.encoding.typed import LABEL, ROW
from features.profile import counts as counting
from features.profile._units import Unit
from features.profile.counts import count_numeric, count_sparse, halves
from features.schema import NumericFeature, parse_schema

ROWS = 5000
SCHEMA = parse_schema(
    {
        "label": "y",
        "features": [
            {"name": "ad", "kind": "categorical"},
            {"name": "past", "kind": "sequence"},
            {"name": "price", "kind": "numeric"},
        ],
    },
    source="test",
)
UNIT = Unit(NumericFeature(name="price", kind="numeric"), None)


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    draw = np.random.default_rng(0)
    price = pl.Series(np.round(draw.normal(0, 50, ROWS), 1), dtype=pl.Float32)
    ad = draw.integers(0, 40, ROWS) * draw.integers(0, 2, ROWS)
    return pl.DataFrame(
        {
            ROW: np.arange(ROWS),
            LABEL: pl.Series(draw.random(ROWS) < 0.02 * (1 + ad), dtype=pl.UInt8),
            "ad": ad,
            "past": pl.Series([[i % 7] * (i % 4) for i in range(ROWS)], dtype=pl.List(pl.Int64)),
            "price": price.set(pl.Series(draw.random(ROWS) < 0.1), None),
        }
    )


def shards(folder: Path, rows: pl.DataFrame, size: int) -> Shards:
    files = []
    for first in range(0, rows.height, size):
        part = rows[first : first + size]
        files.append((folder / f"part-{first:05d}.parquet", part.height))
        part.write_parquet(files[-1][0])
    return Shards(files, SCHEMA, {})


@pytest.mark.parametrize("size", [ROWS, 123])
def test_tokens_are_counted(tmp_path: Path, rows: pl.DataFrame, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "_CONSOLIDATE", 50)
    feature = SCHEMA.feature("ad")
    assert feature.kind == "categorical"
    counted = count_sparse(shards(tmp_path, rows, size), feature)
    ads, labels = rows["ad"].to_list(), rows[LABEL].to_list()
    all_rows, positives = Counter(ads), Counter(ad for ad, label in zip(ads, labels, strict=True) if label)
    made = {value: (n, p) for value, n, p in counted.values.select("value", "rows", "positives").iter_rows()}
    assert made == {value: (n, positives[value]) for value, n in all_rows.items()}
    assert counted.total == ROWS
    assert counted.missing_share == all_rows[0] / ROWS
    assert counted.present.height == len(all_rows) - 1
    order = counted.values.select("rows", "value").rows()
    assert order == sorted(order, key=lambda row: (-row[0], row[1]))


@pytest.mark.parametrize("size", [ROWS, 123])
def test_lists_are_counted_by_element_and_by_length(tmp_path: Path, rows: pl.DataFrame, size: int) -> None:
    feature = SCHEMA.feature("past")
    assert feature.kind == "sequence"
    counted = count_sparse(shards(tmp_path, rows, size), feature)
    elements = Counter(value for values in rows["past"].to_list() for value in values)
    assert dict(counted.values.select("value", "rows").iter_rows()) == elements
    assert counted.total == sum(elements.values())
    assert counted.lengths is not None
    assert dict(counted.lengths.select("value", "rows").iter_rows()) == dict.fromkeys(range(4), ROWS // 4)
    assert counted.missing_share == 0.25
    assert counted.by_row["positives"].sum() == rows[LABEL].sum()


@pytest.mark.parametrize("size", [ROWS, 123])
def test_numbers_are_counted(tmp_path: Path, rows: pl.DataFrame, size: int) -> None:
    counted = count_numeric(shards(tmp_path, rows, size), UNIT)
    present = rows.drop_nulls("price")
    assert counted.rows == present.height
    assert counted.missing_share == rows["price"].null_count() / ROWS
    assert counted.missing["positives"].to_list() == [rows.filter(pl.col("price").is_null())[LABEL].sum()]
    assert counted.cells["positives"].sum() == present[LABEL].sum()
    assert counted.cells["low"][0] == present["price"].min()
    assert counted.cells["high"][-1] == present["price"].max()
    assert (counted.cells["low"][1:] > counted.cells["high"][:-1]).all()
    assert counted.distinct == present["price"].n_unique()
    assert counted.mean == pytest.approx(present["price"].cast(pl.Float64).mean())


def test_many_numbers_share_cells_of_one_part_in_two_thousand(tmp_path: Path, rows: pl.DataFrame) -> None:
    price = pl.Series("price", np.random.default_rng(1).normal(0, 1, ROWS), dtype=pl.Float32)
    counted = count_numeric(shards(tmp_path, rows.with_columns(price.replace(price[0], -0.0)), ROWS), UNIT)
    low, high = counted.cells["low"].to_numpy(), counted.cells["high"].to_numpy()
    assert counted.distinct is None
    assert counted.cells["rows"].sum() == ROWS
    assert ((high - low) <= np.maximum(np.abs(low), np.abs(high)) / 2048).all()


def test_halves_are_halves_of_any_pattern(tmp_path: Path, rows: pl.DataFrame) -> None:
    """Rows of even and odd numbers, which logs of pairs would tell apart, fall into both halves alike."""
    feature = SCHEMA.feature("ad")
    assert feature.kind == "categorical"
    even = rows.with_columns((pl.col(ROW) % 2 + 5).alias("ad"))
    counted = halves(count_sparse(shards(tmp_path, even, ROWS), feature).values)
    assert counted[:, [0, 2]].sum() == ROWS
    assert counted[:, [1, 3]].sum() == rows[LABEL].sum()
    assert np.abs(counted[:, 0] - ROWS / 4).max() < 5


@pytest.mark.parametrize(
    "transforms", [(), ("log1p",), ("standardize",), ("minmax",), ("quantile",), ("log1p", "standardize")]
)
def test_raw_numbers_come_back(transforms: tuple[str, ...]) -> None:
    feature = NumericFeature.model_validate({"name": "price", "kind": "numeric", "transforms": transforms})
    raw = pl.DataFrame({"price": [0.0, 1.0, -3.5, 1e-3, 250.0, 12345.0, None]})
    state = NumericState(quantiles=True)
    state.update(logged(raw, [feature])["price"])
    statistics = state.statistics()
    back = Unit(feature, statistics).raw(encoded(raw, [feature], {"price": statistics})["price"].to_numpy())
    assert np.isnan(back[-1])
    # The quantile transform itself takes numbers to one part in 4,096.
    exact = raw["price"].to_numpy()[:-1]
    assert back[:-1] == pytest.approx(exact, rel=3e-4 if "quantile" in transforms else 1e-5, abs=2e-3)
    assert (np.argsort(back[:-1]) == np.argsort(exact)).all()


def test_zero_comes_back_as_zero() -> None:
    feature = NumericFeature(name="price", kind="numeric", transforms=("standardize",))
    for mean in (0.1, 1 / 3, 1234.5):
        statistics = NumericStatistics(count=9, mean=mean, deviation=0.7, minimum=0, maximum=9)
        zero = encoded(pl.DataFrame({"price": [0.0]}), [feature], {"price": statistics})
        assert Unit(feature, statistics).raw(zero["price"].to_numpy()).tolist() == [0]


def test_ranks_come_back_as_the_numbers_they_were_fitted_on() -> None:
    feature = NumericFeature(name="price", kind="numeric", transforms=("quantile",))
    statistics = NumericStatistics(count=4, minimum=1, maximum=8, values=(1.0, 2.0, 8.0), ranks=(0.125, 0.5, 0.875))
    back = Unit(feature, statistics).raw(np.array([0.125, 0.5, 0.875, 0.6875, np.nan], np.float32))
    assert back[:-1].tolist() == [1.0, 2.0, 8.0, 5.0]
    assert np.isnan(back[-1])


def test_what_rounding_carries_past_float64_is_its_largest_number() -> None:
    feature = NumericFeature(name="price", kind="numeric", transforms=("log1p",))
    back = Unit(feature, None).raw(np.array([709.9, -709.9], np.float32))
    assert back.tolist() == [np.finfo(np.float64).max, np.finfo(np.float64).min]
