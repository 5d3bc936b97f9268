"""Logarithmic loss, the mean binary cross-entropy in nats."""

import numpy as np
import numpy.typing as npt

from evaluation._inputs import checked_labels, checked_probabilities


def logloss(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> float:
    """Mean of ``-ln p`` over the positive rows and ``-ln(1 - p)`` over the negative ones, in float64.

    Clipping: ``p`` is first brought into ``[eps, 1 - eps]``, where ``eps`` is the machine epsilon of the dtype in
    which the probabilities come: 2**-23 for float32, 2**-52 for float64. So a saturated wrong prediction costs
    15.9 or 36.0, not infinity. scikit-learn's ``log_loss`` has the same rule.

    Defined for one class, too. Unlike AUC it is a sum of floats: another order of the rows may change the last digits.

    Args:
        labels: 0 or 1 a row, shape ``(rows,)``, of any boolean, integer or floating dtype.
        probabilities: Predicted probabilities of a 1, shape ``(rows,)``, float32 or float64.

    Returns:
        A number of at least 0.

    Raises:
        DataError: The inputs break one of the rules above.
    """
    is_positive = checked_labels(labels)
    predictions = checked_probabilities(probabilities, is_positive.size)
    eps = float(np.finfo(predictions.dtype).eps)
    clipped = np.clip(predictions.astype(np.float64), eps, 1 - eps)
    # log1p keeps the digits of a small p, which 1 - p would round away.
    gained = np.log(clipped[is_positive]).sum() + np.log1p(-clipped[~is_positive]).sum()
    return float(-gained / is_positive.size)
