"""Numeric transforms and their statistics, the same offline (polars) and online (Python floats).

Everything is computed in float64 and rounded to float32 once, at the end.
"""

import math

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from features.schema import NumericFeature


class NumericStatistics(BaseModel):
    """Statistics of a numeric feature's present training values, after its ``log1p``.

    Attributes:
        count: Values.
        mean: Their mean.
        squares: Sum of squared deviations from the mean.
        minimum: Smallest value; 0 where there is none.
        maximum: Largest value; 0 where there is none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    minimum: float = 0.0
    maximum: float = 0.0

    def merge(self, other: "NumericStatistics") -> "NumericStatistics":
        """Statistics of both parts together (Chan, Golub, LeVeque 1983, eq. 2.1)."""
        if not self.count or not other.count:
            return self if self.count else other
        count = self.count + other.count
        delta = other.mean - self.mean
        return NumericStatistics(
            count=count,
            mean=self.mean + delta * (other.count / count),
            squares=self.squares + other.squares + delta * delta * (self.count * other.count / count),
            minimum=min(self.minimum, other.minimum),
            maximum=max(self.maximum, other.maximum),
        )

    @classmethod
    def of(cls, values: pl.Series) -> "NumericStatistics":
        """Statistics of one batch; nulls do not count."""
        # NumPy on one piece of memory: polars' sums depend on how many pieces it has cut the column into.
        present = values.drop_nulls().to_numpy()
        if not present.size:
            return cls()
        with np.errstate(over="ignore", invalid="ignore"):
            mean = present.mean()
            squares = np.square(present - mean).sum()
        return cls(
            count=present.size,
            mean=float(mean),
            squares=float(squares),
            minimum=float(present.min()),
            maximum=float(present.max()),
        )

    @property
    def deviation(self) -> float:
        """Population standard deviation."""
        return math.sqrt(self.squares / self.count) if self.count else 0.0

    def shift_and_scale(self, transform: str) -> tuple[float, float]:
        """What a fitted transform subtracts, and what it then divides by; a constant column divides by 1."""
        if self.minimum == self.maximum:
            return self.minimum, 1.0
        if transform == "standardize":
            return self.mean, self.deviation or 1.0  # 0 where the squares of tiny differences vanish
        return self.minimum, self.maximum - self.minimum


def logged(values: pl.Series, feature: NumericFeature) -> pl.Series:
    """Float64 values after the feature's ``log1p`` steps, before its fitted transform."""
    for _ in range(feature.transforms.count("log1p")):
        # Below zero apart: its sign would make 0 of -0.
        expr = pl.when(pl.lit(values) < 0).then(-(-pl.lit(values)).log1p()).otherwise(pl.lit(values).log1p())
        values = pl.select(expr).to_series()
    return values


def encoded(values: pl.Series, feature: NumericFeature, statistics: NumericStatistics | None) -> pl.Series:
    """Values through the whole chain.

    Args:
        values: The raw values, Float64; null is missing.
        feature: Its declaration.
        statistics: Needed where the chain ends in a fitted transform.

    Returns:
        Float32 values under the feature's name; null only where ``missing: mask``. Infinite where float32 cannot hold
        the result.
    """
    if feature.missing != "mask":
        values = values.fill_null(feature.missing)
    array = logged(values, feature).to_numpy()  # null becomes NaN
    with np.errstate(over="ignore"):
        if feature.fitted_transform is not None:
            assert statistics is not None
            shift, scale = statistics.shift_and_scale(feature.fitted_transform)
            # Not in polars: it multiplies a long column by the reciprocal, which rounds otherwise than a quotient.
            array = (array - shift) / scale
        array = array.astype(np.float32)
    return pl.Series(feature.name, array).fill_nan(None)


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
        value = -math.log1p(-value) if value < 0 else math.log1p(value)
    if feature.fitted_transform is not None:
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
