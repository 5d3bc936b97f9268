"""A run that is stuck at an AUC of 0.5 from its start is said so, on the screen and in its records."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml

from features.preparation.plan import Inputs, SplitSettings
from features.preparation.prepare import prepare
from features.preparation.split import Fractions
from features.schema import parse_schema
from tests.commands.conftest import Plexrank

SCHEMA = {
    "label": "click",
    "features": [{"name": name, "kind": "categorical", "encoding": "vocabulary"} for name in ("user", "item")],
}
FGCNN = {"name": "fgcnn", "generation": {"kernel": 1, "channels": [2]}}


def data(folder: Path, *, learnable: bool) -> Path:
    """A prepared log whose clicks are like the toss of a coin, or depend on user and item."""
    folder.mkdir()
    draw, rows = np.random.default_rng(0), 30_000
    user, item = draw.integers(0, 10, rows), draw.integers(0, 10, rows)
    truth = 1 / (1 + np.exp(-np.sin(user) - np.cos(item))) if learnable else 0.5
    log = pl.DataFrame({"user": user, "item": item, "click": (draw.random(rows) < truth).astype(np.int8)})
    log.write_parquet(folder / "log.parquet")
    split = SplitSettings(Fractions(0.3, 0.6, 0.1))
    prepare(parse_schema(SCHEMA, source="test"), Inputs([str(folder / "log.parquet")]), folder / "data", split=split)
    return folder / "data"


def train(plexrank: Plexrank, prepared: Path, **model: Any) -> tuple[str, list[dict[str, Any]]]:
    """What the command says, and its records."""
    run = {
        "data": str(prepared),
        "output": str(prepared.parent / "run"),
        "model": model,
        "embedding": {"dim": 4},
        "training": {"epochs": 5, "patience": 5, "batch_size": 500},
        "machine": {"compile": False, "threads": 1},
    }
    (prepared.parent / "run.yaml").write_text(yaml.safe_dump(run))
    done = plexrank("train", "--config", prepared.parent / "run.yaml")
    assert done.code == 0, done.err
    lines = (prepared.parent / "run" / "metrics.jsonl").read_text().splitlines()
    return done.err, [json.loads(line) for line in lines]


@pytest.mark.parametrize("model", [{"name": "lr"}, FGCNN], ids=["lr", "fgcnn"])
def test_a_run_stuck_from_its_start_is_said_so(plexrank: Plexrank, tmp_path: Path, model: dict[str, Any]) -> None:
    said, records = train(plexrank, data(tmp_path / "coin", learnable=False), **model)
    assert len(records) == 5
    for record in records[:3]:
        auc = record["valid"]["auc"]
        assert auc == pytest.approx(0.5, abs=0.01)
        warning = record["warning"]
        assert warning.startswith(f"valid AUC {auc:.4f} after epoch {record['epoch']}: the model ranks no better than")
        assert f"Warning: {warning}" in said
        assert ("model.generation.batch_norm: false" in warning) == (model["name"] == "fgcnn")
    # Later it is no dead start; that training makes no gain shows by then.
    assert [record["warning"] for record in records[3:]] == [None, None]
    assert said.count("Warning: valid AUC") == 3


def test_a_run_that_learns_is_not(plexrank: Plexrank, tmp_path: Path) -> None:
    said, records = train(plexrank, data(tmp_path / "real", learnable=True), name="lr")
    assert records[0]["valid"]["auc"] > 0.6
    assert [record["warning"] for record in records] == [None] * 5
    assert "Warning" not in said
