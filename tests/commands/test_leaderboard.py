"""plexrank leaderboard: tables, json and a page of runs that were trained, and what a mistake gets."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats  # type: ignore[import-untyped]

from tests.commands.conftest import Plexrank
from training.loop import train
from training.run import load_run

SCHEMA = """
label: click
features:
  - {name: user, kind: categorical, entity: user}
  - {name: price, kind: numeric, entity: item}
"""
RUN = """
data: prepared
output: runs/lr
model: {name: lr}
embedding: {rows: 100}
training: {epochs: 2, batch_size: 64}
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a log, and an empty folder for what the first test trains."""
    folder = tmp_path_factory.mktemp("leaderboard")
    (folder / "schema.yaml").write_text(SCHEMA)
    (folder / "run.yaml").write_text(RUN)
    draw = np.random.default_rng(0)
    user, price = draw.integers(0, 20, 2000), draw.normal(size=2000)
    click = draw.random(2000) < 1 / (1 + np.exp(-np.sin(user * 7) - price))
    frame = pl.DataFrame({"click": click.astype(int), "user": [f"u{i}" for i in user], "price": price})
    frame.write_csv(folder / "log.csv")
    frame.head(1000).write_csv(folder / "other.csv")
    return folder


@pytest.fixture
def folder(trained: Path, plexrank: Plexrank, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: three seeds of one run file, one run with another rate, one on other data, one begun."""
    monkeypatch.chdir(trained)
    if (trained / "runs").is_dir():
        return trained
    for log, data in (("log.csv", "prepared"), ("other.csv", "prepared_other")):
        done = plexrank("prepare", "--schema", "schema.yaml", "--input", log, "--output", data)
        assert done.code == 0, done.err
    for name, sets in {
        "lr_1": ["seed=1"],
        "lr_2": ["seed=2"],
        "lr_3": ["seed=3"],
        "fast_1": ["seed=1", "optimizer.learning_rate=0.1"],
        "other_1": ["seed=1", "data=prepared_other"],
    }.items():
        given = [part for some in (f"output=runs/{name}", *sets) for part in ("--set", some)]
        done = plexrank("train", "--config", "run.yaml", *given)
        assert done.code == 0, done.err
    (trained / "runs" / "begun" / ".artifact.partial-0").mkdir(parents=True)
    return trained


def found(plexrank: Plexrank, *arguments: str) -> dict[str, Any]:
    done = plexrank("leaderboard", *arguments, "--json", "-")
    assert done.code == 0, done.err
    document: dict[str, Any] = json.loads(done.out)
    return document


def metric(name: str, split: str = "test", of: str = "auc") -> float:
    manifest = json.loads(Path("runs", name, "artifact", "manifest.json").read_text())
    value: float = manifest["metrics"][split]["metrics"][of]["value"]
    return value


def test_seeds_are_one_entry_with_their_mean_and_interval(plexrank: Plexrank, folder: Path) -> None:
    document = found(plexrank, "runs/lr_*", "runs/fast_1")
    (board,) = document["boards"]
    entries = {entry["name"]: entry for entry in board["entries"]}
    assert set(entries) == {"lr", "fast"}
    assert entries["lr"]["seeds"] == [1, 2, 3]
    values = [metric(f"lr_{seed}") for seed in (1, 2, 3)]
    auc = entries["lr"]["metrics"]["auc"]
    assert auc["mean"] == pytest.approx(np.mean(values), abs=1e-12)
    assert auc["std"] == pytest.approx(np.std(values, ddof=1), abs=1e-12)
    low, high = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
    assert (auc["interval"]["low"], auc["interval"]["high"]) == pytest.approx((low, high), abs=0.01 * (high - low))
    own = json.loads(Path("runs/fast_1/artifact/manifest.json").read_text())["metrics"]["test"]["metrics"]["auc"]
    assert entries["fast"]["metrics"]["auc"]["interval"] == own["interval"]
    assert entries["fast"]["samples_per_second"] > 0
    order = [entry["metrics"]["auc"]["mean"] for entry in board["entries"]]
    assert order == sorted(order, reverse=True)


def test_a_folder_is_searched_and_what_is_left_out_is_named(plexrank: Plexrank, folder: Path) -> None:
    shutil.copytree("runs/lr_2", "copies/lr_2")
    done = plexrank("leaderboard", "runs", "copies", "--page", "page.html", "--json", "all.json")
    shutil.rmtree("copies")
    assert done.code == 0, done.err
    assert "runs/begun is left out: it is not finished" in done.err
    assert "runs/lr_2 is left out: it repeats copies/lr_2, run file and seed alike" in done.err
    assert "no choice of a model" in done.out
    assert "there is a table for each" in done.out
    assert [title in done.out for title in ("prepared, ", "prepared_other, ")] == [True, True]
    document, page = json.loads(Path("all.json").read_text()), Path("page.html").read_text()
    assert [len(board["entries"]) for board in document["boards"]] in ([2, 1], [1, 2])
    for entry in (entry for board in document["boards"] for entry in board["entries"]):
        assert f"{entry['metrics']['auc']['mean']:.5f}" in done.out
        assert f"{entry['metrics']['logloss']['mean']:.5f}" in page
    assert "runs/begun is left out" in page


def test_a_trial_of_a_search_stands_beside_runs_and_hides_none(plexrank: Plexrank, folder: Path) -> None:
    # As a search trains: no test row is scored. Its folder comes before that of the run it repeats.
    train(load_run(Path("run.yaml"), ["output=a_search/trials/0", "seed=1"]), judge_test=False)
    beside = found(plexrank, "a_search", "runs/fast_1", "--split", "valid")
    alone = found(plexrank, "a_search", "runs/lr_1")
    shutil.rmtree("a_search")
    (board,) = beside["boards"]
    assert len(board["entries"]) == 2
    assert not any("different data" in note for note in beside["notes"])
    assert [entry["name"] for board in alone["boards"] for entry in board["entries"]] == ["lr"]
    assert alone["left_out"] == ["a_search/trials/0 is left out: it was not judged on test rows"]


def test_published_figures_are_held_against_the_means(plexrank: Plexrank, folder: Path) -> None:
    Path("published.yaml").write_text(
        "references:\n  - {name: lr, metrics: {auc: 0.5}, source: a coin}\n"
        "  - {name: lrr, metrics: {auc: 0.5}, source: x}\n"
    )
    arguments = ("runs/lr_*", "--reference", "published.yaml")
    (board,) = found(plexrank, *arguments)["boards"]
    (beside,) = board["published"]
    assert beside["difference"] == pytest.approx(np.mean([metric(f"lr_{seed}") for seed in (1, 2, 3)]) - 0.5)
    done = plexrank("leaderboard", *arguments)
    assert f"{beside['difference']:+.5f}" in done.out
    assert "a coin" in done.out
    assert "published figures of 'lrr' belong to no entry; did you mean 'lr'?" in done.err


def test_other_orders_groups_and_splits(plexrank: Plexrank, folder: Path) -> None:
    arguments = ("runs/lr_*", "runs/fast_1", "--split", "valid", "--sort", "name", "--by", "optimizer.learning_rate")
    (board,) = found(plexrank, *arguments)["boards"]
    assert [(entry["name"], len(entry["runs"])) for entry in board["entries"]] == [("0.001", 3), ("0.1", 1)]
    of_fast = board["entries"][1]["metrics"]
    assert of_fast["logloss"]["mean"] == metric("fast_1", "valid", "logloss")
    shown = plexrank("leaderboard", *arguments)
    assert "no choice of a model" not in shown.out
    assert "optimizer.learning_rate" in shown.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nowhere",), "there is nothing at nowhere; give output folders of plexrank train"),
        (("no_*",), "there is nothing at no_*"),
        (("prepared",), "there is no finished run that was judged on test rows in prepared"),
        (("runs/begun",), "there is no finished run that was judged on test rows in runs/begun"),
        (("runs", "--sort", "acu"), "entries cannot be sorted by 'acu'; did you mean 'auc'?"),
        (("runs", "--by", "model.nam"), "no run file here has the key 'model.nam'; did you mean 'model.name'?"),
        (("runs", "--reference", "none.yaml"), "none.yaml does not exist"),
        (("runs", "--page", "page.txt"), "page.txt is no .html; name it so"),
    ],
)
def test_a_mistake_gets_one_sentence(plexrank: Plexrank, folder: Path, arguments: tuple[str, ...], words: str) -> None:
    done = plexrank("leaderboard", *arguments)
    assert done.code == 2
    assert words in done.err
    assert not Path("page.txt").exists()


def test_a_changed_manifest_is_refused(plexrank: Plexrank, folder: Path) -> None:
    shutil.copytree("runs/lr_1", "changed/lr_1")
    path = Path("changed/lr_1/artifact/manifest.json")
    path.write_text(path.read_text().replace('"epochs": 2', '"epochs": 3'))
    done = plexrank("leaderboard", "changed")
    shutil.rmtree("changed")
    assert done.code == 2
    assert "manifest.json was changed after it was written" in done.err
