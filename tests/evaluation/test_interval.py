"""Quantiles of intervals against SciPy's."""

import pytest
from scipy import stats  # type: ignore[import-untyped]

from evaluation.interval import quantile


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.99, 0.9999])
def test_quantiles_are_those_of_the_normal_and_of_students_distribution(level: float) -> None:
    upper = (1 + level) / 2
    assert quantile(level) == pytest.approx(stats.norm.ppf(upper), rel=1e-12)
    for freedom, tolerance in ((8, 3e-3), (20.5, 5e-5), (1e3, 1e-12), (1e12, 1e-12)):
        assert quantile(level, freedom) == pytest.approx(stats.t.ppf(upper, freedom), rel=tolerance)


def test_few_degrees_of_freedom_are_a_little_too_low_and_never_fewer_than_one() -> None:
    for freedom, most in ((1, 0.12), (2, 0.01), (3, 0.0015)):
        exact = stats.t.ppf(0.975, freedom)
        assert exact * (1 - most) < quantile(0.95, freedom) < exact
    assert quantile(0.95, 0.0) == quantile(0.95, 1)
