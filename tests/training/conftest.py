"""A small prepared set that a ranker can learn something from, and run settings for it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

import features.datasets.batch
from common.errors import ConfigError
from common.settings import validate
from features.datasets.batch import Batch
from features.datasets.prepared import PreparedSet
from features.encoding.encoded import EncodedRows
from features.preparation.plan import Inputs
from features.preparation.prepare import prepare
from features.schema import parse_schema
from kernels.lookup.interface import Lookup
from models import registry
from models.ranker import Ranker
from training.optimizers import table_optimizer
from training.run import RunSettings

SCHEMA: dict[str, Any] = {
    "label": "click",
    "group": "user",
    "keep": ["request", "truth"],
    "features": [
        {"name": "user", "kind": "categorical", "entity": "user", "encoding": "vocabulary"},
        {"name": "item", "kind": "categorical", "entity": "item"},
        {"name": "price", "kind": "numeric", "entity": "item", "transforms": ["standardize"]},
        {"name": "history", "kind": "sequence", "entity": "user", "of": "item"},
    ],
}


def write_log(path: Path, rows: int, seed: int = 0) -> None:
    """A log whose clicks depend on user, item and price."""
    draw = np.random.default_rng(seed)
    user, item, price = draw.integers(0, 20, rows), draw.integers(0, 30, rows), draw.exponential(1, rows)
    truth = 1 / (1 + np.exp(-(np.sin(user * 7) * 1.5 + np.cos(item * 5) * 1.5 - price)))
    pl.DataFrame(
        {
            "request": [f"r{i}" for i in range(rows)],
            "truth": truth,
            "click": (draw.random(rows) < truth).astype(np.int8),
            "user": [f"u{i}" for i in user],
            "item": item,
            "price": [None if p < 0.1 else p for p in price],
            "history": [draw.integers(0, 30, n).tolist() for n in draw.integers(0, 4, rows)],
        },
        schema_overrides={"history": pl.List(pl.Int64)},
    ).write_parquet(path)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    write_log(folder / "log.parquet", 6000)
    prepare(parse_schema(SCHEMA, source="test"), Inputs([str(folder / "log.parquet")]), folder / "prepared")
    return folder / "prepared"


MakeRun = Callable[..., RunSettings]


@pytest.fixture
def make_run(prepared: Path, tmp_path: Path) -> MakeRun:
    def make(**changes: Any) -> RunSettings:
        document: dict[str, Any] = {
            "data": str(prepared),
            "output": str(tmp_path / "run"),
            "seed": 3,
            "model": {"name": "finalmlp", "mlp1": {"hidden": [16], "dropout": 0.1}, "mlp2": {"hidden": [8]}},
            "embedding": {"dim": 4, "rows": 500, "init_std": 0.01},
            "optimizer": {"learning_rate": 0.01},
            "training": {"batch_size": 256, "epochs": 3},
        }
        for section, values in changes.items():
            document[section] = {**document.get(section, {}), **values} if isinstance(values, dict) else values
        return validate(RunSettings, document, source="run", error=ConfigError)

    return make


BuildModel = Callable[..., Ranker]


@pytest.fixture
def build_model(prepared: Path) -> BuildModel:
    """Builds a run's model, always with the same weights, without dropout."""

    def build(run: RunSettings, **backend: Any) -> Ranker:
        torch.manual_seed(0)
        fitted, optimizer = PreparedSet(prepared).fitted, table_optimizer(run.optimizer)
        return registry.build_model(run.architecture, fitted, optimizer=optimizer, **backend).eval()

    return build


@pytest.fixture
def batches(prepared: Path) -> list[Batch]:
    """Some batches of training rows, 64 each and 8 in the last."""
    opened = PreparedSet(prepared)
    rows = EncodedRows.of(next(opened.shards("train")).head(200), opened.fitted.schema)
    return list(features.datasets.batch.batches(rows, 64))


def table_of(model: Ranker) -> Lookup:
    assert model.embedding.lookup is not None
    return model.embedding.lookup


def loss_of(model: Ranker, batch: Batch) -> torch.Tensor:
    loss: torch.Tensor = model(batch.dense, batch.sparse, batch.label)
    return loss
