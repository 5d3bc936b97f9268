"""Numeric transforms against their formulas, statistics against numpy, and one float32 offline and online."""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from features.numerics import NumericStatistics, encoded, encoded_value, logged
from features.schema import NumericFeature, Transform

FINITE = st.floats(allow_nan=False, allow_infinity=False)
MODERATE = st.floats(-1e6, 1e6)
CHAINS: list[list[Transform]] = [
    [],
    ["log1p"],
    ["log1p", "log1p"],
    ["standardize"],
    ["minmax"],
    ["log1p", "standardize"],
    ["log1p", "minmax"],
]


def feature(*transforms: Transform, missing: Literal["mask"] | float = "mask") -> NumericFeature:
    return NumericFeature(name="x", kind="numeric", transforms=transforms, missing=missing)


def offline(
    values: Sequence[float | None], declared: NumericFeature, statistics: NumericStatistics | None
) -> NDArray[np.float32]:
    found = encoded(pl.Series(values, dtype=pl.Float64), declared, statistics)
    assert found.dtype == pl.Float32
    return found.to_numpy()


def online(
    values: Sequence[float | None], declared: NumericFeature, statistics: NumericStatistics | None
) -> NDArray[np.float32]:
    return np.array([encoded_value(value, declared, statistics) for value in values])


def statistics_of(values: list[float | None], declared: NumericFeature) -> NumericStatistics:
    return NumericStatistics.of(logged(pl.Series(values, dtype=pl.Float64), declared))


def test_each_transform_is_its_formula() -> None:
    values: list[float | None] = [-3.0, 0.0, 1.0, 2.0, 10.0, None]
    given_ = np.array(values[:-1], dtype=np.float64)
    logged = np.sign(given_) * np.log1p(np.abs(given_))
    cases: list[tuple[list[Transform], NDArray[np.float64]]] = [
        ([], given_),
        (["log1p"], logged),
        (["standardize"], (given_ - given_.mean()) / given_.std()),
        (["minmax"], (given_ + 3) / 13),
        (["log1p", "standardize"], (logged - logged.mean()) / logged.std()),
        (["log1p", "minmax"], (logged - logged.min()) / (logged.max() - logged.min())),
    ]
    for chain, expected in cases:
        declared = feature(*chain)
        found = offline(values, declared, statistics_of(values, declared))
        np.testing.assert_allclose(found[:-1], expected, rtol=1e-6, atol=1e-7)
        assert math.isnan(found[-1])


def test_a_fill_goes_through_the_transforms() -> None:
    assert offline([None, 3.0], feature("log1p", missing=math.e - 1), None).tolist() == [1.0, np.float32(math.log(4))]
    fitted = NumericStatistics(count=2, mean=10.0, squares=8.0, minimum=8.0, maximum=12.0)
    assert offline([None, 12.0], feature("standardize", missing=6.0), fitted).tolist() == [-2.0, 1.0]
    assert online([None, 12.0], feature("standardize", missing=6.0), fitted).tolist() == [-2.0, 1.0]


def test_mask_keeps_missing_apart() -> None:
    assert np.isnan(offline([None, 0.0], feature(), None)).tolist() == [True, False]
    assert np.isnan(online([None, 0.0], feature("log1p"), None)).tolist() == [True, False]


@pytest.mark.parametrize("chain", CHAINS, ids="-".join)
@settings(deadline=None, max_examples=150)
@given(train=st.lists(MODERATE, max_size=5), values=st.lists(st.none() | FINITE, min_size=1, max_size=8))
def test_any_number_is_the_same_float32_offline_and_online(
    chain: list[Transform], train: list[float | None], values: list[float | None]
) -> None:
    for declared in (feature(*chain), feature(*chain, missing=-1.5)):
        statistics = statistics_of(train, declared)
        found = online(values, declared, statistics)
        assert found.dtype == np.float32
        assert offline(values, declared, statistics).tobytes() == found.tobytes()


@pytest.mark.parametrize("chain", CHAINS, ids="-".join)
@pytest.mark.parametrize("value", [0.0, -0.0, 5e-324, -5e-324, 2.2250738585072014e-308, 1.7e308, -1.7e308])
def test_edge_numbers_are_the_same_offline_and_online(chain: list[Transform], value: float) -> None:
    # A range of one subnormal: the reciprocal of its width is infinite, a quotient by it is not.
    for statistics in (
        NumericStatistics(count=3, mean=1.0, squares=6.0, minimum=-1.0, maximum=2.0),
        NumericStatistics(count=2, mean=0.0, squares=0.0, minimum=0.0, maximum=5e-324),
        NumericStatistics(count=2, mean=0.0, squares=5e-324, minimum=0.0, maximum=1e-310),
    ):
        # polars divides a column of one row and a longer one in different ways.
        for values in ([value], [value] * 3):
            found = offline(values, feature(*chain), statistics)
            assert found.tobytes() == online(values, feature(*chain), statistics).tobytes()


@settings(deadline=None)
@given(st.lists(st.lists(st.none() | MODERATE, max_size=10), min_size=1, max_size=6))
def test_statistics_of_parts_merge_to_those_of_the_whole(batches: list[list[float | None]]) -> None:
    merged = NumericStatistics()
    for batch in batches:
        merged = merged.merge(NumericStatistics.of(pl.Series(batch, dtype=pl.Float64)))
    whole = np.array([value for batch in batches for value in batch if value is not None])
    assert merged.count == len(whole)
    if len(whole):
        scale = np.abs(whole).max()
        assert merged.mean == pytest.approx(whole.mean(), rel=1e-12, abs=1e-12 * scale)
        assert merged.squares == pytest.approx(whole.var() * len(whole), rel=1e-9, abs=1e-12 * scale**2)
        assert (merged.minimum, merged.maximum) == (whole.min(), whole.max())
    else:
        assert merged == NumericStatistics()


def test_statistics_do_not_depend_on_how_memory_is_cut() -> None:
    # polars cuts a column into as many chunks as there are processors: a digest must not depend on their number.
    values = np.random.default_rng(0).lognormal(size=1000)
    whole = NumericStatistics.of(pl.Series(values))
    for parts in (2, 3, 8, 64):
        chunked = pl.concat([pl.Series(part) for part in np.array_split(values, parts)], rechunk=False)
        assert chunked.n_chunks() == parts
        assert NumericStatistics.of(chunked) == whole


def test_a_large_mean_does_not_drown_the_deviation() -> None:
    values = 1e9 + np.random.default_rng(0).normal(size=10_000)
    merged = NumericStatistics()
    for part in np.split(values, 10):
        merged = merged.merge(NumericStatistics.of(pl.Series(part)))
    assert merged.deviation == pytest.approx(values.std(), rel=1e-6)


@pytest.mark.parametrize("value", [0.0, 0.1, 3.3, -1e9 - 0.1])
@pytest.mark.parametrize("transform", ["standardize", "minmax"])
def test_a_constant_column_divides_by_1_however_it_is_batched(value: float, transform: Transform) -> None:
    merged = NumericStatistics()
    for size in (3, 10, 1, 7):
        merged = merged.merge(NumericStatistics.of(pl.Series([value] * size)))
    assert online([value, value + 2], feature(transform), merged) == pytest.approx([0, 2], abs=1e-6)
