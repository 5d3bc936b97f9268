"""Integer arithmetic that cannot overflow."""

import numpy as np
import numpy.typing as npt

_INT64_MAX = 2**63 - 1


def exact_sum(counts: npt.NDArray[np.int64], largest: int) -> int:
    """Add up counts whose sum may pass 64 bits.

    Args:
        counts: Numbers from 0 to ``largest``, int64 of shape ``(n,)``.
        largest: A bound on each of them, at least 1. The larger it is, the fewer are added in int64 at a time.

    Returns:
        Their sum, exact.
    """
    step = _INT64_MAX // largest
    return sum(int(counts[start : start + step].sum()) for start in range(0, counts.size, step))
