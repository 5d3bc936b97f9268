"""Raw files: which a pattern names, and the rows they hold, whatever they are written in."""

import gzip
from pathlib import Path

import polars as pl
import pytest

from common.errors import DataError, SchemaError
from features import sources
from features.sources import RawFile, expand

FRAME = pl.DataFrame(
    {"id": ["007", "8", None], "word": ['a "b", c', "line\nbreak", "é🙂"], "n": ["1.50", "-0.0", None]}
)


def read(path: Path, *columns: str) -> list[dict[str, object]]:
    return [row for _, frame in RawFile(path, columns).batches() for row in frame.iter_rows(named=True)]


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
        write(log, name, gzip.compress(text.encode()) if name.endswith("gz") else text)
    # Leading zeros and trailing ones stay: a csv is text until the schema says what it means.
    assert read(path, "id", "word", "n") == FRAME.rows(named=True)
    assert RawFile(path, ["word"]).rows == 3


@pytest.mark.parametrize(
    "content", [b"\xef\xbb\xbfa,b\n1,2\n", b"a,b\r\n1,2\r\n", b"a,b\n1,2", b'"a","b"\n"1","2"\n', b"a,c,b\n1,x,2\n"]
)
def test_csv_dialects(log: Path, content: bytes) -> None:
    assert read(write(log, "x.csv", content), "a", "b") == [{"a": "1", "b": "2"}]


def test_an_empty_csv_field_is_missing_and_a_quoted_one_is_empty(log: Path) -> None:
    path = write(log, "x.csv", 'a,b\n,1\n"",2\n')
    assert read(path, "a", "b") == [{"a": None, "b": "1"}, {"a": "", "b": "2"}]


@pytest.mark.parametrize("name", ["x.csv", "x.parquet"])
def test_batches_follow_each_other(log: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "BATCH_ROWS", 300)
    frame = pl.DataFrame({"a": [str(i) for i in range(1000)], "b": ["x"] * 1000})
    if name.endswith("csv"):
        frame.write_csv(log / name)
    else:
        frame.write_parquet(log / name, row_group_size=70)
    file = RawFile(log / name, ["a", "b"])
    batches = list(file.batches(columns=["a"]))
    assert [first for first, _ in batches] == [0, 300, 600, 900]
    assert pl.concat([batch for _, batch in batches]).equals(frame.select("a"))
    assert file.rows == 1000


def test_only_the_named_columns_are_read(log: Path) -> None:
    path = write(log, "x.csv", "a,b,c\n1,2,3\n")
    assert read(path, "c", "a") == [{"c": "3", "a": "1"}]


def test_a_missing_column_names_the_nearest(log: Path) -> None:
    path = write(log, "x.csv", "click,user_id\n1,2\n")
    with pytest.raises(SchemaError, match=rf"{path} has no column 'user'; did you mean 'user_id'\?"):
        RawFile(path, ["click", "user"])
    with pytest.raises(SchemaError, match=rf"{path} has no column 'zzz'; known: click, user_id"):
        RawFile(path, ["zzz"])


def test_a_file_with_only_a_header_has_no_rows(log: Path) -> None:
    file = RawFile(write(log, "x.csv", "a,b\n"), ["a"])
    assert file.rows == 0
    assert list(file.batches()) == []


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
        ("x.csv.gz", gzip.compress(b"a\n1\n" * 50)[:-12], "cannot be read: .*; fetch or write it again"),
        ("x.csv.gz", gzip.compress(b""), "cannot be read: .*; fetch or write it again"),
        ("x.csv", b"a,b\n1,caf\xe9\n", "cannot be read: .*; fetch or write it again"),
        ("x.csv", b'a,b\n1,"open\n', "cannot be read: .*; fetch or write it again"),
        ("x.csv", b"a,b\n1,2,3\n", "cannot be read: .*; fetch or write it again"),
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


def test_a_row_with_too_many_fields_is_refused_though_few_columns_are_read(log: Path) -> None:
    # An unquoted comma shifts the values behind it.
    (log / "log.csv").write_text("a,b,c\n1,2,3\n4,5,6,7\n")
    with pytest.raises(DataError, match=r"log\.csv cannot be read: found more fields"):
        list(RawFile(log / "log.csv", ["a"]).batches())
