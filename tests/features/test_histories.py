import gzip
import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import ConfigError, DataError, PlexrankError, SchemaError
from features.histories import _part_files
from features.histories.histories import Histories, History, write_histories
from features.simulation.simulation import simulate
from features.sources.piece import Read

CLICKS = History(user="user", item="ad", time="time", where=("click=1",), name="clicked", max_length=3)
FILE = Path("log.csv")

LOG = pl.DataFrame(
    {
        "time": [1, 2, 2, 2, 3, 3, 5, 5],
        "user": ["a", "a", "a", "b", "a", None, "b", ""],
        "ad": [10, 11, 12, 10, 13, 14, 15, 16],
        "click": [1, 1, 1, 1, 0, 1, 1, 1],
        "x": pl.Series([0] * 8, dtype=pl.Int32),
    }
)
HISTORIES: list[list[int]] = [[], [10], [10], [], [10, 11, 12], [], [10], []]


def extend(histories: Histories, frame: pl.DataFrame, file: Path = FILE) -> pl.DataFrame:
    rows, bad = histories.extend(Read(frame, pl.int_range(frame.height, eager=True), []), file)
    assert bad == []
    return rows


def read_all(output: Path) -> pl.DataFrame:
    return pl.concat(pl.read_parquet(path) for path in sorted(output.glob("*.parquet")))


def by_definition(log: pl.DataFrame, history: History) -> tuple[list[list[Any]], list[int]]:
    rows = list(log.select("user", "time", "ad", "click").iter_rows())
    before = [
        [ad for u, t, ad, click in rows if u == user and t < time and click == 1 and ad not in ("", None)]
        if user not in ("", None)
        else []
        for user, time, _, _ in rows
    ]
    return [whole[-history.max_length :] for whole in before], [len(whole) for whole in before]


@st.composite
def logs(draw: st.DrawFn) -> pl.DataFrame:
    text = draw(st.booleans())
    values = st.sampled_from(["", "x", "7", "ü", "x y"]) if text else st.sampled_from([7, -1, 2**63 - 1])
    row = st.tuples(st.integers(0, 6), st.none() | values, st.none() | values, st.integers(0, 1) | st.none())
    rows = draw(st.lists(row, max_size=40).map(lambda rows: sorted(rows, key=lambda row: row[0])))
    kind = pl.String if text else pl.Int64
    return pl.DataFrame(
        rows, schema={"time": pl.Int64, "user": kind, "ad": kind, "click": pl.Int8}, orient="row"
    ).with_row_index("n")


@settings(deadline=None)
@given(data=st.data(), log=logs(), max_length=st.integers(1, 5))
def test_histories_are_what_the_definition_says_however_rows_are_cut(
    data: st.DataObject, log: pl.DataFrame, max_length: int
) -> None:
    history = replace(CLICKS, max_length=max_length)
    cuts = data.draw(st.lists(st.integers(0, log.height), max_size=8))
    histories = Histories(history)
    parts = [extend(histories, log[a:b]) for a, b in pairwise([0, *sorted(cuts), log.height])]
    made = pl.concat(parts)
    assert made.select(log.columns).equals(log)
    assert made["clicked"].dtype == pl.List(log["ad"].dtype)
    wanted, lengths = by_definition(log, history)
    assert made["clicked"].to_list() == wanted
    assert made["clicked_length"].to_list() == lengths
    acts = log.filter((pl.col("click") == 1) & ~pl.col("ad").cast(pl.String).is_in(["", None], nulls_equal=True))
    assert histories.behaviours == acts.filter(pl.col("user").cast(pl.String) != "").height


@pytest.mark.parametrize("kind", [pl.String, pl.Categorical, pl.Enum([str(i) for i in range(10, 17)])])
def test_items_of_any_kind_of_text(kind: Any) -> None:
    made = extend(Histories(CLICKS), LOG.with_columns(pl.col("ad").cast(pl.String).cast(kind)))
    assert made["clicked"].to_list() == [[str(item) for item in items] for items in HISTORIES]
    assert made["ad"].dtype == kind


def test_without_conditions_every_row_is_a_behaviour() -> None:
    made = extend(Histories(History("user", "ad", "time")), LOG)
    assert made.columns == [*LOG.columns, "history", "history_length"]
    assert made["history"].to_list() == HISTORIES
    later = extend(
        Histories(History("user", "ad", "time")), pl.concat([LOG, LOG.with_columns(time=pl.lit(9, pl.Int64))])
    )
    assert later["history"][8].to_list() == [10, 11, 12, 13]


def test_all_conditions_must_hold() -> None:
    made = extend(Histories(History("user", "ad", "time", ("click=1", "ad>=12"))), LOG)
    assert made["history"][4].to_list() == [12]


def test_a_user_who_is_null_in_all_rows() -> None:
    made = extend(Histories(CLICKS), LOG.with_columns(user=None))
    assert made["clicked_length"].to_list() == [0] * LOG.height


TIMES: list[pl.Expr] = [
    pl.col("time").cast(pl.UInt8),
    pl.col("time").cast(pl.String),
    pl.from_epoch("time"),
    pl.from_epoch("time").dt.replace_time_zone("UTC").cast(pl.Datetime("ms", "UTC")),
    pl.from_epoch("time").dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
    pl.from_epoch("time", "d").cast(pl.Date),
]


@pytest.mark.parametrize("times", TIMES, ids=str)
def test_times_of_every_kind(times: pl.Expr) -> None:
    log = LOG.with_columns(times.alias("time"))
    made = extend(Histories(CLICKS), log)
    assert made["clicked"].to_list() == HISTORIES
    since = str(log["time"][4]) if not log["time"].dtype.is_temporal() else log["time"].cast(pl.Datetime)[4].isoformat()
    made = extend(Histories(CLICKS, since=since), log)
    assert made["clicked"].to_list() == HISTORIES[4:]
    assert made.select(log.columns).equals(log[4:])


@pytest.mark.parametrize(
    ("times", "since", "message"),
    [
        (TIMES[0], "2026-01-05", r"^since '2026-01-05' is not of the kind of 'time' in log.csv; give a whole number$"),
        (
            TIMES[2],
            "5",
            r"^since '5' is not of the kind of 'time' in log.csv; give a date such as 2026-01-05T00:00:00$",
        ),
        (TIMES[4], "soon", r"^since 'soon' is not of the kind of 'time' in log.csv; give a date"),
    ],
    ids=str,
)
def test_since_must_be_of_the_times_kind(times: pl.Expr, since: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        extend(Histories(CLICKS, since=since), LOG.with_columns(times.alias("time")))


def test_a_time_that_falls() -> None:
    histories = Histories(CLICKS)
    with pytest.raises(
        DataError, match=r"^log.csv, row 3: 'time' is 4, earlier than 5 of the row before; sort the file by 'time'$"
    ):
        extend(histories, LOG[:4].with_columns(time=pl.Series([1, 5, 4, 6])))
    histories = Histories(CLICKS)
    extend(histories, LOG)
    with pytest.raises(
        DataError, match=r"^log.csv, row 1: 'time' is 1, earlier than 5 of the row before; sort the file"
    ):
        extend(histories, LOG)
    message = (
        r"^new.csv, row 1: 'time' is 1, earlier than 5 at the end of log.csv; "
        r"give the files in the order of time, or sort all by 'time'$"
    )
    with pytest.raises(DataError, match=message):
        extend(histories, LOG, Path("new.csv"))


def test_times_as_far_apart_as_there_are() -> None:
    log = LOG[:2].with_columns(time=pl.Series([-(2**63), 2**63 - 1]))
    assert extend(Histories(CLICKS), log)["clicked"].to_list() == [[], [10]]


def test_bad_rows_come_back_and_are_in_no_history() -> None:
    text = LOG.with_columns(pl.all().cast(pl.String)).with_columns(
        time=pl.Series(["1", "x", None, "2", "3", "3", "5", "5"]),
        click=pl.Series(["1", "1", "1", "1", "no", "1", "1", "1"]),
    )
    history = History("user", "ad", "time", ("click>0",))
    rows, bad = Histories(history).extend(Read(text, pl.int_range(10, 18, eager=True), []), FILE)
    assert rows["ad"].to_list() == ["10", "10", "14", "15", "16"]
    assert rows["history"].to_list() == [[], [], [], ["10"], []]
    assert [(row.position, row.column, row.reason) for row in bad] == [
        (11, "time", "'time' is 'x', no time"),
        (12, "time", "'time' is None, no time"),
        (14, "click", "'click' is 'no', no number, as click>0 needs"),
    ]
    assert json.loads(bad[0].text) == {"time": "x", "user": "a", "ad": "11", "click": "1", "x": "0"}


def test_columns_of_impossible_types() -> None:
    with pytest.raises(SchemaError, match=r"^log.csv: column 'ad' is Float64; users and items are text or integers"):
        extend(Histories(CLICKS), LOG.with_columns(pl.col("ad").cast(pl.Float64)))
    with pytest.raises(SchemaError, match=r"timestamp 'time' is Float64; give integers, datetimes or ISO 8601 text"):
        extend(Histories(CLICKS), LOG.with_columns(pl.col("time").cast(pl.Float64)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_length": 0}, r"max_length is 0; give a whole number from 1"),
        ({"where": ("click",)}, r"'click' is no COLUMN"),
    ],
)
def test_definitions_that_are_none(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(CLICKS, **change)


def write_log(folder: Path, kind: str) -> None:
    """The log in two files."""
    for number, part in enumerate([LOG[:3], LOG[3:]]):
        path = folder / f"{number}.{kind}"
        if kind == "parquet":
            part.write_parquet(path, row_group_size=2)
        elif kind == "csv.gz":
            path.write_bytes(gzip.compress(part.write_csv().encode()))
        else:
            part.write_csv(path, separator="\t" if kind == "tsv" else ",")


@pytest.mark.parametrize("kind", ["csv", "tsv", "csv.gz", "parquet"])
def test_files_of_every_kind(log: Path, tmp_path: Path, kind: str) -> None:
    write_log(log, kind)
    seen: list[tuple[str, int, int]] = []
    made = write_histories([str(log)], tmp_path / "out", CLICKS, progress=lambda *now: seen.append(now))
    table = read_all(tmp_path / "out")
    assert table.columns == [*LOG.columns, "clicked", "clicked_length"]
    assert table["clicked"].cast(pl.List(pl.Int64)).to_list() == HISTORIES
    assert table.select(pl.col(LOG.columns).cast(pl.String)).equals(LOG.select(pl.all().cast(pl.String)))
    assert made.files == tuple((tmp_path / "out").iterdir())
    assert (made.rows, made.behaviours, made.bad_rows, made.empty, made.cut) == (8, 5, 0, 4, 0)
    files = len(list(log.iterdir()))
    assert seen[: files + 2] == [*(("scan", done, files) for done in range(files + 1)), ("histories", 0, 8)]
    assert seen[files + 1 :] == sorted(seen[files + 1 :])
    assert seen[-1] == ("histories", 8, 8)


@pytest.mark.parametrize(("rows", "files"), [(1, 5), (3, 3), (5, 2), (100, 1)])
def test_the_output_is_cut_into_files_in_order(
    log: Path, tmp_path: Path, rows: int, files: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_part_files, "_FILE_ROWS", rows)
    write_log(log, "parquet")
    made = write_histories([str(log)], tmp_path / "out", CLICKS)
    assert len(made.files) == files
    assert pl.concat(pl.read_parquet(path) for path in made.files).select(LOG.columns).equals(LOG)
    assert sorted(made.files) == list(made.files)


def test_since_and_cut_histories(log: Path, tmp_path: Path) -> None:
    write_log(log, "csv")
    short = History("user", "ad", "time", ("click=1",), max_length=2)
    made = write_histories([str(log)], tmp_path / "out", short, since="3")
    table = read_all(tmp_path / "out")
    assert table["time"].to_list() == ["3", "3", "5", "5"]
    assert table["history"].to_list() == [["11", "12"], [], ["10"], []]
    assert table["history_length"].to_list() == [3, 0, 1, 0]
    assert (made.rows, made.behaviours, made.empty, made.cut) == (4, 5, 2, 1)


@pytest.mark.parametrize("policy", ["skip", "quarantine"])
def test_bad_rows(log: Path, tmp_path: Path, policy: Any) -> None:
    lines = LOG.write_csv().splitlines()
    lines[2:2] = ["1,a,99", "soon,a,98,1,0"]
    (log / "log.csv").write_text("\n".join(lines))
    with pytest.raises(
        DataError, match=r"log.csv, row 2: has 3 fields, not 5; mend the row, or give --on-bad-rows skip"
    ):
        write_histories([str(log)], tmp_path / "out", CLICKS)
    made = write_histories([str(log)], tmp_path / "out", CLICKS, on_bad_rows=policy)
    assert (made.rows, made.bad_rows) == (8, 2)
    assert read_all(tmp_path / "out")["clicked"].cast(pl.List(pl.Int64)).to_list() == HISTORIES
    quarantine = tmp_path / "out" / "quarantine.jsonl"
    assert quarantine.exists() == (policy == "quarantine")
    if policy == "quarantine":
        rows = [json.loads(line) for line in quarantine.read_text().splitlines()]
        assert [(row["file"], row["row"], row["column"], row["reason"]) for row in rows] == [
            (str(log / "log.csv"), 2, None, "has 3 fields, not 5"),
            (str(log / "log.csv"), 3, "time", "'time' is 'soon', no time"),
        ]
        assert rows[0]["text"] == "1,a,99"


@pytest.mark.parametrize(
    ("second", "error", "message"),
    [
        (
            LOG[:3],
            DataError,
            r"1.parquet, row 1: 'time' is 1, earlier than 5 at the end of .*/0.parquet; give the files",
        ),
        (LOG.drop("ad"), SchemaError, r"1.parquet has no column 'ad'; known: click, time, user"),
        (LOG.drop("x"), SchemaError, r"1.parquet: column 'x' is not there, but Int32 in .*/0.parquet; write the files"),
        (LOG.with_columns(y=1), SchemaError, r"1.parquet: column 'y' is Int32, but not there in .*/0.parquet; write"),
        (
            LOG.with_columns(user=1),
            SchemaError,
            r"1.parquet: column 'user' is Int32, but String in .*/0.parquet; write",
        ),
    ],
)
def test_files_that_do_not_go_together(
    log: Path, tmp_path: Path, second: pl.DataFrame, error: type[PlexrankError], message: str
) -> None:
    LOG.write_parquet(log / "0.parquet")
    second.write_parquet(log / "1.parquet")
    with pytest.raises(error, match=message):
        write_histories([str(log)], tmp_path / "out", CLICKS)
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


@pytest.mark.parametrize(
    ("change", "since", "error", "message"),
    [
        ({"user": "usr"}, None, SchemaError, r"0.parquet has no column 'usr'; did you mean 'user'\?"),
        ({"where": ("clik=1",)}, None, SchemaError, r"0.parquet has no column 'clik'; did you mean 'click'\?"),
        ({"name": "ad"}, None, ConfigError, r"0.parquet has a column 'ad' already; give the history another name"),
        ({"name": "x"}, None, ConfigError, r"0.parquet has a column 'x' already; give the history another name"),
        (
            {"where": ("click=7", "ad>1")},
            None,
            DataError,
            r"log: no row with click=7 and ad>1 has a user and an item, so",
        ),
        ({}, "6", DataError, r"log: no row has a 'time' from 6 on; give an earlier time"),
    ],
)
def test_definitions_that_do_not_fit_the_log(
    log: Path, tmp_path: Path, change: dict[str, Any], since: str | None, error: type[PlexrankError], message: str
) -> None:
    LOG.write_parquet(log / "0.parquet")
    with pytest.raises(error, match=message):
        write_histories([str(log)], tmp_path / "out", replace(CLICKS, **change), since=since)
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_an_existing_output_is_not_overwritten_unless_told(log: Path, tmp_path: Path) -> None:
    write_log(log, "csv")
    write_histories([str(log)], tmp_path / "out", CLICKS)
    with pytest.raises(ConfigError, match=r"out already holds something"):
        write_histories([str(log)], tmp_path / "out", CLICKS, since="3")
    assert read_all(tmp_path / "out").height == 8
    write_histories([str(log)], tmp_path / "out", CLICKS, since="3", overwrite=True)
    assert read_all(tmp_path / "out").height == 4


@pytest.mark.parametrize(("format", "rows"), [("parquet", 200_000), ("csv", 20_000)])
def test_the_simulated_log_holds_the_histories_that_come_out(tmp_path: Path, format: Any, rows: int) -> None:
    """The simulator keeps its own account of each user's clicks, request by request."""
    log = simulate(
        tmp_path / "ads", rows=rows, users=rows // 100, rows_per_file=rows // 3, click_rate=0.1, format=format
    )
    history = History("user_id", "ad_id", "time", ("click=1",), name="clicked", max_length=20)
    made = write_histories([str(tmp_path / "ads" / "log")], tmp_path / "out", history)
    assert (made.rows, made.behaviours) == (log.rows, log.clicks)
    table = read_all(tmp_path / "out")
    clicked = table["clicked"] if format == "parquet" else table["clicked"].list.join(" ")
    assert clicked.equals(table["recent_ads"].fill_null("") if format == "csv" else table["recent_ads"])
    assert table["clicked"].list.len().max() == 20
    assert table["clicked_length"].clip(upper_bound=20).equals(table["clicked"].list.len().cast(pl.Int64))
