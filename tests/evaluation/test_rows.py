"""Prediction files of any system become checked rows, or one sentence that says what is wrong and where."""

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from common.errors import ConfigError, DataError, SchemaError
from evaluation.rows.columns import Columns
from evaluation.rows.files import PredictionFiles
from evaluation.rows.rows import MISSING, Rows
from evaluation.rows.source import rows_of

COLUMNS = Columns(
    label="click", score="p", group="user", request="request", weight="w", time="at", slices=("country",), others=("q",)
)
FRAME = pl.DataFrame(
    {
        "click": [1, 0, 0, 1],
        "p": [0.5, 0.25, 0.125, 1.0],
        "user": ["u1", "u2", "u1", "7"],
        "request": [1, 1, 2, 2],
        "w": [1.0, 2.0, 0.0, 0.5],
        "at": ["2026-11-21 08:30:00", "2026-11-21 09:00:00", "2026-11-22 00:00:00", "2026-11-22 23:59:59"],
        "country": ["de", None, "fr", "de"],
        "q": [0.5, 1.5, 2.5, 3.5],
    }
)


def _written(folder: Path, frame: pl.DataFrame, suffix: str) -> str:
    path = folder / f"scores{suffix}"
    if suffix == ".parquet":
        frame.write_parquet(path)
    else:
        frame.write_csv(path, separator="\t" if suffix == ".tsv" else ",")
    return str(path)


def _read(path: str, columns: Columns = COLUMNS) -> Rows:
    files = PredictionFiles([path], columns.all, columns.numbers)
    (rows,) = rows_of(files, columns)
    return rows


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_every_kind_of_file_gives_the_same_rows(tmp_path: Path, suffix: str) -> None:
    rows = _read(_written(tmp_path, FRAME, suffix))
    assert rows.labels.tolist() == [True, False, False, True]
    assert rows.scores[0].tolist() == FRAME["p"].to_list()
    assert rows.weights is not None
    assert rows.weights.tolist() == FRAME["w"].to_list()
    assert rows.others["q"].tolist() == FRAME["q"].to_list()
    assert rows.slices["country"].to_list() == ["de", MISSING, "fr", "de"]
    assert rows.groups is not None
    assert len(set(rows.groups.tolist())) == 3
    assert rows.groups[0] == rows.groups[2]
    assert rows.requests is not None
    assert rows.requests[0] == rows.requests[1] != rows.requests[2]
    assert rows.times is not None
    assert rows.times[0] == int(datetime.datetime(2026, 11, 21, 8, 30, tzinfo=datetime.UTC).timestamp()) * 10**6


def test_text_keys_are_the_same_in_every_file(tmp_path: Path) -> None:
    of_csv, of_parquet = (_read(_written(tmp_path, FRAME, suffix)).groups for suffix in (".csv", ".parquet"))
    assert of_csv is not None
    assert of_parquet is not None
    np.testing.assert_array_equal(of_csv, of_parquet)


@pytest.mark.parametrize("dtype", [pl.Int32, pl.UInt64, pl.Decimal(20, 0)])
def test_integer_keys_are_the_same_in_every_file(tmp_path: Path, dtype: Any) -> None:
    keys = [5, 77, 5, 2**63 + 1 if dtype == pl.UInt64 else 6]
    frame = FRAME.with_columns(user=pl.Series(keys, dtype=dtype))
    of_csv, of_parquet = (_read(_written(tmp_path, frame, suffix)).groups for suffix in (".csv", ".parquet"))
    assert of_csv is not None
    assert of_parquet is not None
    np.testing.assert_array_equal(of_csv, of_parquet)


def test_text_is_another_key_than_the_number_it_resembles(tmp_path: Path) -> None:
    frame = FRAME.with_columns(user=pl.Series(["7", "007", "+7", " 7"]))
    groups = _read(_written(tmp_path, frame, ".parquet")).groups
    assert groups is not None
    assert len(set(groups.tolist())) == 4


@pytest.mark.parametrize("dtype", [pl.Categorical, pl.Enum(["0", "1", "de", "fr"]), pl.Binary])
def test_text_of_every_kind_is_text(tmp_path: Path, dtype: Any) -> None:
    frame = FRAME.with_columns(pl.col("click").cast(pl.String).cast(dtype), pl.col("country").cast(dtype))
    rows = _read(_written(tmp_path, frame, ".parquet"))
    assert rows.labels.tolist() == [True, False, False, True]
    assert rows.slices["country"].to_list() == ["de", MISSING, "fr", "de"]


def test_several_files_are_one_table(tmp_path: Path) -> None:
    for i in range(3):
        FRAME.with_columns(p=pl.lit(i / 4)).write_parquet(tmp_path / f"part-{i}.parquet")
    files = PredictionFiles([str(tmp_path)], ["click", "p"], ["p"])
    assert files.rows == 12
    chunks = list(rows_of(files, Columns(label="click", score="p")))
    assert np.concatenate([rows.scores[0] for rows in chunks]).tolist() == [0.0] * 4 + [0.25] * 4 + [0.5] * 4


def test_float32_scores_stay_float32(tmp_path: Path) -> None:
    rows = _read(_written(tmp_path, FRAME.with_columns(pl.col("p").cast(pl.Float32)), ".parquet"))
    assert rows.scores[0].dtype == np.float32


@pytest.mark.parametrize(
    ("times", "microseconds"),
    [
        (pl.Series([1_700_000_000]), 1_700_000_000_000_000),
        (pl.Series([1_700_000_000_000]), 1_700_000_000_000_000),
        (pl.Series([1_700_000_000_000_000]), 1_700_000_000_000_000),
        (pl.Series([1_700_000_000_000_000_999]), 1_700_000_000_000_000),
        (pl.Series([-86_400]), -86_400_000_000),
        (pl.Series([1_700_000_000], dtype=pl.UInt64), 1_700_000_000_000_000),
        (pl.Series([datetime.date(1970, 1, 2)]), 86_400_000_000),
        (pl.Series([datetime.datetime(1970, 1, 1, 1)]), 3_600_000_000),
        (pl.Series(["1970-01-02"]), 86_400_000_000),
        (pl.Series(["1970-01-01T00:00:01.5Z"]), 1_500_000),
        (pl.Series(["1970-01-01 00:00:01+00:00"]), 1_000_000),
        (pl.Series(["1700000000"]), 1_700_000_000_000_000),
    ],
)
def test_times_of_every_kind(times: pl.Series, microseconds: int) -> None:
    frame = pl.DataFrame({"label": [1], "score": [0.5], "at": times})
    rows = Rows.of(frame, Columns(time="at"), str)
    assert rows.times is not None
    assert rows.times.tolist() == [microseconds]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("p", float("nan"), ["score", "is no finite number"]),
        ("p", None, ["score", "is missing"]),
        ("click", 2, ["label", "'2' is neither 0 nor 1"]),
        ("click", None, ["label", "is missing"]),
        ("w", -1.0, ["weight", "'-1.0' is negative"]),
        ("w", float("inf"), ["weight", "no finite number"]),
        ("w", 1e70, ["weight", "is too extreme"]),
        ("user", None, ["group", "is missing"]),
        ("at", "yesterday", ["time", "'yesterday' is no date"]),
    ],
)
def test_a_wrong_value_is_named_with_its_file_row_and_column(
    tmp_path: Path, suffix: str, column: str, value: Any, words: list[str]
) -> None:
    values = FRAME[column].to_list()
    values[2] = value
    path = _written(tmp_path, FRAME.with_columns(pl.Series(column, values)), suffix)
    with pytest.raises(DataError) as problem:
        _read(path)
    for word in [f"{path} row 3", repr(column), *words]:
        assert word in str(problem.value)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_group_column_of_floats_is_refused(tmp_path: Path, suffix: str) -> None:
    path = _written(tmp_path, FRAME.with_columns(user=pl.Series([1.0, 2.0, 1.0, 7.0])), suffix)
    with pytest.raises(DataError, match="group column 'user' holds floats"):
        _read(path)


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="no column 'clicked'; did you mean 'click'"):
        PredictionFiles([_written(tmp_path, FRAME, ".csv")], ["clicked"])


def test_a_row_with_too_many_fields_is_named(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("label,score\n1,0.5\n0,0.5,9\n")
    files = PredictionFiles([str(path)], ["label", "score"], ["score"])
    with pytest.raises(DataError, match=r"scores.csv row 2 has 3 fields"):
        list(rows_of(files, Columns()))


def test_one_column_is_not_two_things() -> None:
    with pytest.raises(ConfigError, match="both label and score"):
        Columns(label="click", score="click")


@pytest.mark.parametrize("column", ["click", "p", "user", "w", "at", "country"])
@pytest.mark.parametrize(
    "values",
    [
        pl.Series([[1], [2], [3], [4]]),
        pl.Series([datetime.timedelta(1)] * 4),
        pl.Series([b"a", b"b", b"\xff", b"c"]),
    ],
)
def test_what_is_neither_a_number_nor_text_is_refused(tmp_path: Path, column: str, values: pl.Series) -> None:
    path = _written(tmp_path, FRAME.with_columns(values.alias(column)), ".parquet")
    with pytest.raises(DataError, match=f"column '{column}' holds .*; give"):
        _read(path)


def test_a_time_that_no_integer_holds_is_refused() -> None:
    frame = pl.DataFrame({"label": [1], "score": [0.5], "at": pl.Series([2**63], dtype=pl.UInt64)})
    with pytest.raises(DataError, match=r"time .* is too great"):
        Rows.of(frame, Columns(time="at"), str)


def test_a_column_named_twice_is_read_once(tmp_path: Path) -> None:
    files = PredictionFiles([_written(tmp_path, FRAME, ".parquet")], ["click", "p", "click"])
    ((frame, _),) = files.frames()
    assert frame.columns == ["click", "p"]
