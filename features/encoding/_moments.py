"""Exact sums of numbers and of their squares.

Numbers are cut into slices of 19 bits, integers in a common unit, whose sums and inner products float64 holds exactly
(the slicing of Ozaki, Ogita, Oishi, Rump 2012, "Error-free transformations of matrix multiplication"). The sums
themselves are Python integers. So they are exact for any finite float64 and do not depend on the order.
"""

import math

import numpy as np
from numpy.typing import NDArray

_SLICE = 19  # bits of a slice
_BLOCK = 2 ** (52 - 2 * _SLICE)  # numbers at a time: an inner product of slices stays below 2**52
_UNIT = -1074  # exponent of the smallest float64; all are its multiples


class Moments:
    """Count, mean and deviation of numbers; those of parts, merged in any order, are those of the whole.

    Attributes:
        count: Numbers so far.
    """

    def __init__(self) -> None:
        self.count = 0
        self._sum = 0  # in units of 2 ** _UNIT
        self._squares = 0  # in units of 2 ** (2 * _UNIT)

    def update(self, numbers: NDArray[np.float64]) -> None:
        """Take in finite numbers."""
        for start in range(0, len(numbers), _BLOCK):
            slices = _slices(numbers[start : start + _BLOCK])
            for i, (unit, part) in enumerate(slices):
                self._sum += int(part.sum()) << unit
                self._squares += int((part * part).sum()) << 2 * unit
                for other_unit, other in slices[:i]:
                    self._squares += int((part * other).sum()) << (unit + other_unit + 1)
        self.count += len(numbers)

    def merge(self, other: "Moments") -> None:
        """Take in the numbers of another."""
        self.count += other.count
        self._sum += other._sum
        self._squares += other._squares

    @property
    def mean(self) -> float:
        """Their mean, the exact one rounded once; there is one number at least."""
        return self._sum / (self.count << -_UNIT)

    @property
    def deviation(self) -> float:
        """Their population standard deviation, the exact one rounded once; there is one number at least."""
        variance = self.count * self._squares - self._sum * self._sum  # times count squared
        digits = 256  # beyond the unit; enough to make the root's own rounding vanish
        root = math.isqrt((variance << 2 * digits) // self.count**2)
        return root / (1 << (digits - _UNIT))


def _slices(numbers: NDArray[np.float64]) -> list[tuple[int, NDArray[np.float64]]]:
    """Cut numbers into slices, from the leading bits down.

    Returns:
        Exponents above ``_UNIT``, and the integers, as float64, that times their powers of two sum to the numbers.
    """
    slices = []
    while largest := max(float(numbers.max()), -float(numbers.min())):
        assert math.isfinite(largest)
        unit = max(math.frexp(largest)[1] - _SLICE, _UNIT)
        part = np.trunc(_scaled(numbers, -unit))
        numbers = numbers - _scaled(part, unit)
        slices.append((unit - _UNIT, part))
    return slices


def _scaled(numbers: NDArray[np.float64], exponent: int) -> NDArray[np.float64]:
    """Numbers times a power of two: a product is as exact as ldexp and far quicker, where float64 has that power."""
    return numbers * 2.0**exponent if exponent < 1024 else np.ldexp(numbers, exponent)
