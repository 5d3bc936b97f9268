"""plexrank inspect: the table of a run file and of an artifact, collisions against a count by hand, mistakes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from kernels.addressing import Slot, rows_numpy, slot_seed
from tests.commands.conftest import Plexrank

SCHEMA = """
label: click
features:
  - {name: user, kind: categorical, encoding: vocabulary}
  - {name: item, kind: categorical}
  - {name: seen, kind: sequence, of: item, separator: " "}
  - {name: city, kind: categorical}
  - {name: price, kind: numeric}
"""
RUN = """
data: prepared
output: run
model: {name: finalmlp, mlp1: {hidden: [4]}, mlp2: {hidden: [4]}, gates: {context1: [item]}}
embedding: {dim: 4, rows: 60, features: {item: {probes: 2}, city: {rows: hashed}}}
training: {epochs: 1, batch_size: 64}
"""
TABLE = 22 + 60  # twenty users and the two reserved ids


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plexrank: Plexrank) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("schema.yaml").write_text(SCHEMA)
    Path("run.yaml").write_text(RUN)
    draw = np.random.default_rng(0)
    items = draw.integers(0, 30, (400, 3))
    frame = pl.DataFrame(
        {
            "click": draw.integers(0, 2, 400),
            "user": [f"u{i % 20}" for i in range(400)],
            "item": [f"i{i}" for i in items[:, 0]],
            "seen": [" ".join(f"i{i + 10}" for i in two) for two in items[:, 1:]],
            "city": [f"c{i}" for i in draw.integers(0, 9, 400)],
            "price": draw.normal(size=400),
        }
    )
    frame.with_columns(pl.when(pl.arange(400) % 5 > 0).then("seen").alias("seen")).write_csv("log.csv")
    done = plexrank("prepare", "--schema", "schema.yaml", "--input", "log.csv", "--output", "prepared")
    assert done.code == 0, done.err
    return tmp_path


def found(plexrank: Plexrank, *arguments: str) -> dict[str, Any]:
    result = plexrank("inspect", *arguments, "--json", "-")
    assert result.code == 0, result.err
    document: dict[str, Any] = json.loads(result.out)
    return document


def test_a_run_file_tells_its_table_and_memory_before_training(plexrank: Plexrank) -> None:
    document = found(plexrank, "--config", "run.yaml")
    assert document["table"] == {"rows": TABLE, "dim": 4, "bytes": TABLE * 16}
    assert document["optimizer_state_bytes"] == TABLE * 4
    fields = {(field["scope"], field["feature"]): field for field in document["features"]}
    assert list(fields) == [("", "user"), ("", "item"), ("", "seen"), ("", "city"), ("gate1", "item")]
    assert {name: field["kind"] for (_, name), field in fields.items()} == {
        "user": "full",
        "item": "unified",
        "seen": "unified",
        "city": "hashed",
    }
    # City has a third of the rows: item counts once in the main scope and once in the gate.
    assert fields["", "city"]["slots"] == [{"base": 22, "rows": 20}]
    assert fields["", "item"]["slots"] == [{"base": 42, "rows": 40}] * 2
    assert fields["", "seen"]["rows_of"] == "item"
    assert not Path("run").exists()


def test_collisions_are_counted_in_the_train_rows(plexrank: Plexrank) -> None:
    collisions = found(plexrank, "--config", "run.yaml")["collisions"]
    train = pl.concat([pl.read_parquet(file) for file in sorted(Path("prepared/train").iterdir())])
    items = np.union1d(train["item"].to_numpy(), train["seen"].explode().drop_nulls().to_numpy())
    counted = {(each["scope"], *each["features"]): each for each in collisions["features"]}
    assert {name: each["values"] for name, each in counted.items()} == {
        ("", "user"): train["user"].n_unique(),
        ("", "item", "seen"): len(items),
        ("", "city"): train["city"].n_unique(),
        ("gate1", "item"): train["item"].n_unique(),
    }
    for probe, slot in enumerate(counted["", "item", "seen"]["slots"]):
        rows = rows_numpy(items, Slot(key=0, seed=slot_seed("item", probe), base=42, rows=40, mixed=True))
        _, inverse, counts = np.unique(rows, return_inverse=True, return_counts=True)
        assert slot["within"]["measured"] == pytest.approx((counts[inverse] > 1).mean())
        assert slot["within"]["expected"] == pytest.approx(1 - (1 - 1 / 40) ** (len(items) - 1))
        assert slot["used"] == len(counts)
        assert slot["between"]["measured"] > 0
    city, user = counted["", "city"]["slots"][0], counted["", "user"]["slots"][0]
    assert city["between"] == {"expected": 0, "measured": 0}
    assert user["within"] == user["between"] == {"expected": 0, "measured": 0}
    assert collisions["rows_used"]["measured"] <= TABLE
    assert collisions["rows_used"]["expected"] == pytest.approx(collisions["rows_used"]["measured"], rel=0.2)


def test_a_budget_is_seen_before_it_is_spent(plexrank: Plexrank) -> None:
    document = found(
        plexrank, "--config", "run.yaml", "--set", "embedding.rows=null", "--set", "embedding.memory_mb=0.01",
        "--set", "optimizer.embedding=dense_adam",
    )  # fmt: skip
    assert document["table"]["bytes"] == 10_000
    assert document["optimizer_state_bytes"] >= 2 * 10_000


def test_an_artifact_tells_the_same_as_its_run_file(plexrank: Plexrank) -> None:
    assert plexrank("train", "--config", "run.yaml").code == 0
    trained = found(plexrank, "--artifact", "run/artifact", "--data", "prepared")
    planned = found(plexrank, "--config", "run.yaml")
    assert {key for key in planned if planned[key] != trained[key]} == {"name", "optimizer_state_bytes"}
    assert trained["optimizer_state_bytes"] is None
    assert found(plexrank, "--artifact", "run/artifact")["collisions"] is None


def test_people_read_tables(plexrank: Plexrank) -> None:
    shown = plexrank("inspect", "--config", "run.yaml", "--json", "found.json")
    assert shown.code == 0, shown.err
    for text in (f"{TABLE} rows x 4", "item, seen", "item in gate1", "hashed", "Rows in use", "Wrote found.json"):
        assert text in shown.out
    assert json.loads(Path("found.json").read_text()) == found(plexrank, "--config", "run.yaml")


def test_a_model_of_numbers_has_no_table(plexrank: Plexrank) -> None:
    Path("schema.yaml").write_text("label: click\nfeatures: [{name: price, kind: numeric}]\n")
    done = plexrank("prepare", "--schema", "schema.yaml", "--input", "log.csv", "--output", "numbers")
    assert done.code == 0, done.err
    settings = ("--set", "data=numbers", "--set", "model={name: lr}", "--set", "embedding={}")
    document = found(plexrank, "--config", "run.yaml", *settings)
    assert (document["table"], document["features"], document["collisions"]) == (None, [], None)
    assert "model" in plexrank("inspect", "--config", "run.yaml", *settings).out


def test_nothing_is_counted_where_a_method_reads_other_rows_than_its_slots(plexrank: Plexrank) -> None:
    Path("schema.yaml").write_text("label: click\nfeatures: [{name: city, kind: categorical}]\n")
    done = plexrank("prepare", "--schema", "schema.yaml", "--input", "log.csv", "--output", "cities")
    assert done.code == 0, done.err
    embedding = "embedding={rows: 60, comparison: {method: multihash}}"
    settings = ("--set", "data=cities", "--set", "model={name: lr}", "--set", embedding)
    document = found(plexrank, "--config", "run.yaml", *settings, "--set", "optimizer.embedding=dense_adam")
    assert document["table"]["rows"] == 60
    assert document["collisions"] is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), ("give one of --artifact and --config",)),
        (("--artifact", "a", "--config", "run.yaml"), ("give one of --artifact and --config",)),
        (("--artifact", "a", "--set", "seed=1"), ("--set replaces settings of a run file", "drop one")),
        (("--artifact", "nowhere"), ("nowhere is no artifact",)),
        (("--config", "run.yaml", "--data", "nowhere"), ("nowhere is no prepared set",)),
        (("--config", "run.yaml", "--set", "embedding.memory_mb=1"), ("rows and memory_mb", "give one of them")),
        (
            ("--config", "run.yaml", "--set", "embedding.features.seen.probes=2"),
            ("feature 'seen' reads the rows of 'item'", "set embedding.features.item"),
        ),
    ],
)
def test_mistakes(plexrank: Plexrank, arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    result = plexrank("inspect", *arguments)
    assert result.code == 2
    assert len(result.err.strip().splitlines()) == 1
    for word in words:
        assert word in result.err


def test_the_data_of_another_schema_is_refused(plexrank: Plexrank) -> None:
    assert plexrank("train", "--config", "run.yaml").code == 0
    Path("schema.yaml").write_text(SCHEMA.replace("name: city, kind", "name: city, min_count: 2, kind"))
    other = plexrank("prepare", "--schema", "schema.yaml", "--input", "log.csv", "--output", "other")
    assert other.code == 0, other.err
    result = plexrank("inspect", "--artifact", "run/artifact", "--data", "other")
    assert result.code == 2
    assert "other was prepared with another schema" in result.err
