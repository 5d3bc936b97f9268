"""Variants side by side: names, and models that know different features."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from common.errors import ArtifactError, ConfigError
from features.preparation.plan import Inputs
from features.preparation.prepare import prepare
from features.schema import parse_schema
from service.app import create_app
from service.example import example_request
from service.router import Router
from service.scorer import Scorer
from service.variants import load_variants
from tests.service.raw import SCHEMA, good_request, write_log
from tests.service.trained import Trained, train_on


def test_variants_are_named_after_their_artifacts_or_as_told(trained: Trained) -> None:
    folders = [trained.finalmlp, trained.lr]
    assert [s.variant for s in load_variants(folders)] == ["ours", "lr"]
    named = load_variants([trained.lr, trained.lr], ["control", "treatment"])
    assert [s.variant for s in named] == ["control", "treatment"]
    assert named[0].model == named[1].model == f"lr@{named[0].artifact.digest[:12]}"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "2 variants are named 'lr'; give each a --name of its own"),
        (("a", "a"), "2 variants are named 'a'"),
        (("a",), "1 of 2 names are given"),
        (("a", "b c"), "'b c' cannot name a variant"),
        (("a", ""), "'' cannot name a variant"),
    ],
)
def test_bad_names_are_refused(trained: Trained, names: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_variants([trained.lr, trained.lr], names)


def _scores(scorers: list[Scorer], variant: str, request: dict[str, Any]) -> Any:
    weights = [int(scorer.variant == variant) for scorer in scorers]
    router = Router([scorer.variant for scorer in scorers], weights, salt="")
    with TestClient(create_app(scorers, router)) as client:
        return client.post("/v1/score", json=request).json().get("scores")


def test_each_variant_takes_its_own_features_of_a_request(trained: Trained) -> None:
    """Whoever asks does not know which variant will answer."""
    both = load_variants([trained.lr, trained.other])
    request = good_request()
    full = {**request, "context": {**request["context"], "weekday": 3}}
    without_device = {**full, "context": {k: v for k, v in full["context"].items() if k != "device"}}
    assert _scores(both, "lr", full) == _scores(load_variants([trained.lr]), "lr", request)
    assert _scores(both, "other", full) == _scores(load_variants([trained.other]), "other", without_device)
    # Alone, or unknown to both, it stays an error.
    assert _scores(load_variants([trained.lr]), "lr", full) is None
    assert _scores(both, "lr", {**full, "context": {"weekdya": 3}}) is None


def _trained_with(folder: Path, changes: dict[str, dict[str, Any]]) -> Path:
    """An artifact ``odd`` of a schema in which some features are declared otherwise."""
    write_log(folder / "log.csv", 300, seed=0)
    features = [changes.get(f["name"], f) for f in SCHEMA["features"]]
    schema = parse_schema({**SCHEMA, "features": features}, source="test")
    prepare(schema, Inputs([str(folder / "log.csv")]), folder / "prepared")
    return train_on(folder / "prepared", folder / "odd", {"name": "lr"})


def test_variants_may_encode_what_a_request_gives_in_their_own_ways(trained: Trained, tmp_path: Path) -> None:
    changes: dict[str, dict[str, Any]] = {
        "age": {"name": "age", "kind": "bucketized", "entity": "user", "edges": [30, 50], "encoding": "vocabulary"},
        "tags": {"name": "tags", "kind": "multivalued", "entity": "item", "separator": "|"},
        # What is a cross here is a feature of the request there.
        "cheap_by_hour": {"name": "device_by_hour", "kind": "cross", "of": ["device", "hour"]},
        "raw": {"name": "cheap_by_hour", "column": "raw", "kind": "numeric"},
    }
    both = load_variants([trained.lr, _trained_with(tmp_path, changes)])
    request = good_request()
    full = {**request, "context": {**request["context"], "cheap_by_hour": 0.5}}
    young = {**full, "user": {**request["user"], "age": 20}}
    assert len(_scores(both, "odd", full)) == 3
    assert _scores(both, "odd", full) != _scores(both, "odd", young)
    assert _scores(both, "lr", full) == _scores(load_variants([trained.lr]), "lr", request)


def test_variants_that_disagree_on_a_feature_are_refused(trained: Trained, tmp_path: Path) -> None:
    odd = _trained_with(tmp_path, {"hour": {"name": "hour", "kind": "categorical", "entity": "user"}})
    with pytest.raises(ConfigError, match="'hour' is categorical of the context to 'lr' and categorical of the user"):
        load_variants([trained.lr, odd])


def test_a_damaged_artifact_is_refused(trained: Trained, tmp_path: Path) -> None:
    damaged = shutil.copytree(trained.lr, tmp_path / "damaged")
    weights = damaged / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"weights\.safetensors was changed after it was written"):
        load_variants([trained.finalmlp, damaged])


def test_the_example_fits_every_schema(trained: Trained) -> None:
    for scorer in load_variants([trained.finalmlp, trained.other]):
        example = example_request(scorer.artifact.fitted.schema)
        assert len(_scores([scorer], scorer.variant, example)) == 2
        assert example["user"].keys() == {"age", "recent_ads", "age_band"}
        assert example["candidates"][0]["features"].keys() == {"category", "price", "tags"}
        assert len(example["context"]) == 3
