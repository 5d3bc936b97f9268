"""Token mixing, table addressing and embedding lookups: tensors in, tensors out."""

__all__ = ["addressing", "collisions", "lookup"]
