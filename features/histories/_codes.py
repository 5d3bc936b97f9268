"""Numbers for texts, given out as the texts come."""

import numpy as np
import polars as pl
from numpy.typing import NDArray


class Codes:
    """A dictionary both ways: text to code and back; codes count from 0 in the order of first sight.

    The memory is that of the distinct texts. polars holds them: its categories are such a dictionary, without a
    Python object a text.
    """

    def __init__(self) -> None:
        self._type = pl.Categorical(pl.Categories.random())
        # polars forgets categories that no column has any more.
        self._holder = pl.Series([], dtype=self._type)

    def of(self, texts: pl.Series) -> NDArray[np.uint32]:
        """The code of each text (String, without nulls)."""
        return texts.cast(self._type).to_physical().to_numpy()

    def texts(self, codes: NDArray[np.uint32]) -> pl.Series:
        """The text of each code that was given out."""
        return pl.Series(codes).cat.to(self._type).cast(pl.String)
