"""What a prepared set holds, measured for people: every feature's values, what is wrong with them, how they moved."""

__all__ = ["counts", "drift", "feature", "findings", "page", "profile", "rates", "text", "times"]
