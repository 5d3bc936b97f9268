"""Every ranker on real and on simulated rows, by the command line alone: train, judge, explain, export, serve."""

import contextlib
import json
import os
import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2 as httpx
import polars as pl
import pytest
import torch
import yaml

from features.datasets.batch import Batch
from features.datasets.prepared import PreparedSet
from features.encoding.encoded import EncodedRows
from features.loaders import frappe
from features.preparation.plan import Inputs
from features.preparation.prepare import prepare
from features.schema import Schema, load_schema, parse_schema
from features.simulation.simulation import simulate
from models.catalogue import names
from tests.commands.conftest import Plexrank

FRAPPE = Path(__file__).parents[3] / "shared" / "data" / "frappe"
SERVED = 5  # rows of each set that are asked of the server
MLP = {"hidden": [8], "batch_norm": True}
ATTENTION = {"layers": 1, "width": 4}
GENERATION = {"channels": [2], "kernel": 3, "recombined": 1}
SMALL: dict[str, dict[str, Any]] = {
    "autoint": {"attention": ATTENTION},
    "finalmlp": {"mlp1": MLP, "mlp2": MLP, "gates": {"hidden": [4]}, "heads": 2},
    "fgcnn": {"generation": GENERATION, "classifier": {"name": "ipnn", "mlp": MLP}},
    "xdeepfm": {"maps": [2]},
}
"""Settings of the rankers whose defaults take long; any other is as it is by default."""

VARIANTS: dict[str, dict[str, Any]] = {name: {"name": name, **SMALL.get(name, {})} for name in names()} | {
    "autoint+": {"name": "autoint", "attention": ATTENTION, "mlp": MLP, "wide": True},
    "dcnv2 stacked": {"name": "dcnv2", "structure": "stacked"},
    "finalnet of one block": {"name": "finalnet", "block2": None},
    "masknet serial": {"name": "masknet", "structure": "serial"},
    "fgcnn over deepfm": {"name": "fgcnn", "generation": GENERATION, "classifier": {"name": "deepfm", "mlp": MLP}},
}


@dataclass(frozen=True)
class Rows:
    """A prepared set.

    Attributes:
        folder: Where it lies.
        raw: The raw rows of all splits, numbered as ``plexrank score`` numbers them.
        schema: What the columns are.
        embedding: A small table for it.
    """

    folder: Path
    raw: pl.DataFrame
    schema: Schema
    embedding: dict[str, Any]


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """The simulated log, with tags and a vocabulary besides."""
    folder = tmp_path_factory.mktemp("simulated")
    made = simulate(folder / "ads", rows=3_000, users=60, ads=40, click_rate=0.3)
    (log,) = made.files
    raw = pl.read_parquet(log).with_columns(tags=pl.concat_list("category", "placement"))
    raw.write_parquet(folder / "log.parquet")
    document = yaml.safe_load(made.schema.read_text())
    document["features"] += [
        {"name": "tags", "kind": "multivalued", "entity": "item"},
        {"name": "age_band", "column": "age", "kind": "bucketized", "entity": "user", "buckets": 4},
    ]
    country = next(feature for feature in document["features"] if feature["name"] == "country")
    country["encoding"] = "vocabulary"
    schema = parse_schema(document, source="test")
    assert {"numeric", "multivalued", "sequence"} <= {feature.kind for feature in schema.features}
    prepare(schema, Inputs([str(folder / "log.parquet")]), folder / "prepared")
    return Rows(folder / "prepared", raw, schema, {"rows": 2_000})


@pytest.fixture(scope="module")
def frappe_resampled(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """A few thousand rows of Frappe."""
    if not FRAPPE.is_dir():
        pytest.skip("Frappe is not beside the project, in ../shared/data/frappe")
    folder = tmp_path_factory.mktemp("frappe")
    loaded = frappe.load(FRAPPE, folder / "frappe")
    inputs = []
    for split, rows in (("train", 3_000), ("valid", 500), ("test", 500)):
        inputs.append(folder / f"{split}.parquet")
        pl.read_parquet(folder / "frappe" / f"{split}.parquet").sample(rows, seed=0).write_parquet(inputs[-1])
    schema = load_schema(loaded.schema)
    train, valid, test = ([str(path)] for path in inputs)
    prepare(schema, Inputs(train, valid, test), folder / "prepared")
    return Rows(folder / "prepared", pl.concat(pl.read_parquet(path) for path in inputs), schema, {})


@pytest.mark.slow
@pytest.mark.parametrize("data", ["simulated", "frappe_resampled"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_ranker_from_its_run_file_to_a_served_score(
    plexrank: Plexrank, request: pytest.FixtureRequest, tmp_path: Path, variant: str, data: str
) -> None:
    rows: Rows = request.getfixturevalue(data)
    artifact = tmp_path / "run" / "artifact"

    def run(*arguments: str | Path) -> str:
        done = plexrank(*arguments)
        assert done.code == 0, done.err
        return done.out

    document = {
        "data": str(rows.folder),
        "output": str(tmp_path / "run"),
        "model": VARIANTS[variant],
        "embedding": {"dim": 4, "init_std": 0.1, **rows.embedding},
        "optimizer": {"learning_rate": 0.01},
        "training": {"epochs": 1, "batch_size": 256},
        "machine": {"precision": "fp32", "compile": False},
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(document))
    run("train", "--config", tmp_path / "run.yaml")

    judged = json.loads(run("evaluate", "--artifact", artifact, "--data", rows.folder, "--json", "-"))
    run("score", "--artifact", artifact, "--data", rows.folder, "--output", tmp_path / "scores.parquet")
    scored = pl.read_parquet(tmp_path / "scores.parquet")
    scores, clicked = scored["score"], scored["label"] == 1
    assert scores.n_unique() > 0.5 * len(scores)
    assert judged["rows"] == len(scores)
    logloss = -pl.select(pl.when(clicked).then(scores).otherwise(1 - scores).log()).to_series().mean()  # type: ignore[operator]
    assert judged["metrics"]["logloss"]["value"] == pytest.approx(logloss, abs=1e-9)

    explained = json.loads(
        run(
            "explain", "--artifact", artifact, "--data", rows.folder, "--rows", "200", "--repeats", "1",
            "--pairs", "2", "--json", "-",
        )
    )  # fmt: skip
    assert {found["name"] for found in explained["model"]["features"]} == {
        feature.name for feature in rows.schema.features
    }
    assert (explained["attention"] is not None) == (VARIANTS[variant]["name"] == "autoint")

    program = tmp_path / "ranker.pt2"
    run("export", "--artifact", artifact, "--data", rows.folder, "--rows", "100", "--output", program)
    (shard,) = PreparedSet(rows.folder).shards("test")
    batch = Batch.of(EncodedRows.of(shard, rows.schema))
    offsets = batch.sparse.offsets() if data == "simulated" else None
    with torch.no_grad():
        logits = torch.export.load(program).module()(batch.dense, batch.sparse.values(), offsets)
    torch.testing.assert_close(torch.sigmoid(logits.double()), scores.to_torch(), rtol=0, atol=1e-6)

    shown = scored.head(SERVED)
    asked = [request_of(row, rows.schema) for row in rows.raw[shown["row"].to_list()].to_dicts()]
    with answers(asked) as (port, served):
        run("serve", "--artifact", artifact, "--port", str(port))
    assert served == pytest.approx(shown["score"].to_list(), abs=1e-6)


def request_of(row: dict[str, Any], schema: Schema) -> dict[str, Any]:
    """A raw row as the body that scores it."""
    given: dict[str, dict[str, Any]] = {"user": {}, "context": {}, "item": {}}
    for feature in schema.given:
        if feature.name not in schema.entities.values():
            given[feature.entity][feature.name] = row[feature.source]
    return {
        "user_id": row[schema.entities["user"]],
        "user": given["user"],
        "context": given["context"],
        "candidates": [{"id": row[schema.entities["item"]], "features": given["item"]}],
    }


@contextlib.contextmanager
def answers(requests: Sequence[dict[str, Any]]) -> Iterator[tuple[int, list[float]]]:
    """Ask the server that the block runs for scores, and then end it by SIGTERM.

    Yields:
        The port that the server is to listen on, and a list that has a score a request when the block is over.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    scores: list[float] = []
    over = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as http:
            while not over.wait(0.02):
                with contextlib.suppress(httpx.TransportError):  # it does not listen yet
                    http.get("/readyz")
                    break
            try:
                for body in requests if not over.is_set() else ():
                    scores.append(http.post("/v1/score", json=body).json()["scores"][0]["score"])
            finally:
                if not over.is_set():
                    os.kill(os.getpid(), signal.SIGTERM)

    client = threading.Thread(target=ask)
    client.start()
    try:
        yield port, scores
    finally:
        over.set()
        client.join()
