"""Layers that rankers share."""

__all__ = [
    "cross_net",
    "factorization_machine",
    "feature_generation",
    "field_attention",
    "inner_product",
    "linear",
    "logit_mlp",
    "mlp",
]
