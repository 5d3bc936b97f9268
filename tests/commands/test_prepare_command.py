"""plexrank prepare: growing, fitting apart, bad rows, and options that contradict each other."""

from pathlib import Path

import polars as pl
import pytest

from features.datasets.prepared import PreparedSet
from tests.commands.conftest import Plexrank

SCHEMA = """
label: click
group: user
features:
  - {name: user, kind: categorical, encoding: vocabulary, entity: user}
  - {name: price, kind: numeric, entity: item, transforms: [standardize]}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("schema.yaml").write_text(SCHEMA)
    for day in range(2):
        users = [f"u{day * 5 + i % 10}" for i in range(200)]
        pl.DataFrame({"click": [0, 1] * 100, "user": users, "price": range(day, day + 200)}).write_csv(f"{day}.csv")
    return tmp_path


def test_a_set_grows_from_day_to_day(plexrank: Plexrank) -> None:
    assert plexrank("prepare", "--schema", "schema.yaml", "--input", "0.csv", "--output", "day0").code == 0
    grown = plexrank("prepare", "--grow", "day0", "--input", "1.csv", "--output", "day1")
    assert grown.code == 0, grown
    old, new = (PreparedSet(Path(name)).fitted for name in ("day0", "day1"))
    assert new.vocabularies["user"].values.to_list()[:10] == old.vocabularies["user"].values.to_list()
    assert new.vocabularies["user"].size == 17
    assert new.statistics == old.statistics
    refitted = plexrank("prepare", "--grow", "day0", "--refit", "--input", "1.csv", "--output", "refitted")
    assert refitted.code == 0, refitted
    assert PreparedSet(Path("refitted")).fitted.statistics != old.statistics


def test_fit_and_encode_run_apart(plexrank: Plexrank) -> None:
    fitted = plexrank("prepare", "--fit-only", "--schema", "schema.yaml", "--input", "0.csv", "--output", "fitted")
    assert fitted.code == 0, fitted
    assert "--schema-from fitted" in fitted.out
    assert not Path("fitted/train").exists()
    assert plexrank("prepare", "--schema-from", "fitted", "--input", "0.csv", "--output", "apart").code == 0
    assert plexrank("prepare", "--schema", "schema.yaml", "--input", "0.csv", "--output", "whole").code == 0
    for path in sorted(Path("whole").rglob("*.*")):
        assert (Path("apart") / path.relative_to("whole")).read_bytes() == path.read_bytes()


def test_bad_rows_are_reported(plexrank: Plexrank) -> None:
    with Path("0.csv").open("a") as file:
        file.write("2,u1,3\n1,u1,many\n")
    refused = plexrank("prepare", "--schema", "schema.yaml", "--input", "0.csv", "--output", "out")
    assert refused.code == 2
    assert "0.csv, row 201: label 'click' is '2', neither 0 nor 1; mend the row, or give --on-bad-rows" in refused.err
    done = plexrank(
        "prepare", "--schema", "schema.yaml", "--input", "0.csv", "--output", "out", "--on-bad-rows", "quarantine"
    )
    assert done.code == 0, done
    assert "2 bad rows were left out; they are in out/quarantine." in done.out
    assert len(Path("out/quarantine/part-00000.jsonl").read_text().splitlines()) == 2


def test_values_that_look_like_markup_are_shown_as_they_are(plexrank: Plexrank) -> None:
    pl.DataFrame({"click": [0, 1] * 50, "user": ["[/]"] * 100, "price": range(100)}).write_csv("0.csv")
    done = plexrank("prepare", "--schema", "schema.yaml", "--input", "0.csv", "--output", "out")
    assert done.code == 0, done
    assert "[/] 100.0%" in done.out


@pytest.mark.parametrize("verb", ["prepare", "simulate"])
def test_a_seed_is_a_whole_number_of_64_bits(plexrank: Plexrank, verb: str) -> None:
    options = ("--schema", "schema.yaml", "--input", "0.csv") if verb == "prepare" else ("--rows", "100")
    assert plexrank(verb, *options, "--output", "out", "--seed", 2**64 - 1).code == 0
    for seed in (-1, 2**64):
        refused = plexrank(verb, *options, "--output", "other", "--seed", seed)
        assert refused.code == 2
        assert "Invalid value for '--seed'" in refused.err
        assert "Traceback" not in refused.err
        assert not Path("other").exists()


def test_a_split_by_group(plexrank: Plexrank) -> None:
    done = plexrank(
        "prepare", "--schema", "schema.yaml", "--input", "0.csv", "--output", "out", "--split-by", "group",
        "--split", "0.5,0.3,0.2",
    )  # fmt: skip
    assert done.code == 0, done
    groups = [set(pl.concat(PreparedSet(Path("out")).shards(name))["_group"]) for name in ("train", "valid", "test")]
    assert sum(map(len, groups)) == 10


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ([], "no schema; give --schema SCHEMA.yaml, --schema-from DIR or --grow DIR"),
        (["--schema-from", "day0", "--schema", "schema.yaml"], "--schema-from is used as it is; drop --schema"),
        (["--schema-from", "day0", "--grow", "day0"], "--schema-from is used as it is; drop --schema and --grow"),
        (["--schema-from", "day0", "--fit-only"], "--schema-from is fitted already; drop it or --fit-only"),
        (["--schema", "schema.yaml", "--refit"], "--refit belongs to --grow"),
        (["--schema-from", "nowhere"], "nowhere/schema.json does not exist"),
        (["--schema", "schema.yaml", "--split-by", "time"], "a split by time needs the schema's timestamp"),
        (["--schema", "schema.yaml", "--valid", "1.csv", "--seed", "1"], "already split the rows"),
        (["--schema", "other.yaml", "--grow", "day0"], "the set to grow was prepared with another schema"),
    ],
)
def test_options_that_contradict(plexrank: Plexrank, options: list[str], sentence: str) -> None:
    Path("other.yaml").write_text(SCHEMA.replace("standardize", "log1p"))
    assert plexrank("prepare", "--schema", "schema.yaml", "--input", "0.csv", "--output", "day0").code == 0
    refused = plexrank("prepare", "--input", "1.csv", "--output", "out", *options)
    assert refused.code == 2
    assert sentence in refused.err
    assert not Path("out").exists()
