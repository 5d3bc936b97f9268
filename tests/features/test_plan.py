"""The plan: where parts begin."""

import gzip
from pathlib import Path

import polars as pl
import pytest

from features.preparation import plan
from features.preparation.plan import Inputs, make_plan
from features.schema import parse_schema
from features.sources import _csv, _parquet

SCHEMA = parse_schema({"label": "y", "features": [{"name": "x", "kind": "numeric"}]}, source="test")
FRAME = pl.DataFrame({"y": [0, 1] * 20, "x": range(40)})


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of four rows at least, pieces of two."""
    monkeypatch.setattr(plan, "PART_ROWS", 4)
    monkeypatch.setattr(_parquet, "PIECE_ROWS", 2)
    monkeypatch.setattr(_csv, "PIECE", 8)
    monkeypatch.setattr(_csv, "BLOCK", 8)


def parts(*files: Path) -> list[int]:
    """Rows of each part."""
    made = make_plan(SCHEMA, Inputs([str(file) for file in files]), lambda *_: None)
    assert [part.index for part in made.parts] == list(range(len(made.parts)))
    assert made.rows == sum(part.rows for part in made.parts)
    return [part.rows for part in made.parts]


def test_a_part_ends_with_a_row_group(tmp_path: Path) -> None:
    file = tmp_path / "log.parquet"
    FRAME.write_parquet(file, row_group_size=6)
    assert parts(file) == [6, 6, 6, 6, 6, 6, 4]


def test_a_part_of_a_large_row_group_ends_within_it(tmp_path: Path) -> None:
    file = tmp_path / "log.parquet"
    FRAME.write_parquet(file, row_group_size=40)
    assert parts(file) == [16, 16, 8]


def test_a_part_may_span_small_files(tmp_path: Path) -> None:
    files = [tmp_path / f"{i}.parquet" for i in range(4)]
    for file in files:
        FRAME.head(3).write_parquet(file)
    assert parts(*files) == [6, 6]


def test_a_packed_file_is_read_in_long_stretches(tmp_path: Path) -> None:
    text = FRAME.head(20).write_csv().encode()
    plain, packed = tmp_path / "log.csv", tmp_path / "log.csv.gz"
    plain.write_bytes(text)
    packed.write_bytes(gzip.compress(text, mtime=0))
    assert max(parts(plain)) < 8
    assert min(parts(packed)[:-1]) >= 16
