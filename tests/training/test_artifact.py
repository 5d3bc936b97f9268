"""The artifact: whole or refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from common.errors import ArtifactError
from features.datasets.prepared import PreparedSet
from features.encoding.encoded import EncodedRows
from kernels.lookup.quantized import TablePrecision
from tests.training.conftest import MakeRun
from training.artifact import Artifact
from training.loop import train


@pytest.fixture
def artifact(make_run: MakeRun) -> Path:
    return train(make_run(training={"epochs": 1})).artifact


def test_it_holds_what_the_design_says_and_no_pickle(artifact: Path) -> None:
    files = sorted(str(p.relative_to(artifact)) for p in artifact.rglob("*") if p.is_file())
    assert files == ["manifest.json", "model.json", "schema.json", "vocabulary/user.parquet", "weights.safetensors"]
    manifest = json.loads((artifact / "manifest.json").read_text())
    assert sorted(manifest["files"]) == files[1:]
    assert manifest["metrics"]["test"]["metrics"]["auc"]["value"] is not None
    assert manifest["provenance"]["run"]["seed"] == 3
    assert manifest["name"] == "run"


def test_it_scores_the_same_after_a_round_trip(artifact: Path, prepared: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(artifact, tmp_path / "elsewhere")
    opened = PreparedSet(prepared)
    rows = EncodedRows.of(next(opened.shards("test")), opened.fitted.schema)
    first, second = Artifact.load(artifact), Artifact.load(copied)
    assert first.score(rows).tobytes() == second.score(rows).tobytes()
    assert first.digest == second.digest
    assert not first.model.training


@pytest.mark.parametrize(("precision", "off"), [("fp16", 1e-3), ("int8", 1e-2)])
def test_a_table_of_fewer_bits_scores_nearly_the_same(
    make_run: MakeRun, prepared: Path, precision: TablePrecision, off: float
) -> None:
    artifact = train(make_run(training={"epochs": 10}, embedding={"init_std": 0.1})).artifact
    opened = PreparedSet(prepared)
    rows = EncodedRows.of(next(opened.shards("test")), opened.fitted.schema)
    expected = Artifact.load(artifact).score(rows)
    found = Artifact.load(artifact, table=precision).score(rows)
    assert 0 < np.abs(found - expected).max() < off


@pytest.mark.parametrize(
    "name", ["manifest.json", "model.json", "schema.json", "vocabulary/user.parquet", "weights.safetensors"]
)
def test_one_changed_byte_is_refused(artifact: Path, name: str) -> None:
    path = artifact / name
    whole = path.read_bytes()
    for position in {0, len(whole) // 3, len(whole) // 2, len(whole) - 1}:
        changed = bytearray(whole)
        changed[position] ^= 0x01
        path.write_bytes(changed)
        with pytest.raises(ArtifactError, match=name.replace(".", r"\.")):
            Artifact.load(artifact)
    path.write_bytes(whole)
    Artifact.load(artifact)


def test_a_missing_file_is_refused(artifact: Path) -> None:
    (artifact / "vocabulary" / "user.parquet").unlink()
    with pytest.raises(ArtifactError, match=r"user\.parquet is missing"):
        Artifact.load(artifact)


def test_a_file_too_many_is_refused(artifact: Path) -> None:
    (artifact / "extra.pkl").write_bytes(b"x")
    with pytest.raises(ArtifactError, match=r"extra\.pkl does not belong to the artifact"):
        Artifact.load(artifact)


def test_a_link_out_of_the_folder_is_refused(artifact: Path, tmp_path: Path) -> None:
    weights = artifact / "weights.safetensors"
    weights.rename(tmp_path / "weights.safetensors")
    weights.symlink_to(tmp_path / "weights.safetensors")
    with pytest.raises(ArtifactError, match=r"weights\.safetensors"):
        Artifact.load(artifact)


def test_an_unfinished_folder_and_a_run_folder_are_told_apart(artifact: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"give .*artifact"):
        Artifact.load(artifact.parent)
    with pytest.raises(ArtifactError, match="run plexrank train"):
        Artifact.load(tmp_path)


def test_another_format_is_refused(artifact: Path) -> None:
    path = artifact / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, "format": 2}))
    with pytest.raises(ArtifactError, match="has format 2, this plexrank reads 1"):
        Artifact.load(artifact)
