"""The rankers: plain modules, tensors in, logits out."""

__all__ = [
    "comparison",
    "dcnv2",
    "embedding",
    "export",
    "finalmlp",
    "layout",
    "logistic_regression",
    "mlp",
    "ranker",
    "registry",
]
