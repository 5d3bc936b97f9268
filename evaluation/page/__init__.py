"""The evaluation as one html page that needs nothing else."""

__all__ = ["page"]
