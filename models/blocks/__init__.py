"""Layers that rankers share."""

__all__ = [
    "attention",
    "bilinear_fusion",
    "cross_net",
    "dropout",
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
