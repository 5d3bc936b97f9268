"""Self-normalised inverse propensity scoring: weighted clicks over the weights themselves."""

import numpy.typing as npt

from evaluation.counterfactual.logged_rows import WEIGHT, WEIGHTED_LABEL, LoggedRows
from evaluation.estimate import Estimate
from evaluation.interval import LEVEL, logit_interval


def snips(
    labels: npt.ArrayLike,
    propensities: npt.ArrayLike,
    target_probabilities: npt.ArrayLike,
    *,
    clip: float | None = None,
    level: float = LEVEL,
) -> Estimate:
    """The target policy's click rate, ``sum(w y) / sum(w)`` (Swaminathan and Joachims 2015).

    Biased by a share of about 1 / rows, but steadier than ``ips``: it always lies from 0 to 1, and a common factor in
    the propensities falls out. The interval is normal on the logit scale, by the delta method of a ratio of means. What
    the logging policy never shows is taken to be clicked like the rest.

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
    return snips_of(LoggedRows.of(labels, propensities, target_probabilities, clip=clip), level=level)


def snips_of(log: LoggedRows, *, level: float = LEVEL) -> Estimate:
    """The same of rows already gathered.

    Raises:
        UndefinedMetric: There are no rows, or all target probabilities are 0.
    """
    log.require_support("snips")
    mass = log.mean(WEIGHT)
    value = log.mean(WEIGHTED_LABEL) / mass
    deviation = (WEIGHTED_LABEL - value * WEIGHT) / mass
    return log.estimate(value, deviation, method="delta method", level=level, interval=logit_interval)
