"""Embedding lookup: address, gather and pool, with one interface over several backends."""

__all__ = [
    "bags",
    "dispatch",
    "fbgemm",
    "interface",
    "kernels",
    "layout",
    "memory",
    "ops",
    "pieces",
    "quantized",
    "reference",
    "table",
    "tbe",
    "torchrec",
    "triton",
]
