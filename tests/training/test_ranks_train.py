"""The train command under torchrun: ranks share one run, and the artifact is like any other."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.training.conftest import MakeRun
from training.artifact import Artifact
from training.loop import train

ROOT = Path(__file__).parents[2]
SGD: dict[str, Any] = {
    # No dropout, which draws differently on each rank, and no batch normalisation, whose statistics are a rank's own.
    "model": {"mlp1": {"hidden": [16]}},
    "optimizer": {"embedding": "sgd", "embedding_learning_rate": 0.5},
    "training": {"epochs": 3, "batch_size": 64},
    "machine": {"precision": "fp32", "compile": False},
}


def torchrun(ranks: int, config: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    return subprocess.run(
        [*command, "-m", "commands.main", "train", "--config", str(config)],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=250, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_two_ranks_train_as_well_as_one(make_run: MakeRun, tmp_path: Path) -> None:
    alone = train(make_run(**SGD, output=str(tmp_path / "alone")))
    run = make_run(**SGD, output=str(tmp_path / "shared"))
    config = tmp_path / "run.yaml"
    config.write_text(yaml.safe_dump(run.model_dump(mode="json")))
    done = torchrun(2, config)
    assert done.returncode == 0, done.stderr
    # One rank speaks.
    assert done.stdout.count("Wrote ") == 1
    assert "cut row_wise among 2 ranks" in done.stderr
    artifact = Artifact.load(run.output / "artifact")
    assert artifact.manifest["provenance"]["ranks"] == 2
    expected = Artifact.load(alone.artifact)
    assert artifact.manifest["parameters"] == expected.manifest["parameters"]
    auc = artifact.manifest["metrics"]["test"]["metrics"]["auc"]["value"]
    reached = alone.reports["test"].metric("auc").value
    assert reached is not None
    # The ranks see the rows in another order.
    assert auc == pytest.approx(reached, abs=0.02)
    assert artifact.manifest["metrics"]["test"]["rows"] == alone.reports["test"].rows


@pytest.mark.slow
def test_what_ranks_cannot_share_is_one_sentence(make_run: MakeRun, tmp_path: Path) -> None:
    config = tmp_path / "run.yaml"
    for changes, sentence in (
        ({"backend": "fbgemm"}, "backend fbgemm cannot share a table among the processes of torchrun"),
        ({"optimizer": {"embedding": "dense_adam"}}, "has no dense gradient"),
    ):
        run = make_run(output=str(tmp_path / "run"), **changes)
        config.write_text(yaml.safe_dump(run.model_dump(mode="json")))
        done = torchrun(2, config)
        assert done.returncode != 0
        assert done.stderr.count(f"plexrank: {sentence}" if "backend" in changes else sentence) >= 1
        assert not (tmp_path / "run" / "artifact").exists()


def test_torchrec_without_torchrun_is_refused(make_run: MakeRun) -> None:
    from common.errors import ConfigError

    with pytest.raises(ConfigError, match="start the run with torchrun"):
        train(make_run(backend="torchrec"))
