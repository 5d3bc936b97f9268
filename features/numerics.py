"""Numeric transforms and their statistics, the same offline (polars) and online (Python floats).

Everything is computed in float64 and rounded to float32 once, at the end.
"""

import math
from typing import Any

import polars as pl
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

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

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
        present = values.drop_nulls()
        if present.is_empty():
            return cls()
        variance = present.var(ddof=0)
        fields: dict[str, Any] = {"mean": present.mean(), "minimum": present.min(), "maximum": present.max()}
        return cls(count=present.len(), squares=float(str(variance)) * present.len(), **fields)

    @property
    def deviation(self) -> float:
        """Population standard deviation."""
        return math.sqrt(self.squares / self.count) if self.count else 0.0

    def shift_and_scale(self, transform: str) -> tuple[float, float]:
        """What a fitted transform subtracts, and what it then divides by; a constant column divides by 1."""
        if transform == "standardize":
            return self.mean, self.deviation or 1.0
        return self.minimum, (self.maximum - self.minimum) or 1.0


def logged_expr(value: pl.Expr, feature: NumericFeature) -> pl.Expr:
    """A Float64 expression after the feature's ``log1p`` steps, before its fitted transform."""
    for transform in feature.transforms:
        if transform == "log1p":
            value = value.sign() * value.abs().log1p()
    return value


def numeric_expr(value: pl.Expr, feature: NumericFeature, statistics: NumericStatistics | None) -> pl.Expr:
    """A Float64 expression through the whole chain.

    Args:
        value: The raw values; null is missing.
        feature: Its declaration.
        statistics: Needed where the chain ends in a fitted transform.

    Returns:
        Expression of dtype Float32; null only where ``missing: mask``.
    """
    if feature.missing != "mask":
        value = value.fill_null(feature.missing)
    value = logged_expr(value, feature)
    if feature.fitted_transform is not None:
        assert statistics is not None
        shift, scale = statistics.shift_and_scale(feature.fitted_transform)
        value = (value - shift) / scale
    return value.cast(pl.Float32)


def numeric(value: float | None, feature: NumericFeature, statistics: NumericStatistics | None) -> float:
    """One value through the whole chain, as :func:`numeric_expr`.

    Args:
        value: The raw value; None is missing.
        feature: Its declaration.
        statistics: Needed where the chain ends in a fitted transform.

    Returns:
        The value before its rounding to float32; NaN where it is missing and ``missing: mask``.
    """
    if value is None:
        if feature.missing == "mask":
            return math.nan
        value = feature.missing
    value = float(value)
    for transform in feature.transforms:
        if transform == "log1p":
            # Not copysign: as in polars, the sign of 0 is 0.
            value = (value > 0) * math.log1p(abs(value)) - (value < 0) * math.log1p(abs(value))
    if feature.fitted_transform is not None:
        assert statistics is not None
        shift, scale = statistics.shift_and_scale(feature.fitted_transform)
        value = (value - shift) / scale
    return value
