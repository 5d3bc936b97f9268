"""Embedding lookup: address, gather and pool, with one interface over several backends."""

__all__ = ["dispatch", "fbgemm", "interface", "reference"]
