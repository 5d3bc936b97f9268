"""What one prediction costs."""

from typing import Any

import numpy as np
import numpy.typing as npt

from evaluation.metrics._probabilities import Floats, RowValue


def log_losses(dtype: np.dtype[Any]) -> RowValue:
    """The logarithmic loss in nats, of probabilities clipped to the machine epsilon of the dtype they came in."""
    eps = float(np.finfo(dtype).eps)

    def losses(probabilities: Floats, label: int) -> Floats:
        clipped = np.clip(probabilities, eps, 1 - eps)
        # log1p keeps the digits of a small p, which 1 - p would round away.
        return -(np.log(clipped) if label else np.log1p(-clipped))

    return losses


def squared_losses(probabilities: Floats, label: int) -> Floats:
    """The squared distance to the label."""
    return (probabilities - label) ** 2


def of_rows(losses: RowValue, is_positive: npt.NDArray[np.bool_], probabilities: Floats) -> Floats:
    """The loss of each row, shape ``(rows,)``."""
    return np.where(is_positive, losses(probabilities, 1), losses(probabilities, 0))
