"""Running totals within stretches of an array."""

import numpy as np
import numpy.typing as npt


def running(
    combine: np.ufunc, values: npt.NDArray[np.float64], first: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Combine each value with all earlier ones of its stretch.

    Doubling (Hillis, Steele 1986): in the step of distance d each value takes in what stands d before it. So each
    result depends on its own stretch alone, to the last bit, which differences of one long ``cumsum`` do not.

    Args:
        combine: An associative ufunc, such as ``np.add``.
        values: Shape ``(n,)``; left as it is.
        first: Where each stretch begins, ascending from 0, none empty.

    Returns:
        Shape ``(n,)``. Takes n log2(length of the longest stretch) steps.
    """
    lengths = np.diff(first, append=values.size)
    position = np.arange(values.size) - np.repeat(first, lengths)
    results = values.copy()
    distance, longest = 1, int(lengths.max(initial=0))
    while distance < longest:
        at = np.flatnonzero(position >= distance)
        results[at] = combine(results[at - distance], results[at])
        distance *= 2
    return results
