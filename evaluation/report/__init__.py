"""What is told of a model: its metrics, curves, slices, how it compares with others, whether it passes a gate."""

__all__ = [
    "comparer",
    "comparison",
    "curves",
    "evaluation",
    "evaluator",
    "gate",
    "measure",
    "metric",
    "names",
    "report",
    "slice_rows",
    "slices",
    "verdict",
]
