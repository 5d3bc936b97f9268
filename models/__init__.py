"""The rankers: plain modules, tensors in, logits out."""

__all__ = [
    "blocks",
    "catalogue",
    "comparison",
    "embedding",
    "export",
    "layout",
    "network",
    "numeric",
    "ranker",
    "rankers",
    "registry",
    "scope",
]
