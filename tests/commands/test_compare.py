"""plexrank compare: a matrix of paired differences, and which model goes live."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from tests.commands.conftest import Plexrank

ROWS = 4000
NAMED = ("--label", "click", "--score", "p")
NOISE = {"live": 0.1, "good": 0.02, "alike": 0.1}


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, pl.DataFrame]:
    """Predictions of three models on the same rows, in the working folder."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(5)
    truth = random.beta(1, 4, ROWS)
    rows = pl.DataFrame(
        {
            "id": np.arange(ROWS),
            "user": random.integers(0, 200, ROWS),
            "country": random.choice(["de", "fr"], ROWS),
            "click": (random.random(ROWS) < truth).astype(int),
        }
    )
    made = {}
    for name, noise in NOISE.items():
        made[name] = rows.with_columns(p=np.clip(truth + random.normal(0, noise, ROWS), 0.001, 0.999))
        made[name].write_parquet(f"{name}.parquet")
    return made


def _json(plexrank: Plexrank, *arguments: str) -> dict[str, Any]:
    done = plexrank("compare", *arguments, *NAMED, "--json", "-")
    assert done.code == 0, done.err
    found: dict[str, Any] = json.loads(done.out)
    return found


FILES = ("live.parquet", "good.parquet", "alike.parquet")


def test_every_pair_both_ways(plexrank: Plexrank, models: dict[str, pl.DataFrame]) -> None:
    found = _json(plexrank, *FILES, "--group", "user")["comparison"]
    differences = {(d["metric"], d["first"], d["second"]): d for d in found["differences"]}
    metrics = {metric for metric, _, _ in differences}
    assert metrics == {"auc", "logloss", "normalised_entropy", "brier", "calibration_ratio", "gauc"}
    assert len(differences) == len(metrics) * 6
    for score, metric in ((roc_auc_score, "auc"), (log_loss, "logloss")):
        values = {f"{name}.parquet": score(frame["click"], frame["p"]) for name, frame in models.items()}
        for first in FILES:
            for second in set(FILES) - {first}:
                difference = differences[metric, first, second]
                assert difference["value"] == pytest.approx(values[first] - values[second], abs=1e-12)
                back = differences[metric, second, first]
                assert (back["interval"]["low"], back["value"]) == (
                    -difference["interval"]["high"],
                    -difference["value"],
                )


def test_the_better_model_goes_live_and_chance_does_not(plexrank: Plexrank, models: dict[str, pl.DataFrame]) -> None:
    found = _json(plexrank, *FILES)["comparison"]
    assert found["best"] == "good.parquet"
    assert found["verdict"].startswith("good.parquet goes live in place of live.parquet: its auc differs")
    alike = _json(plexrank, "live.parquet", "alike.parquet")["comparison"]
    assert alike["best"] == "live.parquet"
    by_loss = _json(plexrank, *FILES, "--metric", "logloss")["comparison"]
    assert by_loss["verdict"].startswith("good.parquet goes live in place of live.parquet: its logloss differs")


def test_order_of_rows_does_not_matter_with_a_key(plexrank: Plexrank, models: dict[str, pl.DataFrame]) -> None:
    expected = _json(plexrank, *FILES)["comparison"]
    models["good"].sample(fraction=1.0, shuffle=True, seed=1).write_parquet("good.parquet")
    assert _json(plexrank, *FILES, "--key", "id")["comparison"] == expected


def test_tables_slices_and_a_page(plexrank: Plexrank, models: dict[str, pl.DataFrame]) -> None:
    done = plexrank("compare", *FILES, *NAMED, "--by", "country", "--report", "page.html", "--json", "all.json")
    assert done.code == 0, done.err
    document = json.loads(Path("all.json").read_text())
    assert "auc: row less column" in done.out
    assert document["comparison"]["verdict"] in done.out
    assert {(some["column"], some["slice"]) for some in document["comparison"]["slices"]} == {
        ("country", "de"), ("country", "fr"),
    }  # fmt: skip
    for name, of_model in document["models"].items():
        auc = roc_auc_score(*(models[Path(name).stem][column] for column in ("click", "p")))
        assert of_model["metrics"]["auc"]["value"] == pytest.approx(auc, abs=1e-12)
    page = Path("page.html").read_text()
    assert document["comparison"]["verdict"].split(":")[0] in page


def test_the_bootstrap_by_user_gives_intervals(plexrank: Plexrank, models: dict[str, pl.DataFrame]) -> None:
    found = _json(plexrank, *FILES[:2], "--group", "user", "--bootstrap", "50")
    plain = _json(plexrank, *FILES[:2], "--group", "user")
    (first, _), (other, _) = (
        [d for d in some["comparison"]["differences"] if d["metric"] == "auc"] for some in (found, plain)
    )
    assert first["value"] == pytest.approx(other["value"], abs=1e-12)
    assert "bootstrap" in first["interval"]["method"]
    assert first["interval"] != other["interval"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("live.parquet",), "one model cannot be compared"),
        (("live.parquet", "live.parquet"), "a model is given twice"),
        (("live.parquet", "./live.parquet"), "a model is given twice"),
        ((*FILES, "--metric", "auk"), "models are not judged by 'auk' here; did you mean 'auc'?"),
        ((*FILES, "--metric", "gauc"), "none is declared; add --group"),
        ((*FILES, "--metric", "calibration_ratio"), "models are not judged by 'calibration_ratio' here"),
        ((*FILES, "short.parquet"), "give predictions of the same rows, or a --key"),
        ((*FILES, "--bootstrap", "9"), "add --group"),
    ],
)
def test_a_mistake_gets_one_sentence(
    plexrank: Plexrank, models: dict[str, pl.DataFrame], arguments: tuple[str, ...], words: str
) -> None:
    models["live"].head(10).write_parquet("short.parquet")
    done = plexrank("compare", *arguments, *NAMED)
    assert done.code == 2
    assert words in done.err


def test_equal_scores_differ_by_nothing(plexrank: Plexrank, models: dict[str, pl.DataFrame]) -> None:
    for name in ("same", "again"):
        models["live"].write_parquet(f"{name}.parquet")
    done = plexrank(
        "compare", "live.parquet", "same.parquet", "again.parquet", *NAMED, "--group", "user", "--json", "-"
    )
    found = json.loads(done.out)["comparison"]
    assert found["best"] == "live.parquet"
    assert {some["p_value"] for some in found["differences"]} == {1.0}
    # Not -0 either.
    ends = [some["interval"][end] for some in found["differences"] for end in ("low", "high")]
    assert {str(x) for x in (*ends, *(some["value"] for some in found["differences"]))} == {"0.0"}
    assert "-0.00000" not in found["verdict"]


def test_what_two_models_cannot_be_compared_by_says_why(plexrank: Plexrank, models: dict[str, pl.DataFrame]) -> None:
    models["good"].with_columns(pl.col("p") * 8 - 4).write_parquet("logits.parquet")
    done = plexrank("compare", "live.parquet", "logits.parquet", *NAMED)
    assert done.code == 0, done.err
    assert "give probabilities, not logits" in done.out
