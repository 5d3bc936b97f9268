"""Inverse propensity scoring: the mean of weighted clicks."""

import numpy.typing as npt

from evaluation.counterfactual.logged_rows import WEIGHTED_LABEL, LoggedRows
from evaluation.estimate import Estimate
from evaluation.interval import LEVEL, log_interval


def ips(
    labels: npt.ArrayLike,
    propensities: npt.ArrayLike,
    target_probabilities: npt.ArrayLike,
    *,
    clip: float | None = None,
    level: float = LEVEL,
) -> Estimate:
    """The target policy's click rate, ``mean(w y)`` (Horvitz and Thompson 1952).

    Unbiased where the propensities are right and the logging policy could show all that the target policy would; what
    it never shows is missing from the estimate without a trace in the rows, so that the estimate is then too low. It
    may lie above 1. The interval is normal on the scale of the logarithm.

    Args:
        labels: 1 where the shown candidate was clicked, else 0, shape ``(rows,)``.
        propensities: Probability, above 0 and up to 1, with which the logging policy showed it, shape ``(rows,)``.
        target_probabilities: Probability with which the target policy would have shown it, shape ``(rows,)``.
        clip: The greatest weight allowed; None allows any.
        level: Confidence level of the interval.

    Raises:
        UndefinedMetric: All target probabilities are 0.
        ConfigError: The clip or the level is out of range.
        DataError: The inputs break one of the rules above.
    """
    return ips_of(LoggedRows.of(labels, propensities, target_probabilities, clip=clip), level=level)


def ips_of(log: LoggedRows, *, level: float = LEVEL) -> Estimate:
    """The same of rows already gathered.

    Raises:
        UndefinedMetric: There are no rows, or all target probabilities are 0.
    """
    log.require_support("ips")
    value = log.mean(WEIGHTED_LABEL)
    return log.estimate(value, WEIGHTED_LABEL, method="variance of rows", level=level, interval=log_interval)
