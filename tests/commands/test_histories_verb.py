import shlex
from pathlib import Path

import polars as pl
import pytest

from tests.commands.conftest import Plexrank

LOG = "t,who,what,kind\n1,a,x,buy\n2,a,y,see\n3,a,z,buy\n4,a,x,see\n4,,x,buy\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    (tmp_path / "log.csv").write_text(LOG)
    return tmp_path / "log.csv"


def test_it_writes_the_log_with_histories(plexrank: Plexrank, log: Path, tmp_path: Path) -> None:
    done = plexrank(
        "histories", "--input", log, "--user", "who", "--item", "what", "--time", "t", "--where", "kind=buy",
        "--where", "t>=1", "--name", "bought", "--max-length", 1, "--since", 2, "--output", tmp_path / "a b",
    )  # fmt: skip
    assert done.code == 0, done.err
    table = pl.read_parquet(tmp_path / "a b" / "part-00000.parquet")
    assert table.rows() == [
        ("2", "a", "y", "see", ["x"], 1),
        ("3", "a", "z", "buy", ["x"], 1),
        ("4", "a", "x", "see", ["z"], 2),
        ("4", None, "x", "buy", [], 0),
    ]
    assert "scan" in done.err
    assert "rows, " in done.err
    assert "/s" in done.err
    facts = {
        line.split("\u2502")[1].strip(): line.split("\u2502")[2].strip()
        for line in done.out.splitlines()
        if "\u2502" in line
    }
    assert facts == {
        "rows written": "4",
        "with an empty history": "1",
        "with more than 1 behaviours before": "1",
        "behaviours in the log": "2",
        "bad rows left out": "0",
    }
    schema, following = done.out.splitlines()[-2:]
    feature = "{name: bought, kind: sequence, entity: user, of: what, max_length: 1}"
    assert schema == f"For the schema: {feature}, and keep: [bought_length]"
    assert shlex.split(following)[:3] == ["Next:", "plexrank", "prepare"]
    assert str(tmp_path / "a b") in shlex.split(following)


def test_a_simulated_log_with_its_own_histories_is_prepared_alike(plexrank: Plexrank, tmp_path: Path) -> None:
    """From simulate over histories to prepare, as the printed commands say."""
    ads = tmp_path / "ads"
    assert plexrank("simulate", "--output", ads, "--rows", 5_000, "--users", 100, "--ads", 50).code == 0
    made = plexrank(
        "histories", "--input", ads / "log", "--user", "user_id", "--item", "ad_id", "--time", "time",
        "--where", "click=1", "--max-length", 20, "--output", tmp_path / "out",
    )  # fmt: skip
    assert made.code == 0, made.err
    schema = tmp_path / "schema.yaml"
    schema.write_text(
        "label: click\ntimestamp: time\nkeep: [history_length]\nfeatures:\n  - {name: ad_id, kind: categorical}\n"
        "  - {name: recent_ads, kind: sequence, of: ad_id, max_length: 20}\n"
        "  - {name: history, kind: sequence, of: ad_id, max_length: 20}\n"
    )
    command = shlex.split(made.out.splitlines()[-1])[2:]
    command[command.index("SCHEMA.yaml")] = str(schema)
    done = plexrank(*command)
    assert done.code == 0, done.err
    for split in ("train", "valid", "test"):
        table = pl.read_parquet(tmp_path / "out-prepared" / split / "*.parquet")
        assert table.height > 0
        assert table["history"].equals(table["recent_ads"])
        assert table["keep:history_length"].clip(upper_bound=20).equals(table["history"].list.len().cast(pl.Int64))


def test_a_mistake_is_one_sentence(plexrank: Plexrank, log: Path, tmp_path: Path) -> None:
    log.write_text(LOG + "1,a,x,see\n")
    done = plexrank(
        "histories", "--input", log, "--user", "who", "--item", "what", "--time", "t", "--output", tmp_path / "out"
    )
    assert done.code == 2
    sentence = f"plexrank: {log}, row 6: 't' is '1', earlier than '4' of the row before; sort the file by 't'"
    assert done.err.splitlines()[-1] == sentence
    assert not (tmp_path / "out").exists()


def test_bad_rows_are_counted_and_kept(plexrank: Plexrank, log: Path, tmp_path: Path) -> None:
    log.write_text(LOG + "soon,a,x,see\n")
    options = ["--input", log, "--user", "who", "--item", "what", "--time", "t", "--output", tmp_path / "out"]
    assert "row 6: 't' is 'soon', no time; mend the row" in plexrank("histories", *options).err
    done = plexrank("histories", *options, "--on-bad-rows", "quarantine")
    assert done.code == 0, done.err
    assert (tmp_path / "out" / "quarantine.jsonl").read_text().count("\n") == 1
