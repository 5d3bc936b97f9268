"""The command line: one short file a command."""

__all__ = [
    "compare",
    "counterfactual",
    "dataset",
    "doctor",
    "evaluate",
    "histories",
    "inspect",
    "main",
    "prepare",
    "profile",
    "score",
    "serve",
    "simulate",
    "train",
]
