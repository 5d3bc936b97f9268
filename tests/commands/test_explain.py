"""plexrank explain: tables, json, page, equally good models, attention, one sentence for a mistake."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.commands.conftest import Plexrank, Result

SCHEMA = """
label: click
keep: [city]
features:
  - {name: user, kind: categorical, entity: user, encoding: vocabulary}
  - {name: item, kind: categorical, entity: item}
  - {name: city, kind: categorical}
  - {name: price, kind: numeric, entity: item}
  - {name: seen, kind: sequence, entity: user, of: item}
"""
RUN = """
data: prepared
output: run
seed: 1
model: {name: autoint, attention: {layers: 2, width: 8, heads: 2}}
embedding: {dim: 4, rows: 60, init_std: 0.1}
optimizer: {learning_rate: 0.01}
training: {epochs: 2, batch_size: 64}
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a prepared set, and the runs of an AutoInt and of a logistic regression."""
    from features.preparation.plan import Inputs
    from features.preparation.prepare import prepare
    from features.schema import load_schema
    from training.loop import train
    from training.run import load_run

    folder = tmp_path_factory.mktemp("explain")
    (folder / "schema.yaml").write_text(SCHEMA)
    (folder / "run.yaml").write_text(RUN)
    draw = np.random.default_rng(0)
    user, item = draw.integers(0, 12, 2000), draw.integers(0, 15, 2000)
    logit = 1.5 * np.sin(7 * user) + 1.5 * np.cos(5 * item)
    frame = pl.DataFrame(
        {
            "click": (draw.random(2000) < 1 / (1 + np.exp(-logit))).astype(int),
            "user": [f"u{i}" for i in user],
            "item": [f"i{i}" for i in item],
            "city": [f"c{i}" for i in draw.integers(0, 5, 2000)],
            "price": draw.normal(size=2000),
            "seen": [" ".join(f"i{i}" for i in draw.integers(0, 15, n)) for n in draw.integers(0, 4, 2000)],
        }
    )
    frame.write_parquet(folder / "log.parquet")
    prepare(load_schema(folder / "schema.yaml"), Inputs([str(folder / "log.parquet")]), folder / "prepared")
    data = f"data={folder / 'prepared'}"
    train(load_run(folder / "run.yaml", [data, f"output={folder / 'runs' / 'autoint'}"]))
    train(load_run(folder / "run.yaml", [data, f"output={folder / 'runs' / 'lr'}", "model={name: lr}"]))
    return folder


@pytest.fixture
def explain(plexrank: Plexrank, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plexrank:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path, run: str = "autoint") -> Result:
        artifact = trained / "runs" / run / "artifact"
        return plexrank("explain", "--artifact", artifact, "--data", trained / "prepared", "--repeats", "2", *arguments)

    return run


def _json(done: Result) -> dict[str, Any]:
    assert done.code == 0, done.err
    found: dict[str, Any] = json.loads(done.out)
    return found


def test_what_clicks_depend_on_is_found(explain: Plexrank) -> None:
    found = _json(explain("--json", "-", "--pairs", "3"))
    assert found["split"] == "valid"
    drops = {some["name"]: some["auc_drop"] for some in found["model"]["features"]}
    assert set(drops) == {"user", "item", "city", "price", "seen"}
    for name in ("user", "item"):
        assert drops[name]["interval"]["low"] > 0
        assert drops[name]["value"] > max(drops[other]["value"] for other in ("city", "price", "seen"))
    assert [group["name"] for group in found["model"]["groups"]] == ["user", "item", "context"]
    assert len(found["model"]["pairs"]) == 3
    assert found == _json(explain("--json", "-", "--pairs", "3"))
    assert found["model"] != _json(explain("--json", "-", "--pairs", "3", "--seed", "1"))["model"]


def test_people_read_tables(explain: Plexrank) -> None:
    done = explain("--json", "found.json")
    assert done.code == 0, done.err
    found = json.loads(Path("found.json").read_text())
    for some in (*found["model"]["features"], *found["model"]["groups"]):
        assert f"{some['auc_drop']['value']:+.5f}" in done.out
    assert f"{found['model']['pairs'][0]['strength']['value']:.5f}" in done.out
    assert "Correlated features stand in for one another" in done.out
    assert "equally good" not in done.out
    assert explain("--pairs", "0").out.count("interaction") == 0


def test_a_logistic_regression_has_no_interactions_and_no_attention(explain: Plexrank) -> None:
    found = _json(explain("--json", "-", run="lr"))
    assert {some["strength"]["value"] for some in found["model"]["pairs"]} == {0}
    assert found["attention"] is None
    assert found["model"]["features"][0]["logloss_rise"]["value"] > 0


def test_attention_in_a_row_with_its_values(explain: Plexrank, trained: Path) -> None:
    rows = pl.read_parquet(sorted((trained / "prepared" / "valid").iterdir()))["_row"].to_list()
    found = _json(explain("--json", "-", "--page", "o.html", "--row", str(rows[3]), "--row", str(rows[1])))
    attention = found["attention"]
    assert attention["fields"] == ["user", "item", "city", "price", "seen"]
    assert np.array(attention["mean"]).shape == (2, 2, 5, 5)
    assert [row["row"] for row in attention["rows"]] == [rows[3], rows[1]]
    raw = pl.read_parquet(trained / "log.parquet").row(rows[3], named=True)
    user, _, city, price, _ = attention["rows"][0]["values"]
    assert (user, city) == (raw["user"], raw["city"])
    assert float(price) == pytest.approx(raw["price"], rel=1e-5)
    page = Path("o.html").read_text()
    assert f"Row {rows[3]:,}: label {raw['click']}" in page
    assert "Attention between fields" in page
    without = explain("--page", "p.html", "--row", str(rows[3]), run="lr")
    assert "The model pays no attention between fields, so --row shows nothing." in without.out
    assert "Attention between fields" not in Path("p.html").read_text()


def test_equally_good_models_are_compared_and_trained(explain: Plexrank, trained: Path) -> None:
    arguments = ("--artifact", trained / "runs", "--seeds", "2", "--work", "seeds", "--pairs", "2")
    found = _json(explain(*arguments, "--epsilon", "9", "--json", "-", "--page", "o.html"))
    models = found["rashomon"]["models"]
    assert [some["ranker"] for some in models] == ["autoint", "lr", "autoint", "autoint"]
    assert len({some["digest"] for some in models}) == 4
    assert all(some["kept"] for some in models)
    best = min(some["valid_logloss"] for some in models)
    for some in models:
        assert some["excess"] == pytest.approx(some["valid_logloss"] / best - 1)
    (strength,) = found["rashomon"]["strength"]
    assert len(strength["values"]) == 4
    assert strength["low"] == strength["values"][1] == 0
    assert strength["high"] == max(strength["values"]) > 0
    assert "4 of 4" in Path("o.html").read_text()
    # What is finished is used again; and what is worse is left out, but for the model that is explained.
    again = explain(*arguments, "--epsilon", "0")
    assert "train seed" not in again.err
    assert "models within 0 % of the best valid logloss: 1 of 4" in again.out
    told = "The model explained is not among the equally good ones" in again.out
    assert told == (models[0]["valid_logloss"] > best)


def test_other_splits_come_with_a_warning(explain: Plexrank) -> None:
    assert "features chosen by them are selected on the test split" in explain("--split", "test").out
    assert "the model was trained on" in explain("--split", "train", "--rows", "300").out


def test_help_teaches(plexrank: Plexrank) -> None:
    shown = " ".join(plexrank("explain", "--help").out.replace("\u2502", " ").split())
    for words in ("Correlated features stand in for one another", "rows that the data never has", "within --epsilon"):
        assert words in shown


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--row", "99999", "--json", "-"), "has no row 99999 in its valid split"),
        (("--row", "3"), "a --row is shown on a page or as json, and none is wanted; add --page, or --json"),
        (("--split", "tset"), "no split 'tset'; did you mean 'test'?"),
        (("--seeds", "1"), "--seeds trains models, and they need a folder; add --work"),
        (("--work", "seeds"), "--work is where --seeds trains, and none is wanted; add --seeds, or give WORK as"),
        (("--level", "95"), "a confidence level must be between 0 and 1"),
        (("--page", "page.txt"), "page.txt is no .html"),
        (("--json", "no/o.json"), "no is no folder"),
        (("--artifact", "nowhere"), "there is nothing at nowhere"),
    ],
)
def test_a_mistake_gets_one_sentence(explain: Plexrank, arguments: tuple[str, ...], words: str) -> None:
    done = explain(*arguments)
    assert done.code == 2
    assert words in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_data_of_another_schema_one_class_and_no_rows_are_refused(
    plexrank: Plexrank, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from features.preparation.plan import Inputs
    from features.preparation.prepare import prepare
    from features.schema import load_schema
    from training.loop import train
    from training.run import load_run

    monkeypatch.chdir(tmp_path)
    log = pl.read_parquet(trained / "log.parquet")
    log.head(1000).write_parquet("half.parquet")
    prepare(load_schema(trained / "schema.yaml"), Inputs(["half.parquet"]), Path("half"))
    artifact = ("explain", "--artifact", trained / "runs" / "lr" / "artifact", "--data")
    other = plexrank(*artifact, "half")
    assert other.code == 2
    assert "ids would not agree; give the data the model was trained on" in other.err

    train(load_run(trained / "run.yaml", ["data=half", "output=half_run", "training.epochs=1"]))
    beside = plexrank(*artifact, trained / "prepared", "--artifact", "half_run", "--seeds", "1", "--work", "seeds")
    assert beside.code == 2
    assert "half_run/artifact reads" in beside.err
    assert not Path("seeds").exists()

    rows = pl.read_parquet(sorted((trained / "prepared" / "valid").iterdir()))
    few = plexrank(*artifact, trained / "prepared", "--rows", "2", "--seed", str(_seed_of_one_class(rows["_label"])))
    assert few.code == 2
    assert "an explanation needs rows of both classes, but all 2 labels are" in few.err


def _seed_of_one_class(labels: pl.Series) -> int:
    """A seed that draws two rows of one class."""
    for seed in range(100):
        drawn = np.random.default_rng(seed).choice(len(labels), 2, replace=False)
        if len(set(labels[drawn.tolist()].to_list())) == 1:
            return seed
    raise AssertionError
