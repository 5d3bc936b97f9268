"""The metrics by name, and which way each is better."""

from typing import Literal

from common.errors import ConfigError, did_you_mean

Direction = Literal["higher", "lower", "near 1"]

DIRECTIONS: dict[str, Direction] = {
    "auc": "higher",
    "gauc": "higher",
    "gauc_positives": "higher",
    "gauc_plain": "higher",
    "pr_auc": "higher",
    "ndcg": "higher",
    "mrr": "higher",
    "hit_rate": "higher",
    "logloss": "lower",
    "normalised_entropy": "lower",
    "brier": "lower",
    "calibration_ratio": "near 1",
    "ece": "lower",
    "ece_equal_width": "lower",
}
"""Which way is better. ``ndcg`` and ``hit_rate`` carry their k in a report: ``ndcg@10``."""


def direction(name: str) -> Direction:
    """Which way a metric is better.

    Raises:
        ConfigError: There is no such metric.
    """
    known = DIRECTIONS.get(name.partition("@")[0])
    if known is None:
        raise ConfigError(f"there is no metric {name!r}; {did_you_mean(name, DIRECTIONS)}")
    return known
