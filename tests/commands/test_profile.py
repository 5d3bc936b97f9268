"""plexrank profile: what it prints and writes, and what a user's mistake looks like."""

import json
from pathlib import Path

import polars as pl
import pytest

from tests.commands.conftest import Plexrank

SCHEMA = """
label: click
features:
  - {name: user, kind: categorical, entity: user}
  - {name: price, kind: numeric, entity: item, transforms: [standardize]}
"""


@pytest.fixture(autouse=True)
def folder(plexrank: Plexrank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two prepared sets, day0 and day1; the second day's prices are others."""
    monkeypatch.chdir(tmp_path)
    Path("schema.yaml").write_text(SCHEMA)
    for day in range(2):
        users = [["[red]", "b", "c"][i % 3] for i in range(600)]
        prices = [i % 7 + 5 * day for i in range(600)]
        pl.DataFrame({"click": [0, 1] * 300, "user": users, "price": prices}).write_csv(f"{day}.csv")
        done = plexrank("prepare", "--schema", "schema.yaml", "--input", f"{day}.csv", "--output", f"day{day}")
        assert done.code == 0, done
    return tmp_path


def test_tables_are_printed_and_a_page_is_written(plexrank: Plexrank) -> None:
    done = plexrank("profile", "day1")
    assert done.code == 0, done
    for words in ("train", "95 % interval", "[red] 3", "5 .. 11, mean ", "unseen in valid", "Wrote "):
        assert words in done.out
    assert "PSI" not in done.out
    assert "measure" in done.err
    assert "<title>Profile of day1</title>" in Path("day1-profile.html").read_text(encoding="utf-8")
    assert sorted(path.name for path in Path.cwd().iterdir()) == [
        "0.csv", "1.csv", "day0", "day1", "day1-profile.html", "schema.yaml",
    ]  # fmt: skip


def test_drift_is_printed_and_written(plexrank: Plexrank) -> None:
    done = plexrank("profile", "day1", "--against", "day0", "--output", "page.html", "--json", "out.json")
    assert done.code == 0, done
    assert "PSI" in done.out
    assert "high   price: It has moved from the reference: PSI" in done.out
    made = json.loads(Path("out.json").read_text(encoding="utf-8"))
    assert made["findings"][0]["feature"] == "price"
    assert made["drift"]["features"][1]["reading"] == "large"
    assert made["splits"]["train"]["rate"] == made["drift"]["now"]["rate"]
    assert "Drift from day0" in Path("page.html").read_text(encoding="utf-8")
    assert not Path("day1-profile.html").exists()


def test_json_is_printed_alone(plexrank: Plexrank) -> None:
    done = plexrank("profile", "day1", "--split", "test", "--json", "-")
    assert json.loads(done.out)["split"] == "test"
    assert not Path("day1-profile.html").exists()
    assert plexrank("profile", "day1", "--json", "-", "--output", "page.html").code == 0
    assert Path("page.html").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nowhere",), "nowhere is no prepared set (it has no prepared.json); run plexrank prepare"),
        (("day1", "--against", "."), ". is no prepared set"),
        (("day1", "--split", "tset"), "day1 has no split 'tset'; did you mean 'test'?"),
        (("day1", "--output", "1.csv"), "1.csv is no .html; name it so"),
        (("day1", "--output", "nowhere/page.html"), "nowhere is no folder; create it, or choose another"),
        (("day1", "--json", "nowhere/out.json"), "nowhere is no folder; create it, or choose another"),
        (("day1", "--json", "day0"), "day0 is a folder; name a file"),
    ],
)
def test_mistakes_are_one_sentence(plexrank: Plexrank, arguments: tuple[str, ...], words: str) -> None:
    done = plexrank("profile", *arguments)
    assert done.code == 2, done
    assert words in done.err
    assert "Traceback" not in done.err
    assert done.out == ""
    assert not list(Path.cwd().glob("*.html"))


@pytest.mark.parametrize("option", ["--json", "--output"])
def test_a_full_disk_is_a_sentence(plexrank: Plexrank, option: str) -> None:
    Path("full.html").symlink_to("/dev/full")
    done = plexrank("profile", "day1", option, "full.html")
    assert done.code == 2, done
    assert done.err.splitlines()[-1] == (
        "plexrank: full.html cannot be written: No space left on device; free some space, or choose another file"
    )


def test_an_empty_split_is_a_sentence(plexrank: Plexrank) -> None:
    prepared = ("prepare", "--schema", "schema.yaml", "--input", "0.csv", "--split", "1,0,0", "--output", "all")
    assert plexrank(*prepared).code == 0
    done = plexrank("profile", "all", "--split", "valid")
    assert done.code == 2
    assert "split 'valid' of all has no row; profile one of train" in done.err
    assert plexrank("profile", "all").code == 0


def test_a_shard_of_another_schema_is_a_sentence(plexrank: Plexrank) -> None:
    (shard,) = Path("day1/train").iterdir()
    shard.write_bytes(next(Path("day0/train").iterdir()).read_bytes())
    done = plexrank("profile", "day1")
    assert done.code == 2
    assert f"shard {shard} is of another schema" in done.err
    assert "Traceback" not in done.err
