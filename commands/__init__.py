"""The command line: one short file a command."""

__all__ = ["dataset", "evaluate", "main", "prepare", "score", "serve", "simulate", "train"]
