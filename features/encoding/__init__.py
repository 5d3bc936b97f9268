"""Encoding: raw values to tokens, ids and numbers, what is fitted for it, and the same for one request."""

__all__ = ["crosses", "encoded", "fitted", "fitter", "numerics", "online", "quantiles", "tokens", "typed", "vocabulary"]
