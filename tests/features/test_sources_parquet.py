"""Rows of Parquet files: pieces within row groups, read in any order, in the types that polars gives them."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from common.errors import DataError, SchemaError
from features.sources import _parquet
from features.sources.piece import BadRow
from features.sources.raw_file import RawFile, read

FRAME = pl.DataFrame(
    {"i": range(1000), "s": [f"s{i}" for i in range(1000)], "l": [[str(i)] * (i % 4) for i in range(1000)]}
)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Row groups of 300, 300, 300 and 100 rows, in pieces of at most 70."""
    monkeypatch.setattr(_parquet, "PIECE_ROWS", 70)
    FRAME.write_parquet(tmp_path / "x.parquet", row_group_size=300)
    return tmp_path / "x.parquet"


def test_pieces_lie_in_one_row_group_each(path: Path) -> None:
    file = RawFile(path, ["i"])
    assert [piece.rows for piece in file.pieces] == [70, 70, 70, 70, 20] * 3 + [70, 30]
    assert [piece.first for piece in file.pieces[:6]] == [0, 70, 140, 210, 280, 300]
    assert [(piece.start, piece.stop) for piece in file.pieces[4:6]] == [(280, 300), (300, 370)]
    assert file.rows == 1000


@pytest.mark.parametrize("columns", [["i"], ["l", "i"], ["s", "l", "i"]])
@pytest.mark.parametrize("order", [range(17), range(16, -1, -1), [3, 3, 4, 9, 8, 16, 5, 15]])
def test_pieces_are_read_in_any_order(path: Path, columns: list[str], order: Iterable[int]) -> None:
    pieces = RawFile(path, columns).pieces
    for i in order:
        found = read(pieces[i], columns)
        assert found.frame.equals(FRAME.select(columns)[pieces[i].first : pieces[i].stop])
        assert found.positions.to_list() == list(range(pieces[i].first, pieces[i].stop))
        assert found.positions.dtype == pl.Int64
        assert found.bad == []


def test_many_threads_read_many_files(path: Path) -> None:
    other = path.with_name("y.parquet")
    FRAME.with_columns(pl.col("i") + 1000).write_parquet(other, row_group_size=100)
    pieces = [piece for file in (RawFile(path, ["i"]), RawFile(other, ["i"])) for piece in file.pieces]
    order = [*range(0, len(pieces), 2), *range(1, len(pieces), 2)]
    with ThreadPoolExecutor(3) as threads:
        frames = threads.map(lambda i: read(pieces[i], ["i"]).frame["i"], order)
    assert sorted(value for frame in frames for value in frame) == list(range(2000))


def test_types_are_what_polars_wrote(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "category": pl.Series(["a", "b"], dtype=pl.Categorical),
            "enum": pl.Series(["a", "b"], dtype=pl.Enum(["b", "a"])),
            "null": [None, None],
            "datetime": [datetime(2024, 1, 2, 3), None],
            "zoned": pl.Series([datetime(2024, 1, 2, 3)] * 2).dt.replace_time_zone("Europe/Paris"),
            "date": [date(2024, 1, 2), None],
            "time": [time(3), None],
            "duration": [timedelta(3), None],
            "decimal": [Decimal("1.50"), None],
            "binary": [b"\xff", None],
            "bool": [True, None],
            "u8": pl.Series([1, 255], dtype=pl.UInt8),
            "f32": pl.Series([1.5, float("nan")], dtype=pl.Float32),
            "array": pl.Series([[1, 2], None], dtype=pl.Array(pl.Int64, 2)),
            "nested": [[["a"], []], None],
            "struct": [{"q": 1, "r": "x"}, {"q": None, "r": None}],
            "struct.q": ["dot", "ted"],
        }
    )
    path = tmp_path / "x.parquet"
    frame.write_parquet(path)
    file = RawFile(path, frame.columns)
    assert file.dtypes == dict(frame.schema)
    assert read(file.pieces[0], frame.columns).frame.equals(frame)
    for name in frame.columns:
        assert read(file.pieces[0], [name]).frame.equals(frame.select(name))


def test_text_that_is_no_utf8_is_a_bad_row(path: Path) -> None:
    raw = pa.array([b"a", b"caf\xe9", None, b"\xf0\x9f\x99\x82", b"\xff"])
    text = pa.StringArray.from_buffers(len(raw), *raw.buffers()[1:], raw.buffers()[0])
    lists = pa.ListArray.from_arrays([0, 1, 2, 3, 4, 5], text.take(pa.array([3, 0, 0, 4, 0])))
    pq.write_table(pa.table({"t": text, "n": range(5), "l": lists}), path)
    (piece,) = RawFile(path, ["t", "n", "l"]).pieces
    found = read(piece, ["n", "t", "l"])
    assert found.frame.rows() == [(0, "a", ["🙂"]), (2, None, ["a"])]
    assert found.positions.to_list() == [0, 2]
    assert found.bad == [
        BadRow(1, "t", "column 't' is not valid UTF-8", '{"n": 1, "l": ["a"]}'),
        BadRow(3, "l", "column 'l' is not valid UTF-8", '{"n": 3, "t": "🙂"}'),
        BadRow(4, "t", "column 't' is not valid UTF-8", '{"n": 4, "l": ["a"]}'),
    ]


def test_no_row(path: Path) -> None:
    FRAME.clear().write_parquet(path)
    file = RawFile(path, ["l"])
    assert (file.rows, file.pieces) == (0, [])
    assert file.dtypes == dict(FRAME.schema)


def test_two_columns_of_one_name_are_refused(path: Path) -> None:
    pq.write_table(pa.table([[1], [2], [3]], names=["a", "b", "a"]), path)
    with pytest.raises(SchemaError, match=rf"^{path} has two columns 'a'; give each a name of its own"):
        RawFile(path, ["b"])


def test_a_file_that_changed_since_it_was_cut_is_refused(path: Path) -> None:
    content = path.read_bytes()
    pieces = RawFile(path, ["i"]).pieces
    path.write_bytes(content + b"\n")
    with pytest.raises(DataError, match=rf"^{path} changed while it was read; start again when it is written$"):
        read(pieces[0], ["i"])
    # As large, with other columns, or fewer rows.
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"^{path} changed while it was read"):
        read(pieces[0], ["j"])
    FRAME.head(500).write_parquet(path)
    resized = [replace(piece, size=path.stat().st_size) for piece in pieces]
    assert read(resized[0], ["i"]).frame["i"].to_list() == list(range(70))
    with pytest.raises(DataError, match=rf"^{path} changed while it was read"):
        read(resized[-1], ["i"])


def test_a_damaged_file_is_refused_or_read(path: Path) -> None:
    content = path.read_bytes()
    refusals = []
    for i in range(60):
        damaged = bytearray(content)
        where = len(content) * i // 60
        damaged[where : where + 60] = bytes((i * 37 + j * 11) % 256 for j in range(60))
        path.write_bytes(damaged[: len(content)])
        refusals += _refusal(path)
    assert len(refusals) > 10
    for message in refusals:
        assert message.startswith(f"{path} cannot be read: ")
        assert message.endswith("; fetch or write it again")
        assert "\n" not in message


def _refusal(path: Path) -> list[str]:
    try:
        for piece in RawFile(path, FRAME.columns).pieces:
            read(piece, FRAME.columns)
    except DataError as problem:
        return [str(problem)]
    return []
