"""What a model relies on, with intervals, and how far equally good models agree."""

__all__ = ["attention", "explanation", "rashomon", "reliance", "switched"]
