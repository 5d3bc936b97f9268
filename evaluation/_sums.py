"""Sums of floats that do not depend on their order."""

import math
from itertools import chain

import numpy as np
import numpy.typing as npt

_STEP = 1 << 16


def float_sum(values: npt.NDArray[np.float64]) -> float:
    """The float nearest to the exact sum, so that no order of the values changes it.

    Args:
        values: Finite numbers, shape ``(n,)``.
    """
    # Pieces, as a list of all would take four times the array's memory.
    return math.fsum(chain.from_iterable(values[at : at + _STEP].tolist() for at in range(0, values.size, _STEP)))
