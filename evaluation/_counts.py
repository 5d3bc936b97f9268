"""Integer arithmetic that cannot overflow."""

from typing import Any

import numpy.typing as npt

_INT64_MAX = 2**63 - 1


def exact_dot(left: npt.NDArray[Any], right: npt.NDArray[Any], largest: int) -> int:
    """Add up products whose sum may pass 64 bits.

    Args:
        left: Numbers of at least 0, int64 of shape ``(n,)``.
        right: The same.
        largest: A bound on each product, at least 1. The larger it is, the fewer are added in int64 at a time; above
            64 bits they are Python's integers, one by one.

    Returns:
        Their sum, exact.
    """
    step = _INT64_MAX // largest
    if not step:
        return sum(a * b for a, b in zip(left.tolist(), right.tolist(), strict=True))
    return sum(
        int((left[start : start + step] * right[start : start + step]).sum()) for start in range(0, left.size, step)
    )
