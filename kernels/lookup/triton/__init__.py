"""The Triton backend: mixing, addressing, gathering and pooling in one kernel, a deterministic update in three."""

__all__ = ["addressing", "backend", "forward", "update"]
