"""Many finished runs side by side: entries of runs that differ only in seed, a board for each set of data."""

__all__ = ["board", "entry", "leaderboard", "reference", "run", "summary"]
