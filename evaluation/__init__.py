"""What a set of predictions is worth: exact metrics and the report that joins them."""

__all__ = [
    "counterfactual",
    "estimate",
    "explanation",
    "interval",
    "leaderboard",
    "metrics",
    "page",
    "report",
    "rows",
    "search",
    "state",
    "undefined",
]
