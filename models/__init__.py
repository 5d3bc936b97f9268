"""The rankers: plain modules, tensors in, logits out."""

__all__ = ["embedding", "finalmlp", "logistic_regression", "mlp", "ranker", "registry"]
