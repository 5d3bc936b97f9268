"""List columns made from flat values."""

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray


def lists(values: pl.Series, offsets: NDArray[np.int64]) -> pl.Series:
    """Cut one long column into lists.

    Args:
        values: All elements, one list's after the other's, ``[V]``.
        offsets: Where each list starts, and where the last one ends, rising from 0 to V, ``[N + 1]``.

    Returns:
        N lists, none of them null.
    """
    made = pl.from_arrow(pa.LargeListArray.from_arrays(pa.array(offsets), values.to_arrow()))
    assert isinstance(made, pl.Series)
    return made
