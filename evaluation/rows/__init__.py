"""Rows to be judged: read from prediction files of any system, typed, checked and aligned."""

__all__ = ["aligned", "columns", "files", "rows", "source"]
