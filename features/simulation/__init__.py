"""A simulated ads log, whose click probabilities are known."""

__all__ = ["simulation"]
