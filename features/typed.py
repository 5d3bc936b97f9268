"""Typed rows: raw columns as the schema means them, every value checked, before any encoding."""

from dataclasses import dataclass
from typing import NoReturn

import polars as pl

from common.errors import DataError, SchemaError
from features.numerics import exceeds_float32
from features.schema import Feature, Schema

LABEL, GROUP, TIMESTAMP, ROW = "_label", "_group", "_timestamp", "_row"
KEEP = "keep:"
"""Prefix of a kept column's name; features cannot have a colon, so nothing clashes."""


@dataclass(frozen=True)
class Place:
    """Where a batch comes from, for messages.

    Attributes:
        file: Name of the file.
        first: Position of the batch's first row in the file, from 0.
    """

    file: str
    first: int

    def row(self, position: int) -> str:
        """Words for the row at a position in the batch; people count rows from 1."""
        return f"{self.file}, row {self.first + position + 1}"


def typed_rows(raw: pl.DataFrame, schema: Schema, place: Place) -> pl.DataFrame:
    """Give each column its meaning.

    Args:
        raw: Columns as read; a csv's are all String.
        schema: The declaration.
        place: Where the rows come from.

    Returns:
        A column a feature (String, Float64, or List(String), null where missing), ``_label`` (UInt8), ``_group``
        (String) and ``_timestamp`` (Int64; microseconds where the column holds dates) if declared, and the kept
        columns under ``keep:NAME``.

    Raises:
        DataError: A value has the wrong type, a label is not 0 or 1, a number is not finite.
        SchemaError: A whole column has a type its feature cannot have.
    """
    columns = [_label(raw, schema, place)]
    columns += [_feature(raw[feature.source], feature, place) for feature in schema.features]
    if schema.group is not None:
        columns.append(_text(raw[schema.group], f"group {schema.group!r}", place).alias(GROUP))
    if schema.timestamp is not None:
        columns.append(timestamps(raw[schema.timestamp], schema.timestamp, place))
    columns += [raw[name].alias(KEEP + name) for name in schema.keep]
    return pl.DataFrame(columns)


def _feature(raw: pl.Series, feature: Feature, place: Place) -> pl.Series:
    subject = f"{feature.kind} feature {feature.name!r}"
    if feature.kind == "numeric":
        numbers = _numbers(raw, subject, place)
        exceeding = exceeds_float32(numbers.to_numpy(), feature)
        if exceeding.any():
            refuse_large(place, int(exceeding.argmax()), feature.name)
        return numbers.alias(feature.name)
    if feature.kind == "categorical":
        return _text(raw, subject, place).alias(feature.name)
    if raw.dtype == pl.Null:
        return pl.Series(feature.name, [None] * len(raw), pl.List(pl.String))
    if raw.dtype == pl.String:
        elements = raw.str.split(feature.separator)
        split = pl.when(raw == "").then(pl.lit([], pl.List(pl.String))).otherwise(elements)
        return pl.select(split.alias(feature.name)).to_series()
    if isinstance(raw.dtype, pl.Array):
        raw = raw.arr.to_list()
    if not isinstance(raw.dtype, pl.List):
        raise SchemaError(f"{place.file}: {subject} is {raw.dtype}; a sequence is a list, or text with a separator")
    inner = raw.dtype.inner
    if not _is_text_like(inner):
        raise SchemaError(f"{place.file}: {subject} holds {inner}; cast its elements to text or integers")
    return raw.list.eval(pl.element().cast(pl.String)).alias(feature.name)


def refuse_large(place: Place, position: int, feature: str) -> NoReturn:
    """Refuse a number that float32 cannot hold."""
    raise DataError(
        f"{place.row(position)}: numeric feature {feature!r} is too large for float32; "
        "add the transform log1p, or mend the value"
    )


def _text(raw: pl.Series, subject: str, place: Place) -> pl.Series:
    if not _is_text_like(raw.dtype):
        raise SchemaError(
            f"{place.file}: {subject} is {raw.dtype}, whose text is not stable; "
            "cast the column to text or integers, or declare it numeric"
        )
    return raw.cast(pl.String)


def _is_text_like(dtype: object) -> bool:
    kinds = (pl.String, pl.Boolean, pl.Categorical, pl.Enum, pl.Null)
    return isinstance(dtype, pl.DataType) and (dtype.is_integer() or isinstance(dtype, kinds))


def _numbers(raw: pl.Series, subject: str, place: Place) -> pl.Series:
    """Float64 with NaN as missing; anything that is no finite number is refused."""
    if not (raw.dtype.is_numeric() or raw.dtype in (pl.Boolean, pl.String, pl.Null)):
        raise SchemaError(f"{place.file}: {subject} is {raw.dtype}; give numbers, or declare another kind")
    given = raw
    if raw.dtype == pl.String:
        stripped = raw.str.strip_chars()
        given = stripped.set(stripped == "", None)
    numbers = given.cast(pl.Float64, strict=False)
    wrong = (numbers.is_null() & given.is_not_null()) | numbers.is_infinite().fill_null(False)
    if wrong.any():
        position = int(wrong.arg_max() or 0)
        raise DataError(
            f"{place.row(position)}: {subject} is {raw[position]!r}, no finite number; mend or drop the row"
        )
    return numbers.fill_nan(None)


def _label(raw: pl.DataFrame, schema: Schema, place: Place) -> pl.Series:
    column = raw[schema.label]
    if not (column.dtype.is_numeric() or column.dtype in (pl.Boolean, pl.String, pl.Null)):
        raise SchemaError(f"{place.file}: label {schema.label!r} is {column.dtype}; a label is 0 or 1")
    numbers = column.cast(pl.Float64, strict=False) if column.dtype != pl.Null else column.cast(pl.Float64)
    wrong = ~((numbers == 0) | (numbers == 1)).fill_null(False)
    if wrong.any():
        position = int(wrong.arg_max() or 0)
        raise DataError(f"{place.row(position)}: label {schema.label!r} is {column[position]!r}; a label is 0 or 1")
    return numbers.cast(pl.UInt8).alias(LABEL)


def timestamps(raw: pl.Series, name: str, place: Place) -> pl.Series:
    """Times of the rows, as ``_timestamp``: integers as they are, dates as microseconds since 1970.

    Raises:
        DataError: A row has no time.
        SchemaError: The column's type is no time.
    """
    if raw.dtype == pl.String:
        times = raw.cast(pl.Int64, strict=False)
        if not times.count():
            times = raw.str.to_datetime(strict=False, time_unit="us", time_zone="UTC").cast(pl.Int64)
    elif raw.dtype.is_temporal() and raw.dtype != pl.Time:
        times = raw.cast(pl.Datetime("us")).cast(pl.Int64)
    elif raw.dtype.is_integer():
        times = raw.cast(pl.Int64, strict=False)
    else:
        raise SchemaError(f"{place.file}: timestamp {name!r} is {raw.dtype}; give integers, datetimes or ISO 8601 text")
    if times.null_count():
        position = int(times.is_null().arg_max() or 0)
        raise DataError(
            f"{place.row(position)}: timestamp {name!r} is {raw[position]!r}, no time; mend or drop the row"
        )
    return times.alias(TIMESTAMP)
