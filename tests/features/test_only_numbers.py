"""Columns of which only the numbers are wanted: read as numbers or as text, they mean the same."""

import tempfile
from pathlib import Path

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from features.encoding.typed import only_numbers, typed_rows
from features.schema import parse_schema
from features.sources.raw_file import RawFile, read

SCHEMA = parse_schema(
    {
        "label": "y",
        "timestamp": "t",
        "keep": ["kept"],
        "features": [
            {"name": "a", "kind": "numeric"},
            {"name": "b", "kind": "bucketized", "buckets": 2},
            {"name": "both", "kind": "numeric", "column": "c"},
            {"name": "text", "kind": "categorical", "column": "c"},
            {"name": "day", "kind": "numeric", "column": "t"},
            {"name": "same", "kind": "numeric", "column": "kept"},
        ],
    },
    source="test",
)
NUMBERS = st.sampled_from(
    ["", "0", "-0.0", "1.5", "1e3", " 7", "007", '" 2"', '""', "9007199254740993", "nan", "5e-324"]
)
OTHERS = st.sampled_from(["8 ", "x", "1e400", "-inf", "1_0", "0x10", "1;5", "\t3"])


def test_which_columns_they_are() -> None:
    assert only_numbers(SCHEMA) == {"a", "b"}


@given(st.lists(st.tuples(NUMBERS | OTHERS, NUMBERS), min_size=1, max_size=6), st.booleans())
def test_the_same_rows_and_the_same_bad_rows(rows: list[tuple[str, str]], plain: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        check(Path(folder) / "log.csv", rows, plain=plain)


def check(path: Path, rows: list[tuple[str, str]], *, plain: bool) -> None:
    text = "y,t,kept,c,a,b\n" + "".join(f"1,5,6,7,{a},{b}\n" for a, b in rows)
    path.write_text(text.replace('"', "") if plain else text)
    (piece,) = RawFile(path, SCHEMA.columns).pieces
    assert piece.plain or '"' in text
    as_text, as_numbers = (
        typed_rows(read(piece, SCHEMA.columns, numbers), SCHEMA, path) for numbers in ((), only_numbers(SCHEMA))
    )
    assert as_numbers[0].equals(as_text[0])
    assert as_numbers[0].schema == as_text[0].schema
    assert [(row.position, row.column) for row in as_numbers[1]] == [(row.position, row.column) for row in as_text[1]]


def test_they_are_read_as_numbers_where_all_are(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("y,t,kept,c,a,b\n1,5,6,7,1.5,\n")
    (piece,) = RawFile(path, SCHEMA.columns).pieces
    types = dict(read(piece, SCHEMA.columns, only_numbers(SCHEMA)).frame.schema)
    assert [name for name, dtype in types.items() if dtype == pl.Float64] == ["a", "b"]
    path.write_text("y,t,kept,c,a,b\n1,5,6,7,1.5,x\n")
    (piece,) = RawFile(path, SCHEMA.columns).pieces
    assert set(read(piece, SCHEMA.columns, only_numbers(SCHEMA)).frame.dtypes) == {pl.String()}
