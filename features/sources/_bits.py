"""Marks on the bytes of a block, taken 64 at once: this is what makes a pass over a csv cheap."""

import numpy as np
from numpy.typing import NDArray

Marks = NDArray[np.bool_]
Positions = NDArray[np.int64]


def between(marks: Marks) -> Marks:
    """Which bytes lie from an odd mark (the first, the third) to before the next one, or the end."""
    words = _words(marks)
    odd = np.bitwise_count(words).cumsum(dtype=np.uint64) & np.uint64(1)
    for shift in (1, 2, 4, 8, 16, 32):
        words ^= words << np.uint64(shift)
    # Within each word so far; an odd number of marks before it turns it over.
    words[1:] ^= np.uint64(0) - odd[:-1]
    return np.unpackbits(words.view(np.uint8), count=marks.size, bitorder="little").view(np.bool_)


def count_before(marks: Marks, positions: Positions) -> Positions:
    """How many marks lie before each position."""
    words = _words(marks)
    counts = np.bitwise_count(words).cumsum(dtype=np.int64)
    word, bit = positions >> 6, (positions & 63).astype(np.uint64)
    # All to the end of its word, less those from the position on.
    before: Positions = counts[word] - np.bitwise_count(words[word] >> bit)
    return before


def _words(marks: Marks) -> NDArray[np.uint64]:
    """The marks as bits, the first the lowest, and at least one bit more."""
    packed = np.packbits(marks, bitorder="little")
    words = np.zeros(packed.size // 8 + 1, "<u8")
    words.view(np.uint8)[: packed.size] = packed
    return words
