"""Rows of csv files: whatever is in them, each comes back once, as itself or as a bad row."""

import csv
import gzip
import io
import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from common.errors import DataError, SchemaError
from features.sources import _csv
from features.sources.piece import BadRow
from features.sources.raw_file import RawFile, read

Row = tuple[str | None, ...]

NAMES = ("a", "b", "c")
BLOCKS = st.sampled_from([1, 2, 3, 5, 8, 13, 1 << 20])


def texts(*parts: str, size: int) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(parts), max_size=size).map("".join)


_VALUES = texts("x", "7", " ", ",", '"', "\n", "\r\n", "é", "🙂", "\ufeff", "\t", "'", size=4)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("csv") / "x.csv"


def rows_of(path: Path, block: int, *columns: str) -> tuple[dict[int, Row], dict[int, BadRow]]:
    """Good and bad rows by their position, from a file cut into pieces of about so many bytes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_csv, "BLOCK", block)
        patch.setattr(_csv, "PIECE", block)
        file = RawFile(path, columns)
    good: dict[int, Row] = {}
    bad: dict[int, BadRow] = {}
    position = 0
    for piece in file.pieces:
        found = read(pickle.loads(pickle.dumps(piece)), columns)
        here = found.positions.to_list()
        assert found.positions.dtype == pl.Int64
        assert found.frame.schema == dict.fromkeys(columns, pl.String)
        assert sorted([*here, *(row.position for row in found.bad)]) == list(range(position, position + piece.rows))
        assert piece.first == position
        position += piece.rows
        good |= dict(zip(here, found.frame.rows(), strict=True))
        bad |= {row.position: row for row in found.bad}
    assert file.rows == position
    return good, bad


@st.composite
def files(draw: st.DrawFn) -> tuple[bytes, list[Row | None]]:
    """A file's bytes, and its rows; None where it has too few or too many fields."""
    end = draw(st.sampled_from(["\n", "\r\n"]))
    lines, rows = [",".join(NAMES)], []
    for _ in range(draw(st.integers(0, 8))):
        if draw(st.integers(0, 5)) == 0:
            lines.append("")
            continue
        width = draw(st.sampled_from([3, 3, 3, 3, 1, 2, 4, 5]))
        row: list[str | None] = []
        written = []
        for _ in range(width):
            value = draw(st.none() | _VALUES)
            quoted = value is not None and (not value or any(s in value for s in ',"\n\r') or draw(st.booleans()))
            row.append(value)
            written.append(f'"{value.replace(chr(34), 2 * chr(34))}"' if quoted and value is not None else value or "")
        if written != [""]:
            lines.append(",".join(written))
            rows.append(tuple(row) if width == 3 else None)
    text = end.join(lines) + (end if draw(st.booleans()) else "")
    return draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + text.encode(), rows


@given(files(), BLOCKS)
@settings(max_examples=200, deadline=None)
def test_every_row_comes_back_once(path: Path, file: tuple[bytes, list[Row | None]], block: int) -> None:
    content, rows = file
    path.write_bytes(content)
    good, bad = rows_of(path, block, *NAMES)
    assert good == {i: row for i, row in enumerate(rows) if row is not None}
    assert list(bad) == [i for i, row in enumerate(rows) if row is None]
    assert all(row.column is None and row.reason.endswith(", not 3") for row in bad.values())
    # Fewer columns, in another order: the same rows are good.
    few, also_bad = rows_of(path, block, "c", "a")
    assert few == {i: (row[2], row[0]) for i, row in good.items()}
    assert also_bad == bad


@given(texts("a", '"', '"', ",", ",", "\n", "\n", "\r\n", "é", size=40), BLOCKS)
@example('5" disk,1,2\n6" disk,3,4\n', 1)
@example('x"y,z"w,"\n"\n1,2,3', 3)
@example('"a"b,c",d\n1,2,"3"\n', 2)
@settings(max_examples=400, deadline=None)
def test_stray_quotes_are_read_as_pythons_reader_reads_them(path: Path, text: str, block: int) -> None:
    path.write_bytes(b"a,b,c\n" + text.encode())
    expected = [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    good, bad = rows_of(path, block, *NAMES)
    assert len(good) + len(bad) == len(expected)
    for position, row in enumerate(expected):
        if position in good:
            assert [value or "" for value in good[position]] == row
        elif "quote" in bad[position].reason:
            # Python's reader takes what follows a closing quote as more of the field, and the file's end as a quote.
            assert '"' in bad[position].text
        else:
            count = "1 field" if len(row) == 1 else f"{len(row)} fields"
            assert bad[position].reason == f"has {count}, not 3"
            assert len(row) != 3


@pytest.mark.parametrize(
    ("line", "column", "reason"),
    [
        (b"1,2", None, "has 2 fields, not 3"),
        (b"1,2,3,4", None, "has 4 fields, not 3"),
        (b'"1,2,3"', None, "has 1 field, not 3"),
        (b"1,caf\xe9,3", "b", "column 'b' is not valid UTF-8"),
        (b"1,2,3,caf\xe9", None, "is not valid UTF-8"),
        (b'1,"2"x,3', "b", "column 'b' has text after a closing quote"),
        (b'1,2,"3" ', "c", "column 'c' has text after a closing quote"),
        (b'1,"2"\r,3', "b", "column 'b' has text after a closing quote"),
        (b'1,2,"3', "c", "column 'c' has a quote that is never closed"),
    ],
)
@pytest.mark.parametrize("block", [1, 1 << 20])
def test_a_bad_row_says_what_is_wrong(path: Path, line: bytes, column: str | None, reason: str, block: int) -> None:
    path.write_bytes(b"a,b,c\n\n7,8,9\n" + line)
    good, bad = rows_of(path, block, "a")
    assert good == {0: ("7",)}
    assert bad == {1: BadRow(1, column, reason, line.decode(errors="replace"))}


def test_a_bad_row_is_shown_in_part(path: Path) -> None:
    path.write_text("a,b\n" + "🙂" * 2000 + "\n")
    assert rows_of(path, 100, "a")[1][0].text == "🙂" * 1000


def test_rows_that_balance_each_other_are_bad(path: Path) -> None:
    # As many separators as two good rows have.
    path.write_bytes(b"a,b,c\n1,2,3,4\n5,6\n7,8,9\n")
    good, bad = rows_of(path, 1 << 20, "a")
    assert good == {2: ("7",)}
    assert list(bad) == [0, 1]


@pytest.mark.parametrize(("quote", "stray"), [('"', '5" tv'), ('"', "tv"), ("", '5" tv'), ("", "tv")])
def test_a_bad_row_costs_no_other_of_a_large_piece(path: Path, quote: str, stray: str) -> None:
    lines = [f"{i},{quote}x {i}{quote},é" for i in range(5000)]
    lines[17], lines[4000], lines[4999] = f"17,{stray},é", "short", "1,2,3,4"
    path.write_text("a,b,c\n" + "\n".join(lines))
    good, bad = rows_of(path, 1 << 20, "b", "a")
    assert list(bad) == [4000, 4999]
    assert good == {i: (stray if i == 17 else f"x {i}", str(i)) for i in range(5000) if i not in bad}


def test_a_quote_that_swallows_the_file_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_csv, "BLOCK", 1 << 16)
    monkeypatch.setattr(_csv, "PIECE", 1 << 16)
    monkeypatch.setattr(_csv, "MAX_RECORD", 1 << 20)
    path.write_text('a,b\n1,2\n3,"' + "4,5\n" * 400_000)
    with pytest.raises(DataError, match=rf"^{path}, row 2 is longer than 1 MiB; a quote in it may never be closed"):
        RawFile(path, ["a"])
    path.write_text('a,"b\n' + "4,5\n" * 400_000)
    with pytest.raises(DataError, match=rf"^{path}, its header is longer than 1 MiB"):
        RawFile(path, ["a"])


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfa,b\n1,2\n",
        b"\xef\xbb\xbf\r\n\na,b\n1,2\n",
        b"a,b\r\n1,2\r\n",
        b"a,b\n1,2",
        b'"a","b"\n"1","2"\n',
        b"a,c,b\n1,x,2\n",
        b'a,b,"c\n""d"""\n1,2,3\n',
    ],
)
@pytest.mark.parametrize("block", [1, 1 << 20])
def test_dialects(path: Path, content: bytes, block: int) -> None:
    path.write_bytes(content)
    assert rows_of(path, block, "a", "b") == ({0: ("1", "2")}, {})


def test_an_empty_field_is_missing_and_a_quoted_one_is_empty(path: Path) -> None:
    path.write_text('a,b,c\n,1,\n"",2,""\n')
    assert rows_of(path, 1, "a", "b", "c")[0] == {0: (None, "1", None), 1: ("", "2", "")}


def test_blank_lines_are_no_rows(path: Path) -> None:
    path.write_text("a\n\n1\n\r\n\n\n2\n\n")
    assert rows_of(path, 1 << 20, "a")[0] == {0: ("1",), 1: ("2",)}
    path.write_text("a\n" + "\n" * 100)
    assert RawFile(path, ["a"]).pieces == []


def test_pieces_are_as_large_as_they_should_be(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_csv, "BLOCK", 100)
    monkeypatch.setattr(_csv, "PIECE", 1000)
    path.write_text("a,b\n" + "".join(f"{i},{'x' * 20}\n" for i in range(1000)))
    pieces = RawFile(path, ["a"]).pieces
    assert all(1000 <= piece.stop - piece.start < 1150 for piece in pieces[:-1])
    assert pieces[0].start == len("a,b\n")
    assert pieces[-1].stop == path.stat().st_size


def test_two_columns_of_one_name_are_refused(path: Path) -> None:
    path.write_text("a,b,a\n1,2,3\n")
    with pytest.raises(SchemaError, match=rf"^{path} has two columns 'a'; give each a name of its own"):
        RawFile(path, ["b"])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\n\r\n", "it has no header"),
        (b'a,"b\n1,2\n', "its header is damaged: unexpected end of data"),
        (b'a,"b"c\n1,2\n', "its header is damaged: "),
        (b"a,caf\xe9\n1,2\n", "its header is damaged: "),
    ],
)
def test_a_damaged_header_is_refused(path: Path, content: bytes, reason: str) -> None:
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"^{path} cannot be read: {reason}.*; fetch or write it again$"):
        RawFile(path, ["a"])


def numbered(path: Path, rows: int, block: int) -> RawFile:
    """A packed file in pieces."""
    text = "a,b\n" + "".join(f"{i},{i * i}\n" for i in range(rows))
    path.write_bytes(gzip.compress(text.encode()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_csv, "BLOCK", block)
        patch.setattr(_csv, "PIECE", block)
        return RawFile(path, ["a"])


def test_packed_pieces_are_read_in_any_order_and_by_many_threads(tmp_path: Path) -> None:
    files = [numbered(tmp_path / f"{name}.csv.gz", 2000, 1000) for name in "xy"]
    pieces = [piece for pair in zip(*(file.pieces for file in files), strict=True) for piece in pair]
    assert len(pieces) > 20

    def values(index: int) -> list[int]:
        return [int(a) for a in read(pieces[index], ["a"]).frame["a"]]

    expected = {i: list(range(piece.first, piece.first + piece.rows)) for i, piece in enumerate(pieces)}
    for order in (range(len(pieces)), range(len(pieces) - 1, -1, -1), [5, 5, 3, 20, 4, 4]):
        for i in order:
            assert values(i) == expected[i]
    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(values, range(len(pieces)))) == list(expected.values())


@pytest.fixture
def damaged(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "x.csv.gz"
    numbered(path, 2000, 1000)
    yield path
    with pytest.raises(DataError, match=rf"^{path} cannot be read: .*; fetch or write it again$"):
        RawFile(path, ["a"])


@pytest.mark.parametrize("cut", [1, 8, 200, 3000])
def test_a_truncated_packed_file_is_refused(damaged: Path, cut: int) -> None:
    damaged.write_bytes(damaged.read_bytes()[:-cut])


@pytest.mark.parametrize("where", [5000, -6])
def test_a_packed_file_with_a_flipped_byte_is_refused(damaged: Path, where: int) -> None:
    content = bytearray(damaged.read_bytes())
    content[where] ^= 0xFF
    damaged.write_bytes(content)


def test_a_csv_that_only_claims_to_be_packed_is_refused(damaged: Path) -> None:
    damaged.write_text("a,b\n1,2\n")


@pytest.mark.parametrize(
    "content",
    [
        b"a,b\n1,2\n3,4\n5,6\n",  # longer
        b"a,b\n1,2\n",  # shorter
        b"a,b\n1,2\n\n\n\n\n",  # as long, with fewer rows
        b"a,c\n1,2\n3,4\n",  # as long, with other columns
        b'b,"\n"\n1,2\n3',  # as long, with a longer header
    ],
)
def test_a_file_that_changed_since_it_was_cut_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(b"a,b\n1,2\n3,4\n")
    (piece,) = RawFile(path, ["a"]).pieces
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"^{path} changed while it was read; start again when it is written$"):
        read(piece, ["b"])


def test_a_file_that_is_gone_since_it_was_cut_is_refused(path: Path) -> None:
    path.write_bytes(b"a,b\n1,2\n")
    (piece,) = RawFile(path, ["a"]).pieces
    path.unlink()
    with pytest.raises(DataError, match=rf"^{path} cannot be read: .*No such file"):
        read(piece, ["b"])
