"""Explanations of trained models: rows scored with exchanged values, attention, further seeds of a run."""

__all__ = ["attention", "candidates", "reliance", "sample", "seeds", "values"]
