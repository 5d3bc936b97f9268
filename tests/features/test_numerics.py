"""Numeric transforms against their formulas, statistics against numpy, and one float32 offline and online."""

import math
from collections.abc import Sequence
from fractions import Fraction
from random import Random
from typing import Literal

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from features.encoding.numerics import NumericState, NumericStatistics, bucket_of, encoded, encoded_value, logged
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
    ["quantile"],
    ["log1p", "quantile"],
]


def feature(*transforms: Transform, missing: Literal["mask"] | float = "mask") -> NumericFeature:
    return NumericFeature(name="x", kind="numeric", transforms=transforms, missing=missing)


def offline(
    values: Sequence[float | None], declared: NumericFeature, statistics: NumericStatistics | None
) -> NDArray[np.float32]:
    raw = pl.DataFrame({"x": values}, schema={"x": pl.Float64})
    found = encoded(raw, [declared], {} if statistics is None else {"x": statistics})
    assert dict(found.schema) == {"x": pl.Float32}
    return found["x"].to_numpy()


def online(
    values: Sequence[float | None], declared: NumericFeature, statistics: NumericStatistics | None
) -> NDArray[np.float32]:
    return np.array([encoded_value(value, declared, statistics) for value in values])


def statistics_of(values: list[float | None], declared: NumericFeature) -> NumericStatistics:
    return state_of(logged(pl.DataFrame({"x": values}, schema={"x": pl.Float64}), [declared])["x"]).statistics()


def state_of(values: pl.Series) -> NumericState:
    state = NumericState(quantiles=True)
    state.update(values)
    return state


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
        (["quantile"], np.array([0.1, 0.3, 0.5, 0.7, 0.9])),
    ]
    for chain, expected in cases:
        declared = feature(*chain)
        found = offline(values, declared, statistics_of(values, declared))
        np.testing.assert_allclose(found[:-1], expected, rtol=1e-6, atol=1e-7)
        assert math.isnan(found[-1])


def test_a_fill_goes_through_the_transforms() -> None:
    assert offline([None, 3.0], feature("log1p", missing=math.e - 1), None).tolist() == [1.0, np.float32(math.log(4))]
    fitted = NumericStatistics(count=2, mean=10.0, deviation=2.0, minimum=8.0, maximum=12.0)
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


SUBNORMAL = (0.0, 5e-324, 1e-310)
EDGE_STATISTICS = (
    NumericStatistics(
        count=3, mean=1.0, deviation=1.4, minimum=-1.0, maximum=2.0, values=(-1.0, 2.0), ranks=(0.3, 0.8)
    ),
    # A range of one subnormal: the reciprocal of its width is infinite, a quotient by it is not.
    NumericStatistics(count=2, minimum=0.0, maximum=5e-324, values=SUBNORMAL, ranks=(0.2, 0.5, 0.9)),
    NumericStatistics(count=2, deviation=5e-324, minimum=0.0, maximum=1e-310, values=(7.0,), ranks=(0.5,)),
)


@pytest.mark.parametrize("chain", CHAINS, ids="-".join)
@pytest.mark.parametrize("value", [0.0, -0.0, 5e-324, -5e-324, 1e-311, 2.2250738585072014e-308, 1.7e308, -1.7e308])
def test_edge_numbers_are_the_same_offline_and_online(chain: list[Transform], value: float) -> None:
    for statistics in EDGE_STATISTICS:
        # polars divides a column of one row and a longer one in different ways.
        for values in ([value], [value] * 3, [value] * 2000):
            found = offline(values, feature(*chain), statistics)
            assert found.tobytes() == online(values, feature(*chain), statistics).tobytes()


@settings(deadline=None)
@given(st.lists(st.lists(st.none() | FINITE, max_size=10), min_size=1, max_size=6), st.randoms())
def test_statistics_of_parts_merge_to_those_of_the_whole_to_the_bit(
    batches: list[list[float | None]], random: Random
) -> None:
    series = [pl.Series(batch, dtype=pl.Float64) for batch in batches]
    whole = state_of(pl.concat(series)).statistics()
    random.shuffle(series)
    states = [state_of(part) for part in series]
    while len(states) > 1:
        taken = states.pop(random.randrange(len(states)))
        states[random.randrange(len(states))].merge(taken)
    assert states[0].statistics().model_dump_json() == whole.model_dump_json()


@settings(deadline=None)
@given(st.lists(FINITE, min_size=1, max_size=20))
def test_statistics_are_the_exact_ones_rounded_once(values: list[float]) -> None:
    found = state_of(pl.Series(values, dtype=pl.Float64)).statistics()
    exact = [Fraction(value) for value in values]
    mean = sum(exact) / len(exact)
    variance = sum((value - mean) ** 2 for value in exact) / len(exact)
    assert (found.count, found.minimum, found.maximum) == (len(values), min(values), max(values))
    assert found.mean == float(mean)
    # The deviation is the float64 whose two halfway points to its neighbours have the root between them.
    below, above = (Fraction(math.nextafter(found.deviation, to)) for to in (0.0, math.inf))
    deviation = Fraction(found.deviation)
    assert ((deviation + below) / 2) ** 2 <= variance <= ((deviation + above) / 2) ** 2


def test_blocks_are_summed_exactly_whatever_their_range() -> None:
    random = np.random.default_rng(0)
    for exponent in (0, 20, 300):
        values = random.normal(size=40_000) * 10.0 ** random.uniform(-exponent, exponent, 40_000)
        found = state_of(pl.Series(values)).statistics()
        assert found.mean == float(sum(map(Fraction, values.tolist())) / len(values))


def test_the_transform_by_quantiles_is_the_share_of_training_values_below() -> None:
    train = np.random.default_rng(0).lognormal(2.0, 2.0, size=100_000)
    statistics = state_of(pl.Series(train)).statistics()
    assert len(statistics.values) == len(statistics.ranks) == 1000
    asked = np.quantile(train, np.linspace(0, 1, 501))
    found = offline(asked.tolist(), feature("quantile"), statistics)
    below = np.searchsorted(np.sort(train), asked) / len(train)
    np.testing.assert_allclose(found, below, atol=1e-3)


def test_the_transform_by_quantiles_counts_ties_half_and_is_level_outside() -> None:
    declared = feature("quantile", missing=3.0)
    statistics = statistics_of([1.0, 1.0, 3.0, None, 7.0], declared)
    expected = [0.25, 0.25, (0.25 + 0.625) / 2, 0.625, 0.875, 0.875, 0.625]
    values = [-9.0, 1.0, 2.0, 3.0, 7.0, 1e30, None]
    assert offline(values, declared, statistics).tolist() == pytest.approx(expected)
    assert offline([-1.0, 5.0, 9.0], declared, statistics_of([5.0, 5.0], declared)).tolist() == [0.5] * 3


@settings(deadline=None)
@given(st.lists(FINITE, min_size=1, max_size=30), st.lists(FINITE, min_size=2, max_size=30))
def test_the_transform_by_quantiles_rises_within_0_and_1(train: list[float], values: list[float]) -> None:
    statistics = state_of(pl.Series([v / 4 for v in train], dtype=pl.Float64)).statistics()
    found = offline(sorted(v / 4 for v in values), feature("quantile"), statistics)
    assert (np.diff(found) >= 0).all()
    assert ((found > 0) & (found < 1)).all()


def test_statistics_do_not_depend_on_how_memory_is_cut() -> None:
    # polars cuts a column into as many chunks as there are processors: a digest must not depend on their number.
    values = np.random.default_rng(0).lognormal(size=1000)
    whole = state_of(pl.Series(values)).statistics()
    for parts in (2, 3, 8, 64):
        chunked = pl.concat([pl.Series(part) for part in np.array_split(values, parts)], rechunk=False)
        assert chunked.n_chunks() == parts
        assert state_of(chunked).statistics() == whole


def test_a_large_mean_does_not_drown_the_deviation() -> None:
    values = 1e9 + np.random.default_rng(0).normal(size=10_000)
    assert state_of(pl.Series(values)).statistics().deviation == pytest.approx(values.std(), rel=1e-9)


def test_no_value_gives_no_statistics() -> None:
    assert state_of(pl.Series([None, None], dtype=pl.Float64)).statistics() == NumericStatistics()


@pytest.mark.parametrize("value", [0.0, 0.1, 3.3, -1e9 - 0.1])
@pytest.mark.parametrize("transform", ["standardize", "minmax"])
def test_a_constant_column_divides_by_1(value: float, transform: Transform) -> None:
    statistics = state_of(pl.Series([value] * 21)).statistics()
    assert (statistics.mean, statistics.deviation) == (value, 0)
    assert online([value, value + 2], feature(transform), statistics) == pytest.approx([0, 2], abs=1e-6)


def test_a_state_gives_the_edges_of_buckets() -> None:
    state = state_of(pl.Series([3.0, None, 1.0]))
    state.merge(state_of(pl.Series([2.0, 0.0])))
    assert state.edges(2) == (2.0,)
    assert state.edges(4) == (1.0, 2.0, 3.0)


def test_a_bucket_holds_its_lower_edge() -> None:
    values = np.array([-1e30, -1.0, -0.5, -0.0, 0.0, 2.9, 3.0, 1e30, math.nan])
    assert bucket_of(values, (-1.0, 0.0, 3.0)).tolist() == [0, 1, 1, 2, 2, 2, 3, 3, -1]
    assert bucket_of(values, ()).tolist() == [0] * 8 + [-1]
