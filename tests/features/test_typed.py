"""Typed rows: the meaning of every raw type, and the row named where a value has none."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from common.errors import DataError, SchemaError
from features.schema import parse_schema
from features.typed import KEEP, LABEL, TIMESTAMP, Place, timestamps, typed_rows

PLACE = Place("log.csv", 100)


def typed(raw: pl.Series, kind: str, **options: Any) -> pl.Series:
    """One raw column as a feature ``f``."""
    document = {"label": "y", "features": [{"name": "f", "column": "raw", "kind": kind, **options}]}
    frame = pl.DataFrame({"y": [1] * len(raw), "raw": raw})
    return typed_rows(frame, parse_schema(document, source="test"), PLACE)["f"]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (pl.Series(["a", "", None]), ["a", "", None]),
        (pl.Series([7, -7, None], dtype=pl.Int8), ["7", "-7", None]),
        (pl.Series([2**127 - 1, -(2**127)], dtype=pl.Int128), [str(2**127 - 1), str(-(2**127))]),
        (pl.Series([2**64 - 1], dtype=pl.UInt64), [str(2**64 - 1)]),
        (pl.Series([True, False, None]), ["true", "false", None]),
        (pl.Series(["b", "a", None], dtype=pl.Categorical), ["b", "a", None]),
        (pl.Series(["b", "a"], dtype=pl.Enum(["a", "b"])), ["b", "a"]),
        (pl.Series([None, None], dtype=pl.Null), [None, None]),
    ],
)
def test_categorical_values_become_text(raw: pl.Series, expected: list[str | None]) -> None:
    found = typed(raw, "categorical")
    assert found.dtype == pl.String
    assert found.to_list() == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (pl.Series([1.5, float("nan"), None, -0.0]), [1.5, None, None, -0.0]),
        (pl.Series(["1.5", " -2e3\t", "", "  ", None, "nan", "+4"]), [1.5, -2000.0, None, None, None, None, 4.0]),
        (pl.Series([2**63 - 1], dtype=pl.Int64), [float(2**63 - 1)]),
        (pl.Series([1, None], dtype=pl.UInt8), [1.0, None]),
        (pl.Series([True, False]), [1.0, 0.0]),
        (pl.Series(["1.25"]).cast(pl.Decimal(10, 2)), [1.25]),
        (pl.Series([0.5], dtype=pl.Float32), [0.5]),
        (pl.Series([None], dtype=pl.Null), [None]),
    ],
)
def test_numbers_become_float64_and_nan_is_missing(raw: pl.Series, expected: list[float | None]) -> None:
    found = typed(raw, "numeric")
    assert found.dtype == pl.Float64
    assert [repr(v) for v in found.to_list()] == [repr(v) for v in expected]


@pytest.mark.parametrize(
    ("raw", "separator", "expected"),
    [
        (pl.Series(["a b", "a", "", None]), " ", [["a", "b"], ["a"], [], None]),
        (pl.Series(["a|b c||", "7"]), "|", [["a", "b c", "", ""], ["7"]]),
        (pl.Series([["a", None], [], None]), " ", [["a", None], [], None]),
        (pl.Series([[1, 2], [-3]]), " ", [["1", "2"], ["-3"]]),
        (pl.Series([[1, 2], [3, 4]], dtype=pl.Array(pl.Int64, 2)), " ", [["1", "2"], ["3", "4"]]),
        (pl.Series([["a"]], dtype=pl.List(pl.Categorical)), " ", [["a"]]),
        (pl.Series([None], dtype=pl.Null), " ", [None]),
        (pl.Series([[], []], dtype=pl.List(pl.Null)), " ", [[], []]),
    ],
)
def test_sequences_become_lists_of_text(raw: pl.Series, separator: str, expected: list[Any]) -> None:
    found = typed(raw, "sequence", separator=separator)
    assert found.dtype == pl.List(pl.String)
    assert found.to_list() == expected


@pytest.mark.parametrize(
    "raw",
    [
        pl.Series([0, 1], dtype=pl.Int8),
        pl.Series([0.0, 1.0]),
        pl.Series([False, True]),
        pl.Series(["0", "1"]),
        pl.Series(["0.0", "1.0"]),
    ],
)
def test_labels_are_0_or_1_in_any_type(raw: pl.Series) -> None:
    schema = parse_schema({"label": "y", "features": [{"name": "f", "kind": "numeric"}]}, source="test")
    found = typed_rows(pl.DataFrame({"y": raw, "f": [1.0, 2.0]}), schema, PLACE)[LABEL]
    assert found.dtype == pl.UInt8
    assert found.to_list() == [0, 1]


def test_other_columns_keep_their_type_under_their_own_names() -> None:
    document = {
        "label": "y",
        "group": "user",
        "timestamp": "time",
        "keep": ["user", "p"],
        "features": [{"name": "user", "kind": "categorical"}],
    }
    raw = pl.DataFrame({"y": [1], "user": [7], "time": [5], "p": [0.25]})
    found = typed_rows(raw, parse_schema(document, source="test"), PLACE)
    assert found.to_dicts() == [
        {LABEL: 1, "user": "7", "_group": "7", "_timestamp": 5, KEEP + "user": 7, KEEP + "p": 0.25}
    ]


MIDDAY = datetime(2024, 1, 2, 12, tzinfo=UTC)
MICROSECONDS = (MIDDAY - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (pl.Series([5, -5], dtype=pl.Int32), [5, -5]),
        (pl.Series(["5", "-5"]), [5, -5]),
        (pl.Series([MIDDAY]), [MICROSECONDS]),
        (pl.Series([MIDDAY.replace(tzinfo=None)], dtype=pl.Datetime("ms")), [MICROSECONDS]),
        (pl.Series([MIDDAY.replace(tzinfo=None)], dtype=pl.Datetime("ns")), [MICROSECONDS]),
        (pl.Series([date(2024, 1, 2)]), [MICROSECONDS - 12 * 3600 * 10**6]),
        (pl.Series(["2024-01-02T12:00:00", "2024-01-02 12:00", "2024-01-02"]), [MICROSECONDS] * 2 + [1704153600000000]),
        (pl.Series(["2024-01-02T12:00:00.000001"]), [MICROSECONDS + 1]),
        (pl.Series(["2024-01-02T12:00:00Z"]), [MICROSECONDS]),
        (pl.Series(["2024-01-02T14:00:00+02:00"]), [MICROSECONDS]),
    ],
)
def test_times_are_integers_as_they_are_and_dates_in_microseconds(raw: pl.Series, expected: list[int]) -> None:
    found = timestamps(raw, "time", PLACE)
    assert found.name == TIMESTAMP
    assert found.dtype == pl.Int64
    assert found.to_list() == expected


@pytest.mark.parametrize(
    ("raw", "row", "shown"),
    [
        (pl.Series([5, None]), 102, "None"),
        (pl.Series(["2024-01-02", "2024-13-02", "2024-01-03"]), 102, "'2024-13-02'"),
        (pl.Series(["5", "6", "soon"]), 103, "'soon'"),
        (pl.Series(["soon"]), 101, "'soon'"),
        (pl.Series(["2024-01-02", None]), 102, "None"),
        (pl.Series([5, 2**63], dtype=pl.UInt64), 102, "9223372036854775808"),
    ],
)
def test_a_row_without_a_time_is_named(raw: pl.Series, row: int, shown: str) -> None:
    with pytest.raises(DataError) as caught:
        timestamps(raw, "time", PLACE)
    assert str(caught.value) == f"log.csv, row {row}: timestamp 'time' is {shown}, no time; mend or drop the row"


@pytest.mark.parametrize("raw", [pl.Series([1.5]), pl.Series([True]), pl.Series([[1]])])
def test_a_column_that_is_no_time_is_refused(raw: pl.Series) -> None:
    with pytest.raises(SchemaError, match=r"log\.csv: timestamp 'time' is .*; give integers, datetimes or ISO 8601"):
        timestamps(raw, "time", PLACE)


@pytest.mark.parametrize(
    ("raw", "kind", "message"),
    [
        (pl.Series([1.5]), "categorical", "is Float64, whose text is not stable; cast the column"),
        (pl.Series([[1]]), "categorical", "is List(Int64), whose text is not stable"),
        (pl.Series([b"x"]), "categorical", "is Binary"),
        (pl.Series([date(2024, 1, 1)]), "numeric", "is Date; give numbers, or declare another kind"),
        (pl.Series([[1.0]]), "numeric", "is List(Float64); give numbers"),
        (pl.Series([1]), "sequence", "is Int64; a sequence is a list, or text with a separator"),
        (pl.Series([[1.5]]), "sequence", "holds Float64; cast its elements to text or integers"),
        (pl.Series([[["a"]]]), "sequence", "holds List(String); cast its elements"),
    ],
)
def test_a_type_that_a_kind_cannot_have_is_refused(raw: pl.Series, kind: str, message: str) -> None:
    with pytest.raises(SchemaError) as caught:
        typed(raw, kind)
    assert str(caught.value).startswith(f"log.csv: {kind} feature 'f' ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "raw", [[[1]], [{"a": 1}], [b"1"], [date(1970, 1, 2)]], ids=["list", "struct", "bytes", "date"]
)
def test_a_label_of_another_type_is_refused(raw: list[Any]) -> None:
    schema = parse_schema({"label": "y", "features": [{"name": "f", "kind": "numeric"}]}, source="test")
    with pytest.raises((DataError, SchemaError), match=r"log\.csv.*label 'y' is "):
        typed_rows(pl.DataFrame({"y": raw, "f": [1.0]}), schema, PLACE)
