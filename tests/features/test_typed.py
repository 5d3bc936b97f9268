"""Typed rows: the meaning of every raw type, and the rows set apart where a value has none."""

import json
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import DataError, SchemaError
from features.encoding.typed import GROUP, KEEP, LABEL, ROW, TIMESTAMP, refuse, row_text, typed_rows
from features.schema import Schema, parse_schema
from features.sources.piece import BadRow, Read

FILE = Path("log.csv")


def read_of(frame: pl.DataFrame, *, first: int = 100, step: int = 2, bad: tuple[BadRow, ...] = ()) -> Read:
    """Rows read from positions 100, 102, ... of a file."""
    positions = pl.int_range(first, first + step * frame.height, step, eager=True)
    return Read(frame, positions.alias("position"), list(bad))


def schema_of(kind: str, **options: Any) -> Schema:
    """A feature ``f`` of the column ``raw``."""
    document = {"label": "y", "features": [{"name": "f", "column": "raw", "kind": kind, **options}]}
    return parse_schema(document, source="test")


def split_up(raw: pl.Series, kind: str, **options: Any) -> tuple[pl.Series, list[BadRow]]:
    """One raw column as a feature ``f``, and the bad rows."""
    frame = pl.DataFrame({"y": pl.repeat(1, len(raw), eager=True), "raw": raw})
    found, bad = typed_rows(read_of(frame), schema_of(kind, **options), FILE)
    return found["f"], bad


def typed(raw: pl.Series, kind: str, **options: Any) -> pl.Series:
    """One raw column as a feature ``f``; no row is bad."""
    found, bad = split_up(raw, kind, **options)
    assert bad == []
    return found


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
        (pl.Series([], dtype=pl.String), []),
    ],
)
def test_categorical_values_become_text(raw: pl.Series, expected: list[str | None]) -> None:
    found = typed(raw, "categorical")
    assert found.dtype == pl.String
    assert found.to_list() == expected


@pytest.mark.parametrize("kind", ["numeric", "bucketized"])
@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (pl.Series([1.5, float("nan"), None, -0.0]), [1.5, None, None, -0.0]),
        (pl.Series(["1.5", " -2e3\t", "", "  ", None, "nan", "+4"]), [1.5, -2000.0, None, None, None, None, 4.0]),
        (pl.Series(["1.5", None, "-0"]), [1.5, None, -0.0]),
        (pl.Series([2**63 - 1], dtype=pl.Int64), [float(2**63 - 1)]),
        (pl.Series([2**127 - 1], dtype=pl.Int128), [float(2**127 - 1)]),
        (pl.Series([1, None], dtype=pl.UInt8), [1.0, None]),
        (pl.Series([True, False]), [1.0, 0.0]),
        (pl.Series(["1.25"]).cast(pl.Decimal(10, 2)), [1.25]),
        (pl.Series([0.5], dtype=pl.Float32), [0.5]),
        (pl.Series([None], dtype=pl.Null), [None]),
        (pl.Series(["3.4028234663852886e38", "-3.4028235e38"]), [3.4028234663852886e38, -3.4028235e38]),
        (pl.Series([], dtype=pl.String), []),
    ],
)
def test_numbers_become_float64_and_nan_is_missing(raw: pl.Series, expected: list[float | None], kind: str) -> None:
    found = typed(raw, kind, **({"buckets": 3} if kind == "bucketized" else {}))
    assert found.dtype == pl.Float64
    assert [repr(v) for v in found.to_list()] == [repr(v) for v in expected]


@pytest.mark.parametrize("kind", ["sequence", "multivalued"])
@pytest.mark.parametrize(
    ("raw", "separator", "expected"),
    [
        (pl.Series(["a b", "a", "", None]), " ", [["a", "b"], ["a"], [], None]),
        (pl.Series(["a|b c||", "7"]), "|", [["a", "b c", "", ""], ["7"]]),
        (pl.Series(["a::b:c", ":"]), "::", [["a", "b:c"], [":"]]),
        (pl.Series([["a", None], [], None]), " ", [["a", None], [], None]),
        (pl.Series([["a b"], [""]]), " ", [["a b"], [""]]),
        (pl.Series([[1, 2], [-3]]), " ", [["1", "2"], ["-3"]]),
        (pl.Series([[True], [False, None]]), " ", [["true"], ["false", None]]),
        (pl.Series([[1, 2], [3, 4]], dtype=pl.Array(pl.Int64, 2)), " ", [["1", "2"], ["3", "4"]]),
        (pl.Series([["a"]], dtype=pl.List(pl.Categorical)), " ", [["a"]]),
        (pl.Series([None], dtype=pl.Null), " ", [None]),
        (pl.Series([[], []], dtype=pl.List(pl.Null)), " ", [[], []]),
        (pl.Series([None, None], dtype=pl.List(pl.Int64)), " ", [None, None]),
        (pl.Series([], dtype=pl.String), " ", []),
        (pl.Series([], dtype=pl.List(pl.Int8)), " ", []),
    ],
)
def test_lists_become_lists_of_text(raw: pl.Series, separator: str, expected: list[Any], kind: str) -> None:
    found = typed(raw, kind, separator=separator)
    assert found.dtype == pl.List(pl.String)
    assert found.to_list() == expected


@pytest.mark.parametrize(
    "raw",
    [
        pl.Series([0, 1], dtype=pl.Int8),
        pl.Series([0.0, 1.0]),
        pl.Series([-0.0, 1.0]),
        pl.Series([False, True]),
        pl.Series(["0", "1"]),
        pl.Series(["0.0", "1.0"]),
        pl.Series(["0", "1"]).cast(pl.Decimal(3, 1)),
    ],
)
def test_labels_are_0_or_1_in_any_type(raw: pl.Series) -> None:
    frame = pl.DataFrame({"y": raw, "raw": [1.0, 2.0]})
    found, bad = typed_rows(read_of(frame), schema_of("numeric"), FILE)
    assert found[LABEL].dtype == pl.UInt8
    assert found[LABEL].to_list() == [0, 1]
    assert bad == []


WHOLE: dict[str, Any] = {
    "label": "y",
    "group": "user",
    "timestamp": "time",
    "keep": ["user", "p"],
    "features": [
        {"name": "user", "kind": "categorical"},
        {"name": "n", "column": "number", "kind": "numeric"},
        {"name": "x", "kind": "cross", "of": ["user", "b"]},
        {"name": "b", "column": "number", "kind": "bucketized", "edges": [0]},
    ],
}


def test_other_columns_keep_their_type_under_their_own_names() -> None:
    raw = pl.DataFrame({"y": [1], "user": [7], "time": [5], "p": [0.25], "number": [1.5]})
    found, bad = typed_rows(read_of(raw), parse_schema(WHOLE, source="test"), FILE)
    assert bad == []
    assert found.to_dicts() == [
        {
            ROW: 100,
            LABEL: 1,
            "user": "7",
            "n": 1.5,
            "b": 1.5,
            GROUP: "7",
            TIMESTAMP: 5,
            KEEP + "user": 7,
            KEEP + "p": 0.25,
        }
    ]


def test_columns_may_have_any_name() -> None:
    names = ["*", "^.*$", "keep:y", "_row", "{}", "a b"]
    document = {
        "label": "y",
        "features": [{"name": f"f{i}", "column": n, "kind": "numeric"} for i, n in enumerate(names)],
    }
    raw = pl.DataFrame({"y": ["1"]} | {name: [str(i)] for i, name in enumerate(names)})
    found, bad = typed_rows(read_of(raw), parse_schema(document, source="test"), FILE)
    assert bad == []
    assert [found[f"f{i}"].to_list() for i in range(len(names))] == [[float(i)] for i in range(len(names))]


@pytest.mark.parametrize(
    ("raw", "kind", "shown", "reason"),
    [
        (pl.Series([1.0, float("inf")]), "numeric", "inf", "no finite number"),
        (pl.Series([1.0, float("-inf")]), "bucketized", "-inf", "no finite number"),
        (pl.Series(["1", "1,5"]), "numeric", "'1,5'", "no finite number"),
        (pl.Series([" 1 ", " x "]), "numeric", "' x '", "no finite number"),
        (pl.Series(["1", "1e400"]), "numeric", "'1e400'", "no finite number"),
        (pl.Series(["1", "inf"]), "bucketized", "'inf'", "no finite number"),
        (pl.Series(["1", "true"]), "bucketized", "'true'", "no finite number"),
    ],
)
def test_a_number_that_is_none_makes_its_row_bad(raw: pl.Series, kind: str, shown: str, reason: str) -> None:
    found, bad = split_up(raw, kind, **({"buckets": 2} if kind == "bucketized" else {}))
    assert found.to_list() == [1.0]
    assert [(row.position, row.column, row.reason) for row in bad] == [
        (102, "raw", f"{kind} feature 'f' is {shown}, {reason}")
    ]


@pytest.mark.parametrize("raw", [pl.Series([1.0, 3.5e38]), pl.Series(["1", "-1e300"])])
def test_a_number_beyond_float32_needs_log1p(raw: pl.Series) -> None:
    found, bad = split_up(raw, "numeric")
    assert found.to_list() == [1.0]
    assert [row.reason for row in bad] == ["numeric feature 'f' is too large for float32 without the transform log1p"]
    assert len(typed(raw, "numeric", transforms=["log1p"])) == 2
    assert len(typed(raw, "bucketized", edges=[0])) == 2


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (pl.Series([1, 2]), "2"),
        (pl.Series([1, None]), "None"),
        (pl.Series([1.0, 0.5]), "0.5"),
        (pl.Series([1.0, float("nan")]), "nan"),
        (pl.Series(["1", "x"]), "'x'"),
        (pl.Series(["1", ""]), "''"),
        (pl.Series([1, -1]), "-1"),
        (pl.Series([True, None]), "None"),
    ],
)
def test_a_label_that_is_neither_0_nor_1_makes_its_row_bad(raw: pl.Series, shown: str) -> None:
    frame = pl.DataFrame({"y": raw, "raw": ["a", "b"]})
    found, bad = typed_rows(read_of(frame), schema_of("categorical"), FILE)
    assert found.to_dicts() == [{ROW: 100, LABEL: 1, "f": "a"}]
    assert [(row.position, row.column, row.reason) for row in bad] == [
        (102, "y", f"label 'y' is {shown}, neither 0 nor 1")
    ]


def test_a_row_with_many_faults_is_bad_once_for_its_first_column() -> None:
    document = {
        "label": "y",
        "timestamp": "t",
        "features": [
            {"name": "b", "kind": "numeric"},
            {"name": "a", "kind": "bucketized", "buckets": 2},
            {"name": "c", "kind": "categorical"},
        ],
    }
    raw = pl.DataFrame(
        {
            "a": ["x", "x", "1", "1", "x", "1"],
            "b": ["1", "inf", "1", "1", "1e39", "1"],
            "c": ["", "", "", "", "", ""],
            "t": ["?", "?", "?", "5", "?", "6"],
            "y": ["1", "1", "1", "0", "2", "1"],
        }
    )
    before, between, after = (BadRow(i, None, "has 4 fields, not 5", "a,b,c,d") for i in (7, 105, 200))
    found, bad = typed_rows(read_of(raw, bad=(before, between, after)), parse_schema(document, source="test"), FILE)
    assert found[ROW].to_list() == [106, 110]
    assert found["b"].to_list() == [1.0, 1.0]
    # The label first, then the features in the schema's order, then the time; and those of the file among them.
    assert [(row.position, row.column) for row in bad] == [
        (7, None), (100, "a"), (102, "b"), (104, "t"), (105, None), (108, "y"), (200, None),
    ]  # fmt: skip
    assert [row for row in bad if row.column is None] == [before, between, after]
    assert json.loads(bad[1].text) == {"a": "x", "b": "1", "c": "", "t": "?", "y": "1"}


@given(
    faults=st.lists(st.sets(st.sampled_from("ynb")), max_size=12), first=st.integers(0, 10**12), step=st.integers(1, 9)
)
def test_every_row_is_good_or_bad(faults: list[set[str]], first: int, step: int) -> None:
    document = {
        "label": "y",
        "features": [{"name": "n", "kind": "numeric"}, {"name": "b", "kind": "bucketized", "buckets": 2}],
    }
    raw = pl.DataFrame(
        {name: ["x" if name in some else "1" for some in faults] for name in "ynb"},
        schema=dict.fromkeys("ynb", pl.String),
    )
    found, bad = typed_rows(read_of(raw, first=first, step=step), parse_schema(document, source="test"), FILE)
    assert found[ROW].dtype == pl.Int64
    assert found[ROW].to_list() == [first + i * step for i, some in enumerate(faults) if not some]
    assert [(row.position, row.column) for row in bad] == [
        (first + i * step, next(name for name in "ynb" if name in some)) for i, some in enumerate(faults) if some
    ]


def test_a_wrong_value_is_shown_in_part_and_its_row_cut() -> None:
    raw = pl.Series(["1", "é" * 5000])
    bad = split_up(raw, "numeric")[1][0]
    assert bad.reason == "numeric feature 'f' is 'é" + "é" * 98 + ", no finite number"
    assert bad.text == ('{"y": 1, "raw": "' + "é" * 5000)[:1000]


def test_a_name_with_braces_is_no_place_for_the_value() -> None:
    document = {"label": "y{}", "timestamp": "{t}", "features": [{"name": "f", "kind": "numeric"}]}
    raw = pl.DataFrame({"y{}": ["{}", "1"], "{t}": ["1", "{}"], "f": ["1", "1"]})
    bad = typed_rows(read_of(raw), parse_schema(document, source="test"), FILE)[1]
    assert [row.reason for row in bad] == [
        "label 'y{}' is '{}', neither 0 nor 1",
        "timestamp '{t}' is '{}', no time",
    ]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (pl.Series([b"\xff"]), str(b"\xff")),
        (pl.Series([None], dtype=pl.Int8), None),
        (pl.Series([2**100], dtype=pl.Int128), 2**100),
        (pl.Series(["1.5"]).cast(pl.Decimal(4, 2)), "1.50"),
        (pl.Series([datetime(2024, 1, 2, 3)]), "2024-01-02 03:00:00"),
        (pl.Series([time(1, 2)]), "01:02:00"),
        (pl.Series([["a", None]]), ["a", None]),
        (pl.Series([{"a": 1}]), {"a": 1}),
        (pl.Series(["日本\n"]), "日本\n"),
        (pl.Series([2**62]).cast(pl.Datetime("ms")), 2**62),
        (pl.Series([3_000_000], dtype=pl.Int32).cast(pl.Date), 3_000_000),
    ],
)
def test_the_text_of_a_row_is_json(value: pl.Series, shown: Any) -> None:
    raw = pl.DataFrame({"a": ["x", "y"], "b": pl.concat([value.clear(), value, value])})
    assert json.loads(row_text(raw, 1)) == {"a": "y", "b": shown}


def test_the_text_of_a_row_stays_readable() -> None:
    assert row_text(pl.DataFrame({"a": ["é日🙂"], "x": [1.5]}), 0) == '{"a": "é日🙂", "x": 1.5}'


def test_a_refused_row_is_counted_from_1() -> None:
    message = str(refuse(BadRow(4, "y", "label 'y' is 2, neither 0 nor 1", "{}"), FILE))
    assert message == (
        "log.csv, row 5: label 'y' is 2, neither 0 nor 1; mend the row, or give --on-bad-rows skip or quarantine"
    )
    assert isinstance(refuse(BadRow(4, None, "is not valid UTF-8", ""), FILE), DataError)


@pytest.mark.parametrize(
    ("raw", "kind", "message"),
    [
        (pl.Series([1.5]), "categorical", "is Float64, whose text is not stable; cast the column"),
        (pl.Series([[1]]), "categorical", "is List(Int64), whose text is not stable"),
        (pl.Series([b"x"]), "categorical", "is Binary"),
        (pl.Series([date(2024, 1, 1)]), "categorical", "is Date"),
        (pl.Series([{"a": 1}]), "categorical", "is Struct"),
        (pl.Series(["1"]).cast(pl.Decimal(3, 1)), "categorical", "is Decimal"),
        (pl.Series([date(2024, 1, 1)]), "numeric", "is Date; give numbers, or declare another kind"),
        (pl.Series([[1.0]]), "numeric", "is List(Float64); give numbers"),
        (pl.Series([b"1"]), "numeric", "is Binary; give numbers"),
        (pl.Series(["1"], dtype=pl.Categorical), "numeric", "is Categorical; give numbers"),
        (pl.Series([timedelta(1)]), "bucketized", "; give numbers, or declare another kind"),
        (pl.Series([1]), "sequence", "is Int64; give lists, or text with a separator"),
        (pl.Series(["a"], dtype=pl.Categorical), "multivalued", "is Categorical; give lists, or text with a"),
        (pl.Series([[1.5]]), "multivalued", "holds Float64; cast its elements to text or integers"),
        (pl.Series([[1.5]], dtype=pl.Array(pl.Float64, 1)), "sequence", "holds Float64; cast its elements"),
        (pl.Series([[["a"]]]), "sequence", "holds List(String); cast its elements"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("rows", [0, 1])
def test_a_type_that_a_kind_cannot_have_is_refused(raw: pl.Series, kind: str, message: str, rows: int) -> None:
    # Of a column, not of a value: a piece whose rows are all bad is refused too.
    with pytest.raises(SchemaError) as caught:
        split_up(raw[:rows], kind, **({"buckets": 2} if kind == "bucketized" else {}))
    assert str(caught.value).startswith(f"log.csv: {kind} feature 'f' ")
    assert message in str(caught.value)


@pytest.mark.parametrize("raw", [pl.Series([1.5]), pl.Series([[1]]), pl.Series([date(2024, 1, 1)])])
def test_a_group_without_a_stable_text_is_refused(raw: pl.Series) -> None:
    document = {"label": "y", "group": "g", "features": [{"name": "f", "kind": "numeric"}]}
    with pytest.raises(SchemaError, match=r"log\.csv: group 'g' is .*, whose text is not stable; cast the column"):
        typed_rows(read_of(pl.DataFrame({"y": [1], "g": raw, "f": [1]})), parse_schema(document, source="test"), FILE)


@pytest.mark.parametrize(
    "raw", [[[1]], [{"a": 1}], [b"1"], [date(1970, 1, 2)]], ids=["list", "struct", "bytes", "date"]
)
def test_a_label_of_another_type_is_refused(raw: list[Any]) -> None:
    frame = pl.DataFrame({"y": raw, "raw": [1.0]})
    with pytest.raises(SchemaError, match=r"log\.csv: label 'y' is .*; a label is 0 or 1"):
        typed_rows(read_of(frame), schema_of("numeric"), FILE)


def test_a_piece_whose_rows_are_all_bad_has_typed_columns() -> None:
    raw = pl.DataFrame(schema=dict.fromkeys(["y", "user", "time", "p", "number"], pl.String))
    bad = BadRow(3, None, "is not valid UTF-8", "?")
    found, all_bad = typed_rows(read_of(raw, bad=(bad,)), parse_schema(WHOLE, source="test"), FILE)
    assert all_bad == [bad]
    assert found.height == 0
    assert dict(found.schema) == {
        ROW: pl.Int64,
        LABEL: pl.UInt8,
        "user": pl.String,
        "n": pl.Float64,
        "b": pl.Float64,
        GROUP: pl.String,
        TIMESTAMP: pl.Int64,
        KEEP + "user": pl.String,
        KEEP + "p": pl.String,
    }
