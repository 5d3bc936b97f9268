"""Prepared sets as batches: shards, their order, and what feeds training."""

__all__ = ["batch", "dataset", "feed", "order", "prepared", "shards"]
