"""Evaluations, explanations, leaderboards and searches as html pages that need nothing else."""

__all__ = ["explanation", "leaderboard", "page", "search"]
