"""Typed rows: raw columns as the schema means them, every value checked, before any encoding."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import polars.selectors as cs

from common.errors import DataError, SchemaError
from features.encoding.numerics import exceeds_float32
from features.schema import FLOAT32_MAX, ColumnFeature, ListFeature, Schema
from features.sources.piece import TEXT, BadRow, Read

LABEL, GROUP, TIMESTAMP, ROW = "_label", "_group", "_timestamp", "_row"
KEEP = "keep:"
"""Prefix of a kept column's name; features cannot have a colon, so nothing clashes."""

_SHOWN = 100  # characters of a wrong value that its reason shows
_DATES = (
    *(f"%Y-%m-%d{t}%H:%M{seconds}{zone}" for seconds in (":%S%.f", "") for zone in ("", "%#z") for t in "T "),
    "%Y-%m-%d",
)


@dataclass(frozen=True)
class _Typed:
    """A typed column, and for each fault that was looked for, which rows have it and its reason (``{}`` the value)."""

    column: pl.Series
    faults: tuple[tuple[pl.Series, str], ...] = ()


def only_numbers(schema: Schema) -> frozenset[str]:
    """Columns of which only the numbers are wanted, so that nobody has to see them as text."""
    read_as_numbers = {f.source for f in schema.given if f.kind in ("numeric", "bucketized")}
    read_as_text = {f.source for f in schema.given if f.kind not in ("numeric", "bucketized")}
    # A label with spaces around is refused, a number is not.
    return frozenset(read_as_numbers - read_as_text - {schema.label, schema.group, schema.timestamp, *schema.keep})


def typed_rows(read: Read, schema: Schema, file: Path, *, dates: bool = False) -> tuple[pl.DataFrame, list[BadRow]]:
    """Give each column its meaning.

    Args:
        read: Rows as read; a csv's columns are all String.
        schema: The declaration.
        file: Where they come from, for messages.
        dates: Whether a timestamp that is text holds dates rather than integers (:func:`holds_dates`).

    Returns:
        The good rows and the bad ones. The good rows have ``_row`` (Int64, position in the file), a column a given
        feature (String, Float64, or List(String), null where missing), ``_label`` (UInt8), ``_group`` (String) and
        ``_timestamp`` (Int64; microseconds where the column holds dates) if declared, and the kept columns under
        ``keep:NAME``.

    Raises:
        SchemaError: A whole column has a type its feature cannot have.
    """
    raw = read.frame
    typed = [_label(raw, schema, file), *_features(raw, schema, file)]
    if schema.group is not None:
        typed.append(_text(raw[schema.group], GROUP, f"group {schema.group!r}", file))
    if schema.timestamp is not None:
        times = timestamps(raw[schema.timestamp], schema.timestamp, file, dates=dates)
        fault = (times.is_null(), f"timestamp {schema.timestamp!r} is {{}}, no time")
        typed.append(_Typed(times.alias(TIMESTAMP), (fault,)))
    typed += [_Typed(raw[name].alias(KEEP + name)) for name in schema.keep]
    names = {LABEL: schema.label, TIMESTAMP: schema.timestamp or ""} | {f.name: f.source for f in schema.given}

    frame = pl.DataFrame([read.positions.alias(ROW), *(part.column for part in typed)])
    reasons: dict[int, tuple[str, str]] = {}
    for part in typed:
        for wrong, reason in part.faults:
            if wrong.any():
                source = names[part.column.name]
                for position in wrong.arg_true().to_list():
                    if position not in reasons:
                        shown = f"{_row(raw, position)[source]!r:.{_SHOWN}}"
                        # The last braces: a column's name may have some of its own.
                        reasons[position] = (source, shown.join(reason.rsplit("{}", 1)))
    if not reasons:
        return frame, list(read.bad)
    bad = [
        BadRow(read.positions[position], column, reason, row_text(raw, position))
        for position, (column, reason) in reasons.items()
    ]
    good = ~pl.int_range(raw.height, eager=True).is_in(list(reasons))
    return frame.filter(good), sorted([*read.bad, *bad], key=lambda row: row.position)


def row_text(raw: pl.DataFrame, position: int) -> str:
    """What a row looks like, as json, cut to 1,000 characters."""
    return json.dumps(_row(raw, position), ensure_ascii=False, default=str)[:TEXT]


def _row(raw: pl.DataFrame, position: int) -> dict[str, Any]:
    row = raw[position]
    try:
        return row.row(0, named=True)
    except (ValueError, pl.exceptions.PanicException):
        # Python and polars have no date for a time that far away.
        return row.with_columns(cs.temporal().to_physical()).row(0, named=True)


def refuse(bad: BadRow, file: Path) -> DataError:
    """The error for a row that is wrong where none may be."""
    return DataError(
        f"{file}, row {bad.position + 1}: {bad.reason}; mend the row, or give --on-bad-rows skip or quarantine"
    )


def holds_dates(raw: pl.Series) -> bool:
    """Whether a timestamp that is text holds dates: its first value decides for all."""
    first = raw.drop_nulls().head(1)
    return raw.dtype == pl.String and bool(len(first)) and first.cast(pl.Int64, strict=False).null_count() > 0


def timestamps(raw: pl.Series, name: str, file: Path, *, dates: bool = False) -> pl.Series:
    """Times of rows.

    Args:
        raw: Integers, dates, or text.
        name: The column's name, for messages.
        file: Where it comes from, for messages.
        dates: Whether text holds ISO 8601 dates rather than integers.

    Returns:
        Int64: integers as they are, dates as microseconds since 1970; null where there is no time.

    Raises:
        SchemaError: The column's type is no time.
    """
    if raw.dtype == pl.String:
        if dates:
            return _from_dates(raw)
        return raw.cast(pl.Int64, strict=False)
    if raw.dtype.is_temporal() and raw.dtype not in (pl.Time, pl.Duration):
        return raw.cast(pl.Datetime("us"), strict=False).cast(pl.Int64)
    if raw.dtype.is_integer() or raw.dtype == pl.Null:
        return raw.cast(pl.Int64, strict=False)
    raise SchemaError(f"{file}: timestamp {name!r} is {raw.dtype}; give integers, datetimes or ISO 8601 text")


def _from_dates(raw: pl.Series) -> pl.Series:
    """Times of dates in text, each read on its own: polars would infer the format of all from the first."""
    times = pl.Series(raw.name, [None], pl.Int64).new_from_index(0, len(raw))
    for form in _DATES:
        found = raw.str.to_datetime(form, strict=False, time_unit="us", time_zone="UTC").cast(pl.Int64)
        times = times.zip_with(times.is_not_null(), found)
        if times.null_count() == raw.null_count():
            break
    return times


def _features(raw: pl.DataFrame, schema: Schema, file: Path) -> list[_Typed]:
    numbers = [feature for feature in schema.given if feature.kind in ("numeric", "bucketized")]
    for number in numbers:
        dtype = raw[number.source].dtype
        if not (dtype.is_numeric() or dtype in (pl.Boolean, pl.String, pl.Null)):
            raise SchemaError(f"{file}: {_subject(number)} is {dtype}; give numbers, or declare another kind")
    # All columns in one expression each, and faults only looked for where there is a sign of one.
    cast = raw.select(cs.by_name(f.source).cast(pl.Float64, strict=False).alias(f.name) for f in numbers)
    filled = cast.fill_nan(None)
    largest = filled.select(pl.all().abs().max()).to_dicts()[0] if numbers else {}
    typed = []
    for feature in schema.given:
        if feature.kind not in ("numeric", "bucketized"):
            typed.append(_texts(raw[feature.source], feature, file))
            continue
        column, given = cast[feature.name], raw[feature.source]
        unread = column.null_count() > given.null_count()
        if unread or (largest[feature.name] or 0.0) > FLOAT32_MAX:
            typed.append(_doubtful(given, feature))
        else:
            typed.append(_Typed(filled[feature.name]))
    return typed


def _doubtful(raw: pl.Series, feature: ColumnFeature) -> _Typed:
    """A numeric column that holds something else than numbers that float32 can hold, or spaces beside them."""
    if raw.dtype == pl.String:
        raw = raw.str.strip_chars()
        raw = raw.set(raw == "", None)
    numbers = raw.cast(pl.Float64, strict=False)
    wrong = (numbers.is_null() & raw.is_not_null()) | numbers.is_infinite().fill_null(False)
    faults = [(wrong, f"{_subject(feature)} is {{}}, no finite number")]
    if feature.kind == "numeric":
        exceeding = pl.Series(exceeds_float32(numbers.to_numpy(), feature))
        faults.append((exceeding, too_large(feature.name) + " without the transform log1p"))
    return _Typed(numbers.fill_nan(None).alias(feature.name), tuple(faults))


def _subject(feature: ColumnFeature) -> str:
    return f"{feature.kind} feature {feature.name!r}"


def _texts(raw: pl.Series, feature: ColumnFeature, file: Path) -> _Typed:
    subject = _subject(feature)
    if feature.kind == "categorical":
        return _text(raw, feature.name, subject, file)
    assert isinstance(feature, ListFeature)
    if raw.dtype == pl.Null:
        return _Typed(pl.Series(feature.name, [None] * len(raw), pl.List(pl.String)))
    if raw.dtype == pl.String:
        elements = raw.str.split(feature.separator)
        split = pl.when(raw == "").then(pl.lit([], pl.List(pl.String))).otherwise(elements)
        return _Typed(pl.select(split.alias(feature.name)).to_series())
    if isinstance(raw.dtype, pl.Array):
        raw = raw.arr.to_list()
    if not isinstance(raw.dtype, pl.List):
        raise SchemaError(f"{file}: {subject} is {raw.dtype}; give lists, or text with a separator")
    inner = raw.dtype.inner
    if not _is_text_like(inner):
        raise SchemaError(f"{file}: {subject} holds {inner}; cast its elements to text or integers")
    return _Typed(raw.list.eval(pl.element().cast(pl.String)).alias(feature.name))


def too_large(feature: str) -> str:
    """The reason for a number that float32 cannot hold."""
    return f"numeric feature {feature!r} is too large for float32"


def _text(raw: pl.Series, name: str, subject: str, file: Path) -> _Typed:
    if not _is_text_like(raw.dtype):
        raise SchemaError(
            f"{file}: {subject} is {raw.dtype}, whose text is not stable; "
            "cast the column to text or integers, or declare it numeric"
        )
    return _Typed(raw.cast(pl.String).alias(name))


def _is_text_like(dtype: object) -> bool:
    kinds = (pl.String, pl.Boolean, pl.Categorical, pl.Enum, pl.Null)
    return isinstance(dtype, pl.DataType) and (dtype.is_integer() or isinstance(dtype, kinds))


def _label(raw: pl.DataFrame, schema: Schema, file: Path) -> _Typed:
    column = raw[schema.label]
    if not (column.dtype.is_numeric() or column.dtype in (pl.Boolean, pl.String, pl.Null)):
        raise SchemaError(f"{file}: label {schema.label!r} is {column.dtype}; a label is 0 or 1")
    numbers = column.cast(pl.Float64, strict=False)
    wrong = ~((numbers == 0) | (numbers == 1)).fill_null(False)
    labels = numbers.set(wrong, 0).cast(pl.UInt8).alias(LABEL)
    return _Typed(labels, ((wrong, f"label {schema.label!r} is {{}}, neither 0 nor 1"),))
