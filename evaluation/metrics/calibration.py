"""Calibration: whether predicted clicks add up to the clicks that came."""

import numpy as np
import numpy.typing as npt

from evaluation._inputs import checked_labels, checked_probabilities
from evaluation.undefined import UndefinedMetric


def calibration_ratio(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> float:
    """Sum of the predictions divided by the sum of the labels.

    1 is calibrated on the whole, above 1 predicts too many clicks, below 1 too few. The inverse,
    clicks over predicted clicks, is known as COPC.

    Args:
        labels: 0 or 1 a row, shape ``(rows,)``, of any boolean, integer or floating dtype.
        probabilities: Predicted probabilities of a 1, shape ``(rows,)``, float32 or float64. Added up in float64.

    Returns:
        A number of at least 0.

    Raises:
        UndefinedMetric: No label is 1.
        DataError: The inputs break one of the rules above.
    """
    is_positive = checked_labels(labels)
    predictions = checked_probabilities(probabilities, is_positive.size)
    clicks = int(is_positive.sum())
    if not clicks:
        raise UndefinedMetric(f"calibration_ratio needs a positive row, but all {is_positive.size} labels are 0")
    return float(predictions.sum(dtype=np.float64)) / clicks
