"""The same rows as several models scored them, side by side."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from common.errors import DataError
from evaluation._inputs import Scores
from evaluation.rows.columns import Columns
from evaluation.rows.rows import Rows, Where, as_text
from evaluation.rows.source import Source, rows_of

_POSITION = "position of the row"  # no file is likely to have it as a column


def aligned(sources: Sequence[Source], columns: Columns, key: Sequence[str] = ()) -> Iterator[Rows]:
    """Rows with the scores of all sources; everything else comes from the first.

    Args:
        sources: The models.
        columns: What is what, the same in all; slices, groups and the like are read from the first alone.
        key: Columns that name a row. Without them the sources must hold the same rows in the same order, and with them
            in any order; then the keys and scores of all but the first are held in memory.

    Raises:
        DataError: The sources do not hold the same rows, a key occurs twice, or a value is wrong.
    """
    if key:
        yield from _by_key(sources, columns, tuple(dict.fromkeys(key)))
    elif len(sources) == 1:
        yield from rows_of(sources[0], columns)
    else:
        yield from _by_order(sources, columns)


def _by_order(sources: Sequence[Source], columns: Columns) -> Iterator[Rows]:
    first = sources[0]
    for other in sources[1:]:
        if other.rows != first.rows:
            raise DataError(
                f"{first.name} has {first.rows:,} rows but {other.name} has {other.rows:,}; "
                "give predictions of the same rows, or a --key if one file holds more"
            )
    streams = [rows_of(source, columns if i == 0 else columns.scores_only) for i, source in enumerate(sources)]
    pending: list[Rows | None] = [None] * len(streams)
    done = 0
    while True:
        pending = [next(stream, None) if rows is None else rows for stream, rows in zip(streams, pending, strict=True)]
        heads = [rows for rows in pending if rows is not None]
        if len(heads) < len(streams):
            return
        size = min(len(rows) for rows in heads)
        parts = [rows.part(0, size) for rows in heads]
        for source, part in zip(sources[1:], parts[1:], strict=True):
            differs = part.labels != parts[0].labels
            if differs.any():
                raise DataError(
                    f"row {done + int(differs.argmax()) + 1} has label {int(parts[0].labels[differs.argmax()])} in "
                    f"{first.name} but not in {source.name}: they hold different rows; name what identifies one (--key)"
                )
        yield dataclasses.replace(parts[0], scores=tuple(part.scores[0] for part in parts))
        done += size
        pending = [rows.part(size, len(rows)) if len(rows) > size else None for rows in heads]


def _by_key(sources: Sequence[Source], columns: Columns, key: tuple[str, ...]) -> Iterator[Rows]:
    others = [_Keyed(source, columns, key) for source in sources[1:]]
    first = sources[0]
    for frame, where in first.frames():
        if not frame.height:
            continue
        rows = Rows.of(frame, columns, where)
        scores = [rows.scores[0], *(other.scores(frame, rows, where) for other in others)]
        yield dataclasses.replace(rows, scores=tuple(scores))
    for other in others:
        other.refuse_unmatched(first)


class _Keyed:
    """Another model's scores by key; each is to be asked for once."""

    def __init__(self, source: Source, columns: Columns, key: tuple[str, ...]) -> None:
        self._source = source
        self._key = key
        keys, chunks = [], []
        for frame, where in source.frames():
            if frame.height:
                chunks.append(Rows.of(frame, columns.scores_only, where))
                keys.append(_texts(frame, key, where))
        self._labels = np.concatenate([np.zeros(0, np.bool_), *(rows.labels for rows in chunks)])
        self._scores = np.concatenate([np.zeros(0, np.float32), *(rows.scores[0] for rows in chunks)])
        self._used = np.zeros(self._labels.size, np.bool_)
        self._keys = pl.concat([pl.DataFrame(schema=dict.fromkeys(key, pl.String)), *keys]).with_row_index(_POSITION)
        twice = self._keys.select(pl.struct(key).is_duplicated().arg_true()).to_series()
        if twice.len():
            raise DataError(
                f"{source.name} has {self._named(self._keys, twice[0])} twice; name columns that tell rows apart"
            )

    def scores(self, frame: pl.DataFrame, rows: Rows, where: Where) -> Scores:
        """The scores of a frame's rows."""
        wanted = _texts(frame, self._key, where)
        found = wanted.join(self._keys, on=self._key, how="left", nulls_equal=True, maintain_order="left")[_POSITION]
        if found.null_count():
            row = int(found.is_null().arg_true()[0])
            raise DataError(
                f"{where(row)}: {self._source.name} has no row with {self._named(wanted, row)}; "
                "give predictions of the same rows"
            )
        at = found.to_numpy()
        again = self._used[at] | wanted.select(pl.struct(self._key).is_first_distinct().not_()).to_series().to_numpy()
        if again.any():
            row = int(again.argmax())
            raise DataError(f"{where(row)}: {self._named(wanted, row)} occurs twice; name columns that tell rows apart")
        self._used[at] = True
        differs = self._labels[at] != rows.labels
        if differs.any():
            row = int(differs.argmax())
            raise DataError(
                f"{where(row)}: {self._named(wanted, row)} has label {int(rows.labels[row])} here but not in "
                f"{self._source.name}; give predictions of the same rows"
            )
        scores: Scores = self._scores[at]
        return scores

    def refuse_unmatched(self, first: Source) -> None:
        """Raise when not every row was asked for."""
        left = ~self._used
        if left.any():
            row = int(left.argmax())
            raise DataError(
                f"{first.name} lacks {int(left.sum()):,} of the {left.size:,} rows of {self._source.name}, first "
                f"{self._named(self._keys, row)}; give predictions of the same rows"
            )

    def _named(self, keys: pl.DataFrame, row: int) -> str:
        return ", ".join(f"{name}={keys[name][row]!r}" for name in self._key)


def _texts(frame: pl.DataFrame, key: tuple[str, ...], where: Where) -> pl.DataFrame:
    """Keys as text, so that a csv's agree with a parquet file's."""
    return pl.DataFrame([as_text(frame[name], where) for name in key])
