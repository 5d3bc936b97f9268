"""Numeric transforms and their statistics, the same offline (polars) and online (Python floats).

Everything is computed in float64 and rounded to float32 once, at the end.
"""

import bisect
import math
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from features.encoding._moments import Moments
from features.encoding.quantiles import QuantileSketch
from features.schema import FittedTransform, NumericFeature

_POINTS = 1000  # reference points of the quantile transform


class NumericStatistics(BaseModel):
    """Statistics of a numeric feature's present training values, after its ``log1p``.

    Attributes:
        count: Values.
        mean: Their mean.
        deviation: Their population standard deviation.
        minimum: Smallest value; 0 where there is none.
        maximum: Largest value; 0 where there is none.
        values: For the quantile transform, its reference points, rising.
        ranks: The share of the training values below each of them, half of its own counted in.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    count: int = 0
    mean: float = 0.0
    deviation: float = 0.0
    minimum: float = 0.0
    maximum: float = 0.0
    values: tuple[float, ...] = ()
    ranks: tuple[float, ...] = ()

    def shift_and_scale(self, transform: FittedTransform) -> tuple[float, float]:
        """What standardize or minmax subtracts, and what it then divides by; a constant column divides by 1."""
        if self.minimum == self.maximum:
            return self.minimum, 1.0
        if transform == "standardize":
            return self.mean, self.deviation or 1.0  # 0 where it is less than the smallest float64
        return self.minimum, self.maximum - self.minimum


class NumericState:
    """Gathers one numeric feature's statistics batch by batch.

    All sums are exact: any partition of the values, merged in any order, gives the same statistics to the bit.

    Args:
        quantiles: Gather a sketch too, for the quantile transform or edges; without it the state is a few numbers.
    """

    def __init__(self, *, quantiles: bool) -> None:
        self._moments = Moments()
        self._sketch = QuantileSketch() if quantiles else None
        self._minimum, self._maximum = math.inf, -math.inf

    def update(self, values: pl.Series) -> None:
        """Take in a batch of finite Float64 values, after ``log1p``; nulls do not count."""
        present = values.drop_nulls().to_numpy()
        if not present.size:
            return
        self._moments.update(present)
        # + 0.0: of -0.0 and 0.0 it would depend on the order which one is the minimum.
        self._minimum = min(self._minimum, float(present.min()) + 0.0)
        self._maximum = max(self._maximum, float(present.max()) + 0.0)
        if self._sketch is not None:
            self._sketch.update(present)

    def merge(self, other: "NumericState") -> None:
        """Take in the values of another state, which gathers the same."""
        self._moments.merge(other._moments)
        self._minimum = min(self._minimum, other._minimum)
        self._maximum = max(self._maximum, other._maximum)
        if self._sketch is not None and other._sketch is not None:
            self._sketch.merge(other._sketch)

    def compact(self) -> None:
        """Add up what is pending, so that another who merges this has less to do."""
        if self._sketch is not None:
            self._sketch.compact()

    def statistics(self) -> NumericStatistics:
        """The statistics of all values so far."""
        if not self._moments.count:
            return NumericStatistics()
        values, ranks = ((), ()) if self._sketch is None else self._sketch.ranks(_POINTS)
        return NumericStatistics(
            count=self._moments.count,
            mean=self._moments.mean,
            deviation=self._moments.deviation,
            minimum=self._minimum,
            maximum=self._maximum,
            values=values,
            ranks=ranks,
        )

    def edges(self, buckets: int) -> tuple[float, ...]:
        """Edges that cut the values into buckets of about equal weight (:meth:`QuantileSketch.edges`)."""
        assert self._sketch is not None
        return self._sketch.edges(buckets)


def logged(values: pl.DataFrame, features: Sequence[NumericFeature]) -> pl.DataFrame:
    """Float64 values after their features' ``log1p`` steps, before the fitted transforms.

    Args:
        values: The raw values, Float64: a column a feature, others beside them; null is missing.
        features: Which columns.

    Returns:
        A column a feature.
    """
    return values.select(_logged(pl.col(feature.name), feature).alias(feature.name) for feature in features)


def encoded(
    values: pl.DataFrame, features: Sequence[NumericFeature], statistics: Mapping[str, NumericStatistics]
) -> pl.DataFrame:
    """Values through their whole chains.

    Args:
        values: As for :func:`logged`.
        features: Which columns.
        statistics: Of those features whose chain ends in a fitted transform.

    Returns:
        A Float32 column a feature; null only where ``missing: mask``. Infinite where float32 cannot hold the result.
    """
    if not features:
        return pl.DataFrame()
    filled = (
        pl.col(feature.name).fill_null(pl.lit(None if feature.missing == "mask" else feature.missing, pl.Float64))
        for feature in features
    )
    array = logged(values.select(filled), features).to_numpy(order="fortran", writable=True)  # null becomes NaN
    with np.errstate(over="ignore"):
        for column, feature in zip(array.T, features, strict=True):
            if feature.fitted_transform == "quantile":
                column[:] = _ranks(column, statistics[feature.name])
            elif feature.fitted_transform is not None:
                shift, scale = statistics[feature.name].shift_and_scale(feature.fitted_transform)
                # Not in polars: it multiplies a long column by the reciprocal, which rounds otherwise than a quotient.
                column -= shift
                column /= scale
        rounded = array.astype(np.float32)
    return pl.DataFrame(rounded, schema=[f.name for f in features], orient="row", nan_to_null=True)


def encoded_value(value: float | None, feature: NumericFeature, statistics: NumericStatistics | None) -> np.float32:
    """One value through the whole chain, as :func:`encoded`.

    Args:
        value: The raw value; None is missing.
        feature: Its declaration.
        statistics: Needed where the chain ends in a fitted transform.

    Returns:
        The float32; NaN where the value is missing and ``missing: mask``.

    Raises:
        OverflowError: The value is an integer that float64 cannot hold.
    """
    if value is None:
        if feature.missing == "mask":
            return np.float32(math.nan)
        value = feature.missing
    value = float(value)
    for _ in range(feature.transforms.count("log1p")):
        size = math.log1p(abs(value))
        value = -size if value < 0 else size
    if feature.fitted_transform == "quantile":
        assert statistics is not None
        value = _rank(value, statistics)
    elif feature.fitted_transform is not None:
        assert statistics is not None
        shift, scale = statistics.shift_and_scale(feature.fitted_transform)
        value = (value - shift) / scale
    with np.errstate(over="ignore"):
        return np.float32(value)


def exceeds_float32(values: NDArray[np.float64], feature: NumericFeature) -> NDArray[np.bool_]:
    """Which raw values are refused: without ``log1p``, those that float32 cannot hold."""
    if "log1p" in feature.transforms:
        return np.zeros(values.shape, np.bool_)
    with np.errstate(over="ignore"):
        return np.isinf(values.astype(np.float32))


def bucket_of(values: NDArray[np.float64], edges: Sequence[float]) -> NDArray[np.int64]:
    """The bucket that each value falls into: how many edges are not above it; -1 where it is NaN."""
    buckets = np.searchsorted(np.asarray(edges, np.float64), values, side="right")
    return np.where(np.isnan(values), -1, buckets)


def _logged(value: pl.Expr, feature: NumericFeature) -> pl.Expr:
    """sign(x) ln(1 + |x|), as often as the feature says; -0.0 becomes 0.0."""
    for _ in range(feature.transforms.count("log1p")):
        size = value.abs().log1p()
        value = pl.when(value < 0).then(-size).otherwise(size)
    return value


def _ranks(values: NDArray[np.float64], statistics: NumericStatistics) -> NDArray[np.float64]:
    """The quantile transform: straight lines between reference points, level beyond the outermost; 0.5 if just one."""
    points, ranks = np.asarray(statistics.values), np.asarray(statistics.ranks)
    if len(points) < 2:
        return np.where(np.isnan(values), values, 0.5)
    i = (np.searchsorted(points, values, side="right") - 1).clip(0, len(points) - 2)
    # Not numpy.interp: its slope is infinite between neighbouring subnormal points.
    way = ((values - points[i]) / (points[i + 1] - points[i])).clip(0.0, 1.0)
    between: NDArray[np.float64] = ranks[i] + way * (ranks[i + 1] - ranks[i])
    return between


def _rank(value: float, statistics: NumericStatistics) -> float:
    """One value through the quantile transform; the same operations in the same order as :func:`_ranks`."""
    points, ranks = statistics.values, statistics.ranks
    if len(points) < 2:
        return 0.5
    i = min(max(bisect.bisect_right(points, value) - 1, 0), len(points) - 2)
    way = min(max((value - points[i]) / (points[i + 1] - points[i]), 0.0), 1.0)
    return ranks[i] + way * (ranks[i + 1] - ranks[i])
