"""A chunk of rows to be judged, each value checked."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
import polars as pl
import polars_hash as plh

from common.errors import DataError
from evaluation._inputs import HEAVIEST, LIGHTEST, Groups, Labels, Scores, Weights
from evaluation.rows.columns import Columns

MISSING = "(missing)"
"""The slice of rows whose column is empty."""

Where = Callable[[int], str]
"""Where the row at a position of a frame comes from, such as ``scores.csv row 18``."""

_MICROSECONDS = 1_000_000
_UNITS = (1, 1_000, 1_000_000)  # in a second: what integers may count besides nanoseconds
_UNIT_END = 10**11  # times a unit: the year 5138


@dataclass(frozen=True)
class Rows:
    """Rows with the scores of one or more models.

    Attributes:
        labels: True where the label is 1, shape ``(rows,)``.
        scores: One array a model, float32 or float64, each ``(rows,)``.
        groups: Int64 keys, or None.
        requests: Int64 keys, or None.
        weights: Float64 of at least 0, or None.
        times: Int64 microseconds since 1970, or None.
        slices: By column, a String series without nulls.
        others: By column, float64.
    """

    labels: Labels
    scores: tuple[Scores, ...]
    groups: Groups | None
    requests: Groups | None
    weights: Weights | None
    times: npt.NDArray[np.int64] | None
    slices: Mapping[str, pl.Series]
    others: Mapping[str, npt.NDArray[np.float64]]

    @classmethod
    def of(cls, frame: pl.DataFrame, columns: Columns, where: Where) -> "Rows":
        """Give a frame's columns their meaning.

        Args:
            frame: The columns named, of any types; all that a csv holds is text.
            columns: What they are.
            where: For messages.

        Raises:
            DataError: A value is missing or wrong, or a group column holds floats.
        """
        return cls(
            labels=_labels(frame[columns.label], where),
            scores=(_finite(frame[columns.score], "score", where),),
            groups=None if columns.group is None else _keys(frame[columns.group], "group", where),
            requests=None if columns.request is None else _keys(frame[columns.request], "request", where),
            weights=None if columns.weight is None else _weights(frame[columns.weight], where),
            times=None if columns.time is None else _times(frame[columns.time], where),
            slices={name: as_text(frame[name], where).fill_null(MISSING) for name in columns.slices},
            others={name: _finite(frame[name], "number", where).astype(np.float64) for name in columns.others},
        )

    def __len__(self) -> int:
        return self.labels.size

    def part(self, start: int, stop: int) -> "Rows":
        """The rows from ``start`` up to ``stop``."""
        return Rows(
            labels=self.labels[start:stop],
            scores=tuple(scores[start:stop] for scores in self.scores),
            groups=None if self.groups is None else self.groups[start:stop],
            requests=None if self.requests is None else self.requests[start:stop],
            weights=None if self.weights is None else self.weights[start:stop],
            times=None if self.times is None else self.times[start:stop],
            slices={name: values[start:stop] for name, values in self.slices.items()},
            others={name: values[start:stop] for name, values in self.others.items()},
        )


def as_text(series: pl.Series, where: Where) -> pl.Series:
    """A column as String; what is missing stays so.

    Raises:
        DataError: It holds lists or durations, or bytes that are no text.
    """
    try:
        return series.cast(pl.String)
    except pl.exceptions.PolarsError:
        raise DataError(
            f"{where(0)}: column {series.name!r} holds {series.dtype}, not all of it text; give numbers, text or dates"
        ) from None


def plain(series: pl.Series, where: Where) -> pl.Series:
    """A column of numbers, booleans or text as it is, and the text of any other.

    Raises:
        DataError: As for ``as_text``.
    """
    if series.dtype.is_numeric() or series.dtype in (pl.Boolean, pl.String):
        return series
    return as_text(series, where)


def _labels(series: pl.Series, where: Where) -> Labels:
    numbers = _numbers(series, "label", where)
    _refuse(
        series, (numbers != 0) & (numbers != 1), "label", "is neither 0 nor 1; write a click as 1, no click as 0", where
    )
    return (numbers == 1).to_numpy()


def _finite(series: pl.Series, role: str, where: Where) -> Scores:
    numbers = _numbers(series, role, where)
    _refuse(series, ~numbers.is_finite(), role, "is no finite number; mend the model or the file", where)
    return numbers.to_numpy()


def _numbers(series: pl.Series, role: str, where: Where) -> pl.Series:
    """A column in Float32 where it is that, else in Float64; null where a text is no number."""
    _require(series, role, where)
    return series if series.dtype == pl.Float32 else plain(series, where).cast(pl.Float64, strict=False)


def _weights(series: pl.Series, where: Where) -> Weights:
    numbers = _finite(series, "weight", where).astype(np.float64, copy=False)
    _refuse(series, pl.Series(numbers < 0), "weight", "is negative; give 0 to leave a row out", where)
    extreme = (numbers > HEAVIEST) | ((numbers > 0) & (numbers < LIGHTEST))
    _refuse(series, pl.Series(extreme), "weight", "is too extreme to compute with; scale to around 1", where)
    return numbers


def _keys(series: pl.Series, role: str, where: Where) -> Groups:
    """Integers as they are, also those of a csv, and other text by its 64-bit hash: only equality matters."""
    if series.dtype.is_float() or (series.dtype == pl.String and _looks_like_floats(series)):
        raise DataError(f"{role} column {series.name!r} holds floats, which seldom agree; give integers or text")
    _require(series, role, where)
    if series.dtype == pl.UInt64:
        return series.reinterpret(signed=True).to_numpy()
    if series.dtype.is_integer():
        return series.cast(pl.Int64).to_numpy()
    text = pl.col("key")
    signed, unsigned = text.cast(pl.Int64, strict=False), text.cast(pl.UInt64, strict=False)
    keys = (
        # As it would be written: 007 is another than 7.
        pl.when(signed.cast(pl.String) == text)
        .then(signed)
        .when(unsigned.cast(pl.String) == text)
        .then(unsigned.reinterpret(signed=True))
        .otherwise(cast("plh.HExpr", text).nchash.xxh3_64().reinterpret(signed=True))
    )
    return as_text(series, where).alias("key").to_frame().select(keys).to_series().to_numpy()


def _looks_like_floats(series: pl.Series) -> bool:
    """Whether text is numbers with a point, all of it, as when integers were once read as floats."""
    present = series.drop_nulls()
    return bool(present.len() and present.str.contains(r"^-?\d+\.\d+$").all())


def _times(series: pl.Series, where: Where) -> npt.NDArray[np.int64]:
    """Microseconds since 1970: of dates, of their text, or of integers in any unit from seconds to nanoseconds."""
    _require(series, "time", where)
    if series.dtype == pl.String:
        integers = series.cast(pl.Int64, strict=False)
        if integers.null_count() == series.null_count():
            series = integers
        else:
            texts = series.str.replace("T", " ", literal=True).str.replace(r"(Z|[+-]00:?00| UTC)$", "")
            parsed = texts.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", strict=False, time_unit="us")
            parsed = parsed.fill_null(texts.str.to_datetime("%Y-%m-%d", strict=False, time_unit="us"))
            _refuse(series, parsed.is_null(), "time", "is no date such as 2026-11-21 08:30:00; mend the file", where)
            series = parsed
    if series.dtype == pl.Date or isinstance(series.dtype, pl.Datetime):
        return series.cast(pl.Datetime("us")).to_physical().to_numpy()
    if not series.dtype.is_integer():
        raise DataError(f"time column {series.name!r} holds {series.dtype}; give dates, or integers since 1970")
    integers = series.cast(pl.Int64, strict=False)
    _refuse(series, integers.is_null(), "time", "is too great; give seconds since 1970", where)
    times = integers.to_numpy()
    largest = max(int(times.max()), -int(times.min()))
    for unit in _UNITS:
        if largest < _UNIT_END * unit:
            return times * (_MICROSECONDS // unit)
    return times // 1_000


def _require(series: pl.Series, role: str, where: Where) -> None:
    """Raise for the first missing value."""
    if series.null_count():
        row = int(series.is_null().arg_true()[0])
        raise DataError(f"{where(row)}: {role} (column {series.name!r}) is missing; every row needs one")


def _refuse(series: pl.Series, bad: pl.Series, role: str, why: str, where: Where) -> None:
    """Raise for the first value that is marked, or that the check knows nothing of."""
    marks = bad.fill_null(True)
    if marks.any():
        row = int(marks.arg_true()[0])
        raise DataError(f"{where(row)}: {role} (column {series.name!r}) {str(series[row])[:100]!r} {why}")
