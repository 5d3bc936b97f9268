"""A search for the best settings of a run: its trials, the best of them, and how far that one flatters."""

__all__ = ["search", "trial"]
