"""Confidence intervals: two ends, their level, and how they were made."""

import math
from dataclasses import dataclass
from statistics import NormalDist

from common.errors import ConfigError

LEVEL = 0.95
"""The confidence level where nobody asks for another."""


@dataclass(frozen=True)
class Interval:
    """A two-sided confidence interval.

    Attributes:
        low: Lower end.
        high: Upper end.
        level: How often such intervals hold the true value, in (0, 1).
        method: How it was made, such as ``DeLong, logit``.
    """

    low: float
    high: float
    level: float
    method: str

    def holds(self, value: float) -> bool:
        """Whether a value lies inside, ends included."""
        return self.low <= value <= self.high

    def as_text(self, *, signed: bool = False) -> str:
        """Both ends, formatted; with their signs where they are of a difference."""
        sign = "+" if signed else ""
        return f"{self.low:{sign}.5f} to {self.high:{sign}.5f}"


def quantile(level: float, freedom: float = math.inf) -> float:
    """How many standard errors a two-sided interval reaches: 1.96 at level .95, and more for few degrees of freedom.

    Student's t by its expansion around the normal quantile (Abramowitz and Stegun 1964, 26.7.5). At level .95 it is
    11 % too low at 1 degree of freedom, .8 % at 2 and less beyond; at level .999 17 % at 2, 4 % at 3 and .5 % at 5.

    Args:
        level: Confidence level.
        freedom: Degrees of freedom of the standard error; fewer than 1 count as 1.

    Raises:
        ConfigError: The level is not strictly between 0 and 1.
    """
    if not 0 < level < 1:
        raise ConfigError(f"a confidence level must be between 0 and 1, got {level}; 0.95 is common")
    z = NormalDist().inv_cdf((1 + level) / 2)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / max(freedom, 1.0) ** power for power, term in enumerate(terms, 1))


def normal_interval(value: float, error: float, level: float, method: str) -> Interval:
    """The interval ``value ± z error``.

    Args:
        value: The estimate.
        error: Its standard error, at least 0.
        level: Confidence level.
        method: What the standard error is, such as ``DeLong``.
    """
    reach = quantile(level) * error
    return Interval(value - reach, value + reach, level, method)


def logit_interval(value: float, error: float, level: float, method: str, freedom: float = math.inf) -> Interval:
    """A normal interval of ``ln(value / (1 - value))``, brought back, so that it never leaves (0, 1).

    The standard error of the logit is ``error / (value (1 - value))`` by the delta method. Close to 0 and 1 it covers
    better than the plain normal interval (Pepe 2003, section 5.2, for the AUC).

    Args:
        value: The estimate, strictly between 0 and 1.
        error: Its standard error, at least 0.
        level: Confidence level.
        method: What the standard error is; ``, logit`` is put behind it.
        freedom: Degrees of freedom of the standard error, for ``quantile``.
    """
    middle = math.log(value / (1 - value))
    reach = quantile(level, freedom) * error / (value * (1 - value))
    return Interval(_logistic(middle - reach), _logistic(middle + reach), level, f"{method}, logit")


def log_interval(value: float, error: float, level: float, method: str) -> Interval:
    """A normal interval of ``ln value``, brought back, for ratios.

    Args:
        value: The estimate, above 0.
        error: Its standard error, at least 0.
        level: Confidence level.
        method: What the standard error is; ``, log`` is put behind it.
    """
    factor = math.exp(min(quantile(level) * error / value, 700.0))
    return Interval(value / factor, value * factor, level, f"{method}, log")


def simultaneous(level: float, number: int) -> float:
    """The level at which each of some intervals must be made for all of them to hold at once with ``level``.

    Bonferroni's correction: where each of n intervals misses with probability a/n, any of them misses with a at most.
    """
    return 1 - (1 - level) / max(number, 1)


def two_sided_p(value: float, error: float) -> float:
    """The probability of a normal estimate at least so far from 0 when the truth is 0; 1 where both are 0."""
    if not error:
        return 0.0 if value else 1.0
    return math.erfc(abs(value / error) / math.sqrt(2))


def _logistic(x: float) -> float:
    if x >= 0:
        return 1 / (1 + math.exp(-x))
    return math.exp(x) / (1 + math.exp(x))
