"""The metrics: each a pure function of labels and scores, and a function of a state that merges."""

__all__ = [
    "auc",
    "bootstrap",
    "brier",
    "calibration",
    "calibration_error",
    "delong",
    "gauc",
    "histogram_auc",
    "logloss",
    "normalised_entropy",
    "paired",
    "pr_auc",
    "ranking",
    "reliability",
]
