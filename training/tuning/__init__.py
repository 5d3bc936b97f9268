"""Search for the best settings of a run: what may vary, the trials on disk, the processes that train them."""

__all__ = ["domain", "search", "space", "study", "worker"]
