"""What a set of predictions is worth: exact metrics and the report that joins them."""

__all__ = ["auc", "calibration", "gauc", "logloss", "report", "undefined"]
