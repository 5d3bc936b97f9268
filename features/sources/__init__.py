"""Raw files: which ones a pattern names, what columns they have, and their rows piece by piece."""

__all__ = ["piece", "raw_file"]
