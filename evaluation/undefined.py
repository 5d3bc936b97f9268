"""The answer to a metric that the data leaves undefined."""

from common.errors import DataError


class UndefinedMetric(DataError):  # noqa: N818 - it names a state of the data, and callers often expect it
    """The data gives a metric no value, such as AUC when every label is 0.

    The message says why. Raised instead of a conventional 0.5 or NaN, which a mean over runs would hide.
    """
