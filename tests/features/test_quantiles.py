"""The quantile sketch against sorted numbers: its error, its edges and ranks, and the merging of parts."""

import math
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from features.encoding.numerics import bucket_of
from features.encoding.quantiles import QuantileSketch

FINITE = st.floats(allow_nan=False, allow_infinity=False)
SMALL = st.integers(-20, 20).map(float)
NUMBERS = st.lists(FINITE | SMALL, min_size=1, max_size=60)
LARGEST = float(np.finfo(np.float64).max)


def sketch_of(numbers: list[float] | NDArray[np.float64]) -> QuantileSketch:
    sketch = QuantileSketch()
    sketch.update(np.asarray(numbers, np.float64))
    return sketch


@settings(deadline=None)
@given(NUMBERS, st.lists(st.floats(0, 1), max_size=5))
def test_a_quantile_is_the_right_number_within_its_error(numbers: list[float], shares: list[float]) -> None:
    ordered = sorted(numbers)
    for share, found in zip(shares, sketch_of(numbers).quantiles(shares), strict=True):
        rank = next(i for i in range(1, len(ordered) + 1) if i / len(ordered) >= share)
        number = ordered[rank - 1]
        if abs(number) <= 8191 and number == int(number):
            assert found == number
        assert found <= number or found == -LARGEST
        assert abs(found / 4 - number / 4) <= max(abs(number / 4) * 2.0**-12, 2.0**-1034)


def test_the_error_is_as_stated_over_every_magnitude() -> None:
    numbers = np.sort(np.random.default_rng(0).normal(size=2000) * 10.0 ** np.arange(-300, 300).repeat(10)[:2000])
    found = np.array(sketch_of(numbers).quantiles(((np.arange(2000) + 0.5) / 2000).tolist()))
    assert (np.abs(found - numbers) < np.abs(numbers) * 2.0**-12).all()


def test_integers_of_13_bits_are_exact() -> None:
    numbers = np.arange(-8191.0, 8192.0)
    assert sketch_of(numbers).quantiles(((np.arange(len(numbers)) + 0.5) / len(numbers)).tolist()) == numbers.tolist()


def test_zeros_are_one_number() -> None:
    values, ranks = sketch_of([0.0, -0.0, 0.0]).ranks(10)
    assert (values, ranks) == ((0.0,), (0.5,))
    assert math.copysign(1, values[0]) == 1


def test_the_ends_of_float64_stay_finite() -> None:
    sketch = sketch_of([-LARGEST, -5e-324, 5e-324, LARGEST])
    lowest, below_zero, above_zero, highest = sketch.quantiles([0, 0.5, 0.75, 1])
    assert lowest == -LARGEST
    assert -1e-311 < below_zero < 0 == above_zero
    assert LARGEST * (1 - 2.0**-12) < highest < LARGEST


@settings(deadline=None)
@given(st.lists(st.lists(FINITE | SMALL, max_size=10), min_size=1, max_size=6), st.randoms())
def test_sketches_of_parts_merge_to_that_of_the_whole(parts: list[list[float]], random: Random) -> None:
    whole = sketch_of([number for part in parts for number in part])
    random.shuffle(parts)
    merged = sketch_of(parts[0])
    for part in parts[1:]:
        merged.merge(sketch_of(part))
    shares = [0, 0.1, 0.5, 0.9, 1]
    assert repr(merged.quantiles(shares)) == repr(whole.quantiles(shares))
    assert merged.edges(4) == whole.edges(4)
    assert merged.ranks(5) == whole.ranks(5)


@settings(deadline=None)
@given(NUMBERS, st.integers(2, 12))
def test_edges_rise_and_leave_no_bucket_empty(numbers: list[float], buckets: int) -> None:
    edges = sketch_of(numbers).edges(buckets)
    assert len(edges) < buckets
    assert list(edges) == sorted(set(edges))
    filled = np.bincount(bucket_of(np.array(numbers), edges), minlength=len(edges) + 1)
    # The lowest rounded number may stand for numbers below it only at the very end of float64.
    assert (filled > 0).all() or min(numbers) < -LARGEST / 2


@pytest.mark.parametrize("buckets", [2, 5, 10, 100])
def test_buckets_of_distinct_numbers_have_equal_weight(buckets: int) -> None:
    numbers = np.random.default_rng(0).normal(size=100_000)
    edges = sketch_of(numbers).edges(buckets)
    assert len(edges) == buckets - 1
    shares = np.bincount(bucket_of(numbers, edges)) / len(numbers)
    assert np.abs(shares - 1 / buckets).max() < 1e-3


@pytest.mark.parametrize(
    ("numbers", "buckets", "expected"),
    [
        ([0, 1], 2, (1,)),
        ([0] * 9 + [1], 2, (1,)),
        ([0] + [1] * 9, 2, (1,)),
        (list(range(10)), 2, (5,)),
        (list(range(10)), 5, (2, 4, 6, 8)),
        (list(range(4)), 10, (1, 2, 3)),
        ([0] * 90 + list(range(1, 11)), 10, (1,)),
        ([7] * 5, 3, ()),
        ([], 3, ()),
    ],
)
def test_edges_stand_where_the_weight_is(numbers: list[float], buckets: int, expected: tuple[float, ...]) -> None:
    assert sketch_of(numbers).edges(buckets) == expected


@settings(deadline=None)
@given(NUMBERS, st.integers(2, 20))
def test_ranks_are_the_mid_ranks_of_their_numbers(numbers: list[float], points: int) -> None:
    sketch = sketch_of(numbers)
    every, all_ranks = sketch.ranks(len(numbers) + 2)
    rounded = np.array(sketch.quantiles(((np.arange(len(numbers)) + 0.5) / len(numbers)).tolist()))
    assert every == tuple(np.unique(rounded))
    assert all_ranks == pytest.approx([((rounded < v).mean() + (rounded <= v).mean()) / 2 for v in every])
    values, ranks = sketch.ranks(points)
    assert len(values) <= points
    assert set(zip(values, ranks, strict=True)) <= set(zip(every, all_ranks, strict=True))
    assert (values[0], values[-1]) == (every[0], every[-1])


def test_few_points_are_evenly_spaced_in_rank() -> None:
    values, ranks = sketch_of(np.random.default_rng(0).normal(size=50_000)).ranks(101)
    assert len(values) == 101
    assert np.abs(np.diff(ranks) - 0.01).max() < 2e-3


def test_nothing_has_no_quantile() -> None:
    assert np.isnan(QuantileSketch().quantiles([0, 0.5, 1])).all()
    assert QuantileSketch().ranks(10) == ((), ())
