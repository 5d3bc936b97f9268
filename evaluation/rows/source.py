"""Where predictions come from: an artifact's scores, or files."""

from collections.abc import Iterator
from typing import Protocol

import polars as pl

from evaluation.rows.columns import Columns
from evaluation.rows.rows import Rows, Where


class Source(Protocol):
    """Predictions of one model, which can be read again and again."""

    @property
    def name(self) -> str:
        """What people call the model."""

    @property
    def rows(self) -> int:
        """How many rows there are."""

    def frames(self) -> Iterator[tuple[pl.DataFrame, Where]]:
        """The rows in order, frame by frame, and where each row of a frame comes from."""


def rows_of(source: Source, columns: Columns) -> Iterator[Rows]:
    """The typed rows of a source.

    Raises:
        DataError: A value is missing or wrong.
    """
    for frame, where in source.frames():
        if frame.height:
            yield Rows.of(frame, columns, where)
