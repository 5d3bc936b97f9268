"""The command line: one short file a command."""

__all__ = [
    "compare",
    "counterfactual",
    "dataset",
    "doctor",
    "evaluate",
    "explain",
    "export",
    "histories",
    "inspect",
    "leaderboard",
    "main",
    "prepare",
    "profile",
    "score",
    "serve",
    "simulate",
    "train",
    "tune",
]
