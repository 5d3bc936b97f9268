"""Raw files: which a pattern names, and the rows they hold, whatever they are written in."""

import gzip
from pathlib import Path

import polars as pl
import pytest

from common.errors import DataError, SchemaError
from features.sources import raw_file
from features.sources.raw_file import RawFile, check_types, expand

FRAME = pl.DataFrame(
    {"id": ["007", "8", None], "word": ['a "b", c', "line\nbreak", "é🙂"], "n": ["1.50", "-0.0", None]}
)


def read(path: Path, *columns: str) -> list[dict[str, object]]:
    pieces = RawFile(path, columns).pieces
    return [row for piece in pieces for row in raw_file.read(piece, columns).frame.iter_rows(named=True)]


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_patterns_name_files_in_order_and_each_once(log: Path) -> None:
    for name in ("b.csv", "a.csv", "c.tsv", "d.parquet", "e.csv.gz", "readme.txt", "f.gz"):
        (log / name).touch()
    (log / "deep").mkdir()
    (log / "deep" / "z.csv").touch()

    def names(*patterns: str) -> list[str]:
        return [str(path.relative_to(log)) for path in expand([str(log / p) for p in patterns])]

    assert names("*.csv") == ["a.csv", "b.csv"]
    assert names("c.tsv", "*.csv", "[bc].*") == ["c.tsv", "a.csv", "b.csv"]
    # A folder gives what can be read in it, and nothing below it.
    assert names(".") == ["a.csv", "b.csv", "c.tsv", "d.parquet", "e.csv.gz"]
    assert names("**/*.csv") == ["a.csv", "b.csv", "deep/z.csv"]


@pytest.mark.parametrize("pattern", ["*.tsv", "none.csv", ""])
def test_a_pattern_that_names_nothing_is_refused(log: Path, pattern: str) -> None:
    with pytest.raises(DataError, match=f"no file matches {log}.*; give csv, tsv or parquet files"):
        expand([str(log / pattern)])


@pytest.mark.parametrize("name", ["x.csv", "x.tsv", "x.csv.gz", "x.tsv.gz", "x.parquet"])
def test_every_format_gives_the_same_rows(log: Path, name: str) -> None:
    path = log / name
    if path.suffix == ".parquet":
        FRAME.write_parquet(path)
    else:
        text = FRAME.write_csv(separator="\t" if "tsv" in name else ",")
        write(log, name, gzip.compress(text.encode(), mtime=0) if name.endswith("gz") else text)
    # Leading zeros and trailing ones stay: a csv is text until the schema says what it means.
    assert read(path, "id", "word", "n") == FRAME.rows(named=True)
    assert RawFile(path, ["word"]).rows == 3


def test_only_the_named_columns_are_read(log: Path) -> None:
    path = write(log, "x.csv", "a,b,c\n1,2,3\n")
    assert read(path, "c", "a") == [{"c": "3", "a": "1"}]
    assert RawFile(path, ["c", "a"]).dtypes == dict.fromkeys("abc", pl.String())


def test_a_missing_column_names_the_nearest(log: Path) -> None:
    path = write(log, "x.csv", "click,user_id\n1,2\n")
    with pytest.raises(SchemaError, match=rf"{path} has no column 'user'; did you mean 'user_id'\?"):
        RawFile(path, ["click", "user"])
    with pytest.raises(SchemaError, match=rf"{path} has no column 'zzz'; known: click, user_id"):
        RawFile(path, ["zzz"])


def test_a_file_with_only_a_header_has_no_rows(log: Path) -> None:
    file = RawFile(write(log, "x.csv", "a,b\n"), ["a"])
    assert file.rows == 0
    assert file.pieces == []


@pytest.mark.parametrize("name", ["log[1].csv", "what?.csv", "a*b.parquet"])
def test_a_name_with_glob_signs_is_read_as_it_stands(log: Path, name: str) -> None:
    frame = pl.DataFrame({"a": ["1"]})
    if name.endswith("csv"):
        frame.write_csv(log / name)
    else:
        frame.write_parquet(log / name)
    pl.DataFrame({"a": ["2"]}).write_csv(log / "log1.csv")
    found = [path for path in expand([str(log)]) if path.name == name]
    assert read(found[0], "a") == [{"a": "1"}]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("x.json", b"{}", "is neither csv, tsv nor parquet; convert it, or rename it"),
        ("x.parquet.gz", b"x", "is neither csv, tsv nor parquet"),
        ("x", b"a\n1\n", "is neither csv, tsv nor parquet"),
        ("x.csv", b"", "is empty; remove it, or fetch it again"),
        ("x.parquet", b"", "is empty; remove it, or fetch it again"),
        ("x.csv", b"\n", "cannot be read: .*; fetch or write it again"),
        ("x.parquet", b"PAR1 no parquet at all PAR1", "cannot be read: .*; fetch or write it again"),
        ("x.csv.gz", gzip.compress(b"a\n1\n" * 50, mtime=0)[:-12], "cannot be read: .*; fetch or write it again"),
        ("x.csv.gz", gzip.compress(b"", mtime=0), "cannot be read: .*; fetch or write it again"),
    ],
)
def test_a_damaged_file_is_refused(log: Path, name: str, content: bytes, reason: str) -> None:
    path = write(log, name, content)
    with pytest.raises(DataError, match=rf"^{path} {reason}") as caught:
        read(path, *(("a", "b") if b"b" in content[:4] else ("a",)))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_gone_is_refused(log: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.csv cannot be read: .*; fetch or write it again"):
        RawFile(log / "gone.csv", ["a"])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pl.Int8, pl.UInt64),
        (pl.Int64, pl.Float32),
        (pl.Decimal(10, 2), pl.Int32),
        (pl.String, pl.Categorical()),
        (pl.String, pl.Enum(["x"])),
        (pl.List(pl.Int8), pl.List(pl.Int64)),
        (pl.List(pl.Int8), pl.Array(pl.Float64, 2)),
        (pl.List(pl.List(pl.Int8)), pl.List(pl.List(pl.Int16))),
        (pl.Datetime("ms"), pl.Datetime("us", "UTC")),
        (pl.Null, pl.List(pl.String)),
        (pl.List(pl.Null), pl.List(pl.String)),
        (pl.Boolean, pl.Null),
    ],
)
def test_types_that_agree(log: Path, one: pl.DataType, other: pl.DataType) -> None:
    check_types([typed(log, "x", one), typed(log, "y", other)], ["a"])
    check_types([typed(log, "y", other), typed(log, "x", one)], ["a"])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pl.Int64, pl.String),
        (pl.Boolean, pl.Int8),
        (pl.Int64, pl.List(pl.Int64)),
        (pl.List(pl.Int64), pl.List(pl.String)),
        (pl.List(pl.Int64), pl.List(pl.List(pl.Int64))),
        (pl.Int64, pl.Datetime("us")),
        (pl.Date, pl.Datetime("us")),
        (pl.String, pl.Binary),
    ],
)
def test_a_column_whose_type_changes_is_refused(log: Path, one: pl.DataType, other: pl.DataType) -> None:
    csv = RawFile(write(log, "x.csv", "a\n1\n"), ["a"])
    files = [typed(log, "nulls", pl.Null()), csv, typed(log, "x", one), csv, typed(log, "y", other)]
    first, second = files[2].dtypes["a"], files[4].dtypes["a"]
    with pytest.raises(SchemaError) as caught:
        check_types(files, ["a"])
    assert str(caught.value) == (
        f"{log}/y.parquet: column 'a' is {second}, but {first} in {log}/x.parquet; write it alike"
    )
    check_types(files, [])


def typed(folder: Path, name: str, dtype: pl.DataType) -> RawFile:
    path = folder / f"{name}.parquet"
    pl.DataFrame(schema={"a": dtype}).write_parquet(path)
    file = RawFile(path, ["a"])
    assert file.dtypes == {"a": dtype}
    return file
