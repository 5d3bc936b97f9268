"""What bad input gets: one sentence that names the place and the mend, and nothing left behind."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from common.errors import ConfigError, DataError, PlexrankError, SchemaError
from features.datasets.prepared import PreparedSet
from features.preparation.split import Fractions

Refuse = Callable[..., str]

MEND = "; mend the row, or give --on-bad-rows skip or quarantine"
GOOD = pl.DataFrame(
    {"y": [0, 1] * 10, "x": [float(i) for i in range(20)], "c": [f"c{i}" for i in range(20)], "t": range(20)}
)
NUMERIC = {"name": "x", "kind": "numeric"}
CATEGORICAL = {"name": "c", "kind": "categorical"}


@pytest.fixture
def refuse(log: Path, tmp_path: Path, prepare_set: Callable[..., PreparedSet]) -> Refuse:
    """Prepare what is in ``log`` and return the sentence that refuses it."""

    def run(error: type[PlexrankError], *features: dict[str, Any], timestamp: str | None = None, **options: Any) -> str:
        document = {"label": "y", "timestamp": timestamp, "features": features or [NUMERIC, CATEGORICAL]}
        with pytest.raises(PlexrankError) as caught:
            prepare_set(document, log, **options)
        assert caught.type is error
        assert list(tmp_path.iterdir()) == [log]
        message = str(caught.value)
        assert "\n" not in message
        return message

    return run


def append(log: Path, line: str) -> str:
    """A csv whose 21st row is the given one."""
    (log / "log.csv").write_text(GOOD.write_csv() + line + "\n")
    return f"{log}/log.csv, row 21: "


def replace(log: Path, **columns: Any) -> str:
    """A parquet file with other columns."""
    GOOD.with_columns(**columns).write_parquet(log / "log.parquet")
    return f"{log}/log.parquet"


def test_a_missing_column(log: Path, refuse: Refuse) -> None:
    GOOD.rename({"x": "X1", "c": "colour"}).write_csv(log / "log.csv")
    assert refuse(SchemaError, NUMERIC) == f"{log}/log.csv has no column 'x'; known: X1, colour, t, y"
    assert refuse(SchemaError, {"name": "color", "kind": "categorical"}).endswith("'color'; did you mean 'colour'?")


def test_a_column_missing_in_the_second_file(log: Path, refuse: Refuse) -> None:
    GOOD.write_csv(log / "a.csv")
    GOOD.drop("c").write_csv(log / "b.csv")
    assert refuse(SchemaError).startswith(f"{log}/b.csv has no column 'c'")


def test_text_in_a_numeric_column(log: Path, refuse: Refuse) -> None:
    where = append(log, "1,12 apples,c,1")
    message = f"{where}numeric feature 'x' is '12 apples', no finite number{MEND}"
    assert refuse(DataError, NUMERIC) == message
    # The same where the chain is fitted first.
    assert refuse(DataError, {**NUMERIC, "transforms": ["standardize"]}) == message


@pytest.mark.parametrize("value", ["inf", "-inf", "1e400", "-Infinity"])
def test_an_infinite_number(log: Path, refuse: Refuse, value: str) -> None:
    where = append(log, f"1,{value},c,1")
    assert refuse(DataError, NUMERIC) == f"{where}numeric feature 'x' is '{value}', no finite number{MEND}"


def test_an_infinite_float(log: Path, refuse: Refuse) -> None:
    file = replace(log, x=pl.when(pl.col("t") == 3).then(float("inf")).otherwise("x"))
    assert refuse(DataError) == f"{file}, row 4: numeric feature 'x' is inf, no finite number{MEND}"


@pytest.mark.parametrize(
    ("value", "chain"), [("3.5e38", []), ("-1e39", []), ("1e300", []), ("1.7e308", []), ("1e300", ["minmax"])]
)
def test_a_number_too_large_for_float32(log: Path, refuse: Refuse, value: str, chain: list[str]) -> None:
    # The value validates: the fitted transforms never saw it.
    GOOD.write_csv(log / "a.csv")
    (log / "valid").mkdir()
    (log / "valid" / "log.csv").write_text(f"y,x,c,t\n0,1,c,1\n1,{value},c,1\n")
    message = refuse(DataError, {**NUMERIC, "transforms": chain}, valid=[log / "valid"])
    assert message.startswith(f"{log}/valid/log.csv, row 2: numeric feature 'x' ")
    assert "mend" in message


@pytest.mark.parametrize("value", ["1e39", "1e300", "1.7e308"])
def test_a_training_number_too_large_for_float32(log: Path, refuse: Refuse, value: str) -> None:
    where = append(log, f"1,{value},c,1")
    message = refuse(DataError, NUMERIC, split={"fractions": Fractions(1, 0, 0)})
    assert message.startswith(f"{where}numeric feature 'x' ")
    assert "mend" in message


def test_log1p_takes_numbers_beyond_float32(log: Path, prepare_set: Callable[..., PreparedSet]) -> None:
    append(log, "1,1e60,c,1\n0,-1e60,c,1")
    document = {"label": "y", "features": [{**NUMERIC, "transforms": ["log1p", "standardize"]}]}
    found = pl.concat(prepare_set(document, log, split={"fractions": Fractions(1, 0, 0)}).shards("train"))
    assert found["x"].is_finite().all()


@pytest.mark.parametrize("transforms", [["standardize"], ["minmax"]])
def test_numbers_too_large_to_fit_to(log: Path, refuse: Refuse, transforms: list[str]) -> None:
    where = append(log, "1,1.7e308,c,1\n0,-1.7e308,c,1")
    message = refuse(DataError, {**NUMERIC, "transforms": transforms}, split={"fractions": Fractions(1, 0, 0)})
    assert message.startswith(f"{where}numeric feature 'x' ")


@pytest.mark.parametrize("transforms", [[], ["standardize"], ["log1p", "minmax"]])
def test_a_numeric_feature_without_a_value(log: Path, refuse: Refuse, transforms: list[str]) -> None:
    (log / "log.csv").write_text(GOOD.with_columns(x=None).write_csv())
    message = refuse(DataError, {**NUMERIC, "transforms": transforms})
    assert message == "numeric feature 'x' has no value in any training row; mend it, or remove it"


def test_a_bucketized_feature_without_a_value(log: Path, refuse: Refuse) -> None:
    (log / "log.csv").write_text(GOOD.with_columns(x=None).write_csv())
    message = refuse(DataError, {"name": "x", "kind": "bucketized", "edges": [1]})
    assert message == "bucketized feature 'x' has no value in any training row; mend it, or remove it"


def test_a_numeric_feature_without_a_value_that_trains(log: Path, refuse: Refuse) -> None:
    replace(log, x=pl.when(pl.col("t") >= 18).then("x"))
    assert "numeric feature 'x' has no value in any training row" in refuse(
        DataError, timestamp="t", split={"by": "time"}
    )


@pytest.mark.parametrize(
    ("written", "shown"), [("2", "'2'"), ("", "None"), ("yes", "'yes'"), ("nan", "'nan'"), ("0.5", "'0.5'")]
)
def test_a_label_that_is_not_0_or_1(log: Path, refuse: Refuse, written: str, shown: str) -> None:
    where = append(log, f"{written},1,c,1")
    assert refuse(DataError) == f"{where}label 'y' is {shown}, neither 0 nor 1{MEND}"


@pytest.mark.parametrize("value", [None, -1.0, float("nan"), 1e300])
def test_a_label_in_parquet_that_is_not_0_or_1(log: Path, refuse: Refuse, value: float | None) -> None:
    file = replace(log, y=pl.when(pl.col("t") == 5).then(pl.lit(value, pl.Float64)).otherwise("y"))
    assert refuse(DataError) == f"{file}, row 6: label 'y' is {value}, neither 0 nor 1{MEND}"


def test_a_float_column_as_categorical(log: Path, refuse: Refuse) -> None:
    file = replace(log)
    message = refuse(SchemaError, {"name": "x", "kind": "categorical"})
    assert message.startswith(f"{file}: categorical feature 'x' is Float64, whose text is not stable; cast the column")


def test_a_float_column_as_group(log: Path, prepare_set: Callable[..., PreparedSet]) -> None:
    replace(log)
    with pytest.raises(SchemaError, match="group 'x' is Float64, whose text is not stable; cast the column"):
        prepare_set({"label": "y", "group": "x", "features": [CATEGORICAL]}, log)


def test_a_sequence_that_is_no_list(log: Path, refuse: Refuse) -> None:
    file = replace(log)
    message = refuse(SchemaError, {"name": "t", "kind": "sequence"})
    assert message == f"{file}: sequence feature 't' is Int64; give lists, or text with a separator"


def test_an_empty_file(log: Path, refuse: Refuse) -> None:
    GOOD.write_csv(log / "a.csv")
    (log / "b.csv").touch()
    assert refuse(DataError) == f"{log}/b.csv is empty; remove it, or fetch it again"


@pytest.mark.parametrize("by", ["row", "time"])
def test_headers_only(log: Path, refuse: Refuse, by: str) -> None:
    for name in ("a.csv", "b.csv"):
        GOOD.head(0).write_csv(log / name)
    message = refuse(DataError, timestamp="t", split={"by": by})
    assert message == f"{log}/a.csv, {log}/b.csv: not one row; give files with rows"


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-100], lambda b: b[: len(b) // 2], lambda b: b"no parquet", lambda b: b[4:]]
)
def test_an_unreadable_parquet_file(log: Path, refuse: Refuse, damage: Callable[[bytes], bytes]) -> None:
    replace(log)
    (log / "log.parquet").write_bytes(damage((log / "log.parquet").read_bytes()))
    message = refuse(DataError)
    assert message.startswith(f"{log}/log.parquet cannot be read: ")
    assert message.endswith("; fetch or write it again")


def test_a_parquet_file_damaged_in_its_middle(log: Path, refuse: Refuse) -> None:
    pl.concat([GOOD] * 500).write_parquet(log / "log.parquet")
    content = bytearray((log / "log.parquet").read_bytes())
    content[50:250] = b"\xff" * 200
    (log / "log.parquet").write_bytes(content)
    assert refuse(DataError).startswith(f"{log}/log.parquet cannot be read: ")


def test_bytes_that_are_no_utf8(log: Path, refuse: Refuse) -> None:
    (log / "log.csv").write_bytes(GOOD.write_csv().encode() + b"1,1,caf\xe9,1\n")
    assert refuse(DataError) == f"{log}/log.csv, row 21: column 'c' is not valid UTF-8{MEND}"


@pytest.mark.parametrize("written", ["soon", "", "2024-02-31", "12:00"])
def test_a_bad_time(log: Path, refuse: Refuse, written: str) -> None:
    dated = GOOD.with_columns(t=pl.format("2024-01-{}", (pl.col("t") + 1).cast(pl.String).str.zfill(2)))
    (log / "log.csv").write_text(dated.write_csv() + f"1,1,c,{written}\n")
    shown = repr(written or None)
    expected = f"{log}/log.csv, row 21: timestamp 't' is {shown}, no time{MEND}"
    assert refuse(DataError, timestamp="t") == expected
    assert refuse(DataError, timestamp="t", split={"by": "time"}) == expected


def test_a_bad_time_among_integers(log: Path, refuse: Refuse) -> None:
    where = append(log, "1,1,c,soon")
    assert refuse(DataError, timestamp="t") == f"{where}timestamp 't' is 'soon', no time{MEND}"


def test_a_split_by_time_without_times(log: Path, refuse: Refuse) -> None:
    replace(log, t=pl.lit(5))
    assert refuse(DataError, timestamp="t", split={"by": "time"}) == "all rows have the same 't'; split by row instead"
    message = refuse(ConfigError, split={"by": "time"})
    assert message == "a split by time needs the schema's timestamp; add it, or split by row"
    assert "timestamp 'x' is Float64" in refuse(SchemaError, CATEGORICAL, timestamp="x", split={"by": "time"})


@pytest.mark.parametrize("options", [{"split": {}}, {"split": {"by": "time"}}])
@pytest.mark.parametrize("given", ["valid", "test"])
def test_given_files_with_another_split(log: Path, refuse: Refuse, given: str, options: dict[str, Any]) -> None:
    GOOD.write_csv(log / "a.csv")
    (log / "other").mkdir()
    GOOD.write_csv(log / "other" / "b.csv")
    message = refuse(ConfigError, timestamp="t", **{given: [log / "other"]}, **options)
    assert message == "--valid and --test already split the rows; drop --split and --split-by"


def test_no_row_that_trains(log: Path, refuse: Refuse) -> None:
    GOOD.head(0).write_csv(log / "a.csv")
    (log / "other").mkdir()
    GOOD.write_csv(log / "other" / "b.csv")
    message = refuse(DataError, CATEGORICAL, test=[log / "other"])
    assert message == "not one row trains; mend the split, or give more rows"


def test_no_file_matches(log: Path, tmp_path: Path, prepare_set: Callable[..., PreparedSet]) -> None:
    for pattern in (log, log / "*.csv", log / "gone.parquet"):
        with pytest.raises(DataError) as caught:
            prepare_set({"label": "y", "features": [NUMERIC]}, pattern)
        assert str(caught.value).startswith(f"no file matches {pattern}; give csv, tsv or parquet files")
    assert list(tmp_path.iterdir()) == [log]


def test_an_unknown_suffix(log: Path, prepare_set: Callable[..., PreparedSet]) -> None:
    (log / "log.json").write_text("{}")
    with pytest.raises(DataError, match=rf"^{log}/log\.json is neither csv, tsv nor parquet; convert it, or rename it"):
        prepare_set({"label": "y", "features": [NUMERIC]}, log / "log.json")


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ([NUMERIC, NUMERIC], "schema.yaml: feature 'x' is named twice; give each feature a name of its own"),
        (
            [{**NUMERIC, "trasforms": []}],
            "schema.yaml: unknown key 'trasforms' in features[0]; did you mean 'transforms'?",
        ),
        ([{**NUMERIC, "kind": "number"}], "schema.yaml: features[0]: kind 'number' is unknown; known: 'categorical'"),
        ([{"name": "y", "kind": "numeric"}], "schema.yaml: feature 'y' reads the label 'y'; remove it"),
    ],
)
def test_a_wrong_schema(log: Path, refuse: Refuse, features: list[dict[str, Any]], message: str) -> None:
    GOOD.write_csv(log / "log.csv")
    assert refuse(SchemaError, *features).startswith(message)


def test_a_fill_that_float32_cannot_hold(log: Path, refuse: Refuse) -> None:
    # Refused even where no prepared row is missing: a request's could be.
    replace(log)
    assert "missing" in refuse(SchemaError, {**NUMERIC, "missing": 1e39})


def test_a_column_whose_type_changes_between_files(log: Path, refuse: Refuse) -> None:
    GOOD.write_parquet(log / "a.parquet")
    GOOD.with_columns(pl.col("x").cast(pl.String)).write_parquet(log / "b.parquet")
    message = refuse(SchemaError)
    assert message == f"{log}/b.parquet: column 'x' is String, but Float64 in {log}/a.parquet; write it alike"


def test_a_row_with_too_few_fields(log: Path, refuse: Refuse) -> None:
    where = append(log, "1,2.5,c")
    assert refuse(DataError) == f"{where}has 3 fields, not 4{MEND}"


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 10**30])
def test_an_integer_that_overflows_a_time(log: Path, refuse: Refuse, value: int) -> None:
    where = append(log, f"1,1,c,{value}")
    assert refuse(DataError, timestamp="t") == f"{where}timestamp 't' is '{value}', no time{MEND}"


def test_an_unsigned_time_beyond_int64(log: Path, refuse: Refuse) -> None:
    file = replace(log, t=pl.lit(2**63, pl.UInt64))
    assert refuse(DataError, timestamp="t") == f"{file}, row 1: timestamp 't' is {2**63}, no time{MEND}"


def test_dates_among_integers(log: Path, refuse: Refuse) -> None:
    where = append(log, "1,1,c,2024-01-01")
    assert refuse(DataError, timestamp="t") == f"{where}timestamp 't' is '2024-01-01', no time{MEND}"
