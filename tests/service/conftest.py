"""Real artifacts, trained for a moment on every kind of feature, and a real server that serves two of them."""

from collections.abc import Iterator

import httpx2 as httpx
import pytest
from starlette.testclient import TestClient

from features.preparation.plan import Inputs
from features.preparation.prepare import prepare
from features.schema import parse_schema
from service.app import create_app
from service.router import Router
from service.variants import load_variants
from tests.service.raw import SCHEMA, strange_rows, write_log
from tests.service.running import Serving, serve
from tests.service.trained import Trained, train_on


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("service")
    write_log(folder / "train.csv", 600, seed=0)
    write_log(folder / "valid.csv", 200, seed=1)
    strange_rows().write_parquet(folder / "test.parquet")
    inputs = Inputs(*([str(folder / name)] for name in ("train.csv", "valid.csv", "test.parquet")))
    prepare(parse_schema(SCHEMA, source="test"), inputs, folder / "prepared")
    features = [f for f in SCHEMA["features"] if f["name"] != "device"]
    features.append({"name": "weekday", "kind": "categorical", "entity": "context"})
    other = parse_schema({**SCHEMA, "features": features}, source="test")
    prepare(other, Inputs([str(folder / "train.csv")], [str(folder / "valid.csv")]), folder / "other-prepared")
    small = {"hidden": [8]}
    finalmlp = {"name": "finalmlp", "mlp1": small, "mlp2": small, "gates": {"hidden": [8]}, "heads": 2}
    return Trained(
        prepared=folder / "prepared",
        finalmlp=train_on(folder / "prepared", folder / "ours", finalmlp),
        lr=train_on(folder / "prepared", folder / "lr", {"name": "lr"}),
        other=train_on(folder / "other-prepared", folder / "other", {"name": "lr"}),
    )


@pytest.fixture(scope="session")
def client(trained: Trained) -> Iterator[TestClient]:
    """The app in this process, FinalMLP alone; what breaks it is answered, not raised."""
    scorers = load_variants([trained.finalmlp])
    app = create_app(scorers, Router(["ours"], [1], salt="plexrank"))
    with TestClient(app, raise_server_exceptions=False) as opened:
        yield opened


@pytest.fixture(scope="session")
def serving(trained: Trained) -> Iterator[Serving]:
    """The command serving FinalMLP and LR, 50/50, on a free port."""
    arguments = ["--artifact", str(trained.finalmlp), "--artifact", str(trained.lr), "--split", "50,50"]
    with serve(arguments) as running:
        yield running


@pytest.fixture(scope="session")
def http(serving: Serving) -> Iterator[httpx.Client]:
    """A client of the running server."""
    with httpx.Client(base_url=serving.url, timeout=60) as opened:
        yield opened
