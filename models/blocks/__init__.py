"""Layers that rankers share."""

__all__ = [
    "bilinear_fusion",
    "cross_net",
    "factorization_machine",
    "factorized_block",
    "feature_gate",
    "feature_generation",
    "field_attention",
    "inner_product",
    "linear",
    "logit_mlp",
    "mlp",
]
