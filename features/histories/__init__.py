"""Point-in-time histories: what each row"s user had done strictly before it."""

__all__ = ["histories"]
