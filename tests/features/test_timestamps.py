"""Timestamps: integers as they are, dates each on its own, and rows without a time."""

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import SchemaError
from features.encoding.typed import holds_dates, timestamps, typed_rows
from features.schema import parse_schema
from features.sources.piece import Read

FILE = Path("log.csv")
MIDDAY = datetime(2024, 1, 2, 12, tzinfo=UTC)
MICROSECONDS = (MIDDAY - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (pl.Series([5, -5], dtype=pl.Int32), [5, -5]),
        (pl.Series([-(2**63), 2**63 - 1, None]), [-(2**63), 2**63 - 1, None]),
        (pl.Series([5, 2**63], dtype=pl.UInt64), [5, None]),
        (pl.Series([None], dtype=pl.Null), [None]),
        (pl.Series(["5", "-5", str(2**63 - 1), str(2**63), "soon", None]), [5, -5, 2**63 - 1, None, None, None]),
        (pl.Series([MIDDAY, None]), [MICROSECONDS, None]),
        (pl.Series([MIDDAY]).dt.convert_time_zone("Asia/Tokyo"), [MICROSECONDS]),
        (pl.Series([MIDDAY.replace(tzinfo=None)], dtype=pl.Datetime("ms")), [MICROSECONDS]),
        (pl.Series([MIDDAY.replace(tzinfo=None)], dtype=pl.Datetime("ns")), [MICROSECONDS]),
        (pl.Series([date(2024, 1, 2)]), [MICROSECONDS - 12 * 3600 * 10**6]),
        # Days and milliseconds that microseconds cannot count.
        (pl.Series([1, 2**31 - 1], dtype=pl.Int32).cast(pl.Date), [86_400_000_000, None]),
        (pl.Series([1, 2**62]).cast(pl.Datetime("ms")), [1000, None]),
    ],
)
def test_times_are_integers_as_they_are_and_dates_in_microseconds(raw: pl.Series, expected: list[int | None]) -> None:
    found = timestamps(raw, "time", FILE)
    assert found.dtype == pl.Int64
    assert found.to_list() == expected


DATES = {
    "2024-01-02": MICROSECONDS - 12 * 3600 * 10**6,
    "2024-01-02T12:00:00": MICROSECONDS,
    "2024-01-02 12:00:00": MICROSECONDS,
    "2024-01-02T12:00": MICROSECONDS,
    "2024-01-02 12:00": MICROSECONDS,
    "2024-01-02T12:00:00.000001": MICROSECONDS + 1,
    "2024-01-02 12:00:00.5": MICROSECONDS + 500_000,
    "2024-01-02T12:00:00Z": MICROSECONDS,
    "2024-01-02T14:00:00+02:00": MICROSECONDS,
    "2024-01-02 06:30:00.25-0530": MICROSECONDS + 250_000,
    "2024-01-02T12:00Z": MICROSECONDS,
    "1969-12-31T23:59:59.999999": -1,
    "2024-13-02": None,
    "2024-02-30": None,
    "2024-01-02T25:00:00": None,
    "01/02/2024": None,
    "1704196800": None,
    "soon": None,
    "": None,
    None: None,
}


@given(st.lists(st.sampled_from(list(DATES)), max_size=8))
def test_each_date_is_read_on_its_own(dates: list[str | None]) -> None:
    # Whatever stands above it: pieces of a file, however it is cut, must agree.
    found = timestamps(pl.Series("time", dates, pl.String), "time", FILE, dates=True)
    assert found.dtype == pl.Int64
    assert found.to_list() == [DATES[some] for some in dates]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (pl.Series(["2024-01-02", "5"]), True),
        (pl.Series([None, "2024-01-02"]), True),
        (pl.Series(["soon"]), True),
        (pl.Series(["5", "2024-01-02"]), False),
        (pl.Series(["-5"]), False),
        (pl.Series([None], dtype=pl.String), False),
        (pl.Series([], dtype=pl.String), False),
        (pl.Series([5]), False),
        (pl.Series([MIDDAY]), False),
    ],
)
def test_text_holds_dates_if_its_first_value_does(raw: pl.Series, expected: bool) -> None:
    assert holds_dates(raw) is expected


@pytest.mark.parametrize(
    ("raw", "dates", "shown"),
    [
        (pl.Series([5, None]), False, "None"),
        (pl.Series(["5", "soon"]), False, "'soon'"),
        (pl.Series(["5", "2024-01-02"]), False, "'2024-01-02'"),
        (pl.Series(["2024-01-02", "5"]), True, "'5'"),
        (pl.Series(["2024-01-02", "2024-13-02"]), True, "'2024-13-02'"),
        (pl.Series([5, 2**63], dtype=pl.UInt64), False, "9223372036854775808"),
        (pl.Series([5, 2**62]).cast(pl.Datetime("ms")), False, str(2**62)),
    ],
)
def test_a_row_without_a_time_is_bad(raw: pl.Series, dates: bool, shown: str) -> None:
    document = {"label": "y", "timestamp": "t", "features": [{"name": "f", "kind": "categorical"}]}
    frame = pl.DataFrame({"y": [1, 1], "t": raw, "f": ["a", "b"]})
    read = Read(frame, pl.Series([100, 102]), [])
    found, bad = typed_rows(read, parse_schema(document, source="test"), FILE, dates=dates)
    assert found["f"].to_list() == ["a"]
    assert [(row.position, row.column, row.reason) for row in bad] == [(102, "t", f"timestamp 't' is {shown}, no time")]


@pytest.mark.parametrize(
    "raw", [pl.Series([1.5]), pl.Series([True]), pl.Series([[1]]), pl.Series([time(1)]), pl.Series([timedelta(1)])]
)
def test_a_column_that_is_no_time_is_refused(raw: pl.Series) -> None:
    with pytest.raises(SchemaError, match=r"log\.csv: timestamp 'time' is .*; give integers, datetimes or ISO 8601"):
        timestamps(raw, "time", FILE)
