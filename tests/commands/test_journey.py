"""From a raw log to a scored answer, by the command line alone."""

import json
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.commands.conftest import Plexrank

ROOT = Path(__file__).parents[2]
CRITEO = ROOT.parent / "shared" / "data" / "criteo"


@pytest.fixture
def simulated(plexrank: Plexrank, tmp_path: Path) -> Path:
    """A folder with a prepared simulated log."""
    plexrank("simulate", "--output", tmp_path / "ads", "--rows", 20_000, "--users", 500, "--ads", 100)
    done = plexrank(
        "prepare", "--schema", tmp_path / "ads" / "schema.yaml", "--input", tmp_path / "ads" / "log",
        "--split-by", "time", "--output", tmp_path / "prepared",
    )  # fmt: skip
    assert done.code == 0, done.err
    return tmp_path


def test_simulate_prepare_train_evaluate_score(plexrank: Plexrank, simulated: Path) -> None:
    data, run = simulated / "prepared", simulated / "run"
    trained = plexrank(
        "train", "--config", ROOT / "configs" / "simulated_lr.yaml", "--set", f"data={data}", "--set", f"output={run}",
        "--set", "training.epochs=2",
    )  # fmt: skip
    assert trained.code == 0, trained.err
    assert "Training lr" in trained.err
    evaluated = plexrank(
        "evaluate", "--artifact", run / "artifact", "--data", data, "--truth", "true_probability", "--json", "-"
    )
    report: dict[str, Any] = json.loads(evaluated.out)
    assert 0.5 < report["metrics"]["auc"]["value"] < report["attainable_auc"] < 0.9
    small = plexrank("evaluate", "--artifact", run / "artifact", "--data", data, "--table", "int8", "--json", "-")
    exact, of_int8 = (found["metrics"]["logloss"]["value"] for found in (report, json.loads(small.out)))
    assert 0 < abs(of_int8 - exact) < 0.01
    shown = plexrank("evaluate", "--artifact", run / "artifact", "--data", data, "--json", simulated / "report.json")
    assert f"{report['metrics']['auc']['value']:.5f}" in shown.out
    assert json.loads((simulated / "report.json").read_text())["metrics"] == report["metrics"]

    for name in ("scores.parquet", "scores.csv"):
        output = simulated / name
        assert plexrank("score", "--artifact", run / "artifact", "--data", data, "--output", output).code == 0
        scores = pl.read_parquet(output) if output.suffix == ".parquet" else pl.read_csv(output)
        assert scores.height == report["rows"]
        assert scores.columns == ["request_id", "true_probability", "row", "label", "group", "score"]
    again = plexrank("score", "--artifact", run / "artifact", "--data", data, "--output", simulated / "scores.csv")
    assert again.code == 2
    assert "add --overwrite" in again.err


@pytest.mark.skipif(not CRITEO.is_dir(), reason="the Criteo sample is not beside the project, in ../shared/data/criteo")
def test_criteo_is_served_with_the_scores_it_has_offline(plexrank: Plexrank, tmp_path: Path) -> None:
    raw, data, run = tmp_path / "raw", tmp_path / "prepared", tmp_path / "run"
    assert plexrank("dataset", "criteo", "--source", CRITEO, "--output", raw).code == 0
    prepared = plexrank("prepare", "--schema", raw / "schema.yaml", "--input", raw / "log", "--output", data)
    assert prepared.code == 0, prepared.err
    trained = plexrank(
        "train", "--config", ROOT / "configs" / "criteo_finalmlp.yaml", "--set", f"data={data}",
        "--set", f"output={run}", "--set", "training.epochs=3",
    )  # fmt: skip
    assert trained.code == 0, trained.err
    report = json.loads(plexrank("evaluate", "--artifact", run / "artifact", "--data", data, "--json", "-").out)
    assert report["metrics"]["auc"]["value"] > 0.65
    assert (
        plexrank("score", "--artifact", run / "artifact", "--data", data, "--output", tmp_path / "s.parquet").code == 0
    )
    offline = pl.read_parquet(tmp_path / "s.parquet").head(200)
    rows = pl.concat([pl.read_parquet(file) for file in sorted((raw / "log").iterdir())])[offline["row"].to_list()]

    command = [sys.executable, "-m", "commands.main", "serve", "--artifact", str(run / "artifact"), "--port", "0"]
    environment = {**os.environ, "COLUMNS": "200"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        try:
            url = next(found[0] for line in server.stdout if (found := re.search(r"http://[\d.:]+", line)))
            served = [post(url, row) for row in rows.drop("label").to_dicts()]
        finally:
            server.terminate()
            server.communicate(timeout=30)
    assert server.returncode == 0
    difference = (pl.Series(served) - offline["score"]).abs().max()
    assert isinstance(difference, float)
    assert difference < 1e-6
    assert len(set(served)) > 150


def post(url: str, row: dict[str, Any]) -> float:
    """The score of one raw row; all of Criteo's features describe the moment."""
    body = {"user_id": "anyone", "context": row, "candidates": [{"id": "it"}]}
    request = urllib.request.Request(f"{url}/v1/score", json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        score: float = json.load(response)["scores"][0]["score"]
    return score
