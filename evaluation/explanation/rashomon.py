"""Several models that are about equally good: which they are, and how far they agree."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from common.errors import ConfigError


@dataclass(frozen=True)
class Candidate:
    """A model that may be among the equally good ones.

    Attributes:
        name: Tells it from the others.
        ranker: The ranker's name.
        digest: Of its artifact.
        logloss: On the valid split.
    """

    name: str
    ranker: str
    digest: str
    logloss: float


@dataclass(frozen=True)
class RashomonSet:
    """The models whose loss comes near the best.

    Fisher, Rudin and Dominici 2019, JMLR 20(177): here it is made of the models that are there, so that the range
    over it is a lower bound of that over all models as good.

    Attributes:
        candidates: All models.
        epsilon: How much worse than the best a model may be, as a share of the best logloss.

    Raises:
        ConfigError: Epsilon is negative or not finite.
    """

    candidates: tuple[Candidate, ...]
    epsilon: float

    def __post_init__(self) -> None:
        if not 0 <= self.epsilon < math.inf:
            raise ConfigError(
                f"epsilon must be finite and 0 or more, got {self.epsilon}; 0.01 takes models within 1 % of the best"
            )

    @property
    def best(self) -> float:
        """The least logloss."""
        return min(some.logloss for some in self.candidates)

    @property
    def kept(self) -> tuple[Candidate, ...]:
        """The models within epsilon of the best, in the order they came."""
        limit = self.best * (1 + self.epsilon)
        return tuple(some for some in self.candidates if some.logloss <= limit)

    def excess(self, candidate: Candidate) -> float:
        """How much worse than the best a model is, as a share of the best logloss."""
        return candidate.logloss / self.best - 1

    def to_json_dict(self) -> dict[str, Any]:
        """In types that strict JSON knows."""
        kept = self.kept
        return {
            "epsilon": self.epsilon,
            "models": [
                {
                    "name": some.name,
                    "ranker": some.ranker,
                    "digest": some.digest,
                    "valid_logloss": some.logloss,
                    "excess": self.excess(some),
                    "kept": some in kept,
                }
                for some in self.candidates
            ],
        }


@dataclass(frozen=True)
class Range:
    """One number of several models: for a feature's reliance, the empirical model class reliance.

    Attributes:
        name: What it is of.
        values: Of each model, in order.
    """

    name: str
    values: tuple[float, ...]

    @property
    def low(self) -> float:
        """The least."""
        return min(self.values)

    @property
    def high(self) -> float:
        """The greatest."""
        return max(self.values)

    @property
    def mean(self) -> float:
        """The mean."""
        return statistics.fmean(self.values)

    @property
    def spread(self) -> float:
        """The greatest less the least."""
        return self.high - self.low

    def to_json_dict(self) -> dict[str, Any]:
        """In types that strict JSON knows."""
        return {
            "name": self.name,
            "low": self.low,
            "mean": self.mean,
            "high": self.high,
            "values": list(self.values),
        }


def ranges(names: Sequence[str], models: Sequence[Sequence[float]]) -> tuple[Range, ...]:
    """The range of each of some numbers.

    Args:
        names: What each is of.
        models: Of each model, the numbers.

    Returns:
        Ranges, those whose mean is farthest from 0 first.
    """
    found = [Range(name, values) for name, values in zip(names, zip(*models, strict=True), strict=True)]
    return tuple(sorted(found, key=lambda some: -abs(some.mean)))
