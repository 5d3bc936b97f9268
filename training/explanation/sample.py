"""The rows that an explanation looks at: a sample of a split, and single rows by their number."""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from common.errors import DataError
from features.datasets.prepared import PreparedSet
from features.encoding.encoded import EncodedRows, columns
from features.encoding.typed import ROW


def sample_rows(prepared: PreparedSet, split: str, count: int, seed: int) -> EncodedRows:
    """Draw rows of a split, each as likely as any other, in the order of the shards.

    Args:
        prepared: The prepared set.
        split: ``train``, ``valid`` or ``test``.
        count: How many; all where there are fewer.
        seed: Of the draw: the same rows for the same seed.

    Raises:
        DataError: The split has no rows, or a shard is damaged.
    """
    rows = prepared.rows(split)
    if not rows:
        raise DataError(f"{prepared.folder} has no {split} rows; choose another --split")
    schema = prepared.fitted.schema
    chosen = np.arange(rows)
    if count < rows:
        chosen = np.sort(np.random.default_rng(seed).choice(rows, count, replace=False))

    def frames() -> Iterator[pl.DataFrame]:
        start = 0
        for frame in prepared.shards(split, columns(schema)):
            first, end = np.searchsorted(chosen, (start, start + frame.height))
            yield frame[chosen[first:end] - start]
            start += frame.height

    return EncodedRows.joined(frames(), chosen.size, schema)


def single_rows(prepared: PreparedSet, split: str, numbers: Sequence[int]) -> pl.DataFrame:
    """The rows of some numbers, with all columns of their shards.

    Args:
        prepared: The prepared set.
        split: ``train``, ``valid`` or ``test``.
        numbers: Positions in the raw input, as ``plexrank score`` writes them.

    Raises:
        DataError: The split has no row of a number, or a shard is damaged.
    """
    if not numbers:
        return pl.DataFrame()
    rows = pl.concat(frame.filter(pl.col(ROW).is_in(numbers)) for frame in prepared.shards(split))
    there = {number: place for place, number in enumerate(rows[ROW].to_list())}
    for number in numbers:
        if number not in there:
            raise DataError(
                f"{prepared.folder} has no row {number} in its {split} split; rows are numbered as in the raw input, "
                "from 0, which is the row column of plexrank score"
            )
    return rows[[there[number] for number in dict.fromkeys(numbers)]]
