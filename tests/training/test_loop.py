"""The loop: determinism, the best epoch, Ctrl-C, kill -9, and data that cannot be trained on."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml

from common.errors import ArtifactError, ConfigError, DataError
from evaluation.metrics.auc import auc
from features.datasets.prepared import PreparedSet
from features.preparation.plan import Inputs, SplitSettings
from features.preparation.prepare import prepare
from features.preparation.split import Fractions
from features.schema import parse_schema
from tests.training.conftest import SCHEMA, MakeRun, write_log
from training.artifact import Artifact
from training.loop import train
from training.predictions import predictions
from training.records import Epoch, RunRecords, Start
from training.run import RunSettings


class Records:
    """Collects what an observer is told."""

    def __init__(self) -> None:
        self.epochs: list[Epoch] = []
        self.steps: list[tuple[int, int, float]] = []
        self.closed = False

    def on_start(self, start: Start) -> None:
        self.start = start

    def on_step(self, epoch: int, step: int, loss: float, samples_per_second: float) -> None:
        self.steps.append((epoch, step, loss))

    def on_epoch(self, record: Epoch) -> None:
        self.epochs.append(record)

    def close(self) -> None:
        self.closed = True


def weights(folder: Path) -> bytes:
    return (folder / "weights.safetensors").read_bytes()


@pytest.mark.parametrize("embedding", ["rowwise_adagrad", "dense_adam"])
def test_the_same_seed_trains_the_same_weights(make_run: MakeRun, tmp_path: Path, embedding: str) -> None:
    trained = []
    for i, seed in enumerate((3, 3, 4)):
        run = make_run(seed=seed, output=str(tmp_path / f"run{i}"), optimizer={"embedding": embedding})
        trained.append(weights(train(run).artifact))
    assert trained[0] == trained[1]
    assert trained[0] != trained[2]


def test_it_learns_what_there_is_to_learn(make_run: MakeRun) -> None:
    records = Records()
    outcome = train(make_run(training={"batch_size": 128, "epochs": 20}), [records])
    scored = pl.concat(list(predictions(Artifact.load(outcome.artifact), PreparedSet(make_run().data), "test")))
    attainable = auc(scored["label"].to_numpy(), scored["truth"].to_numpy()).value
    reached = outcome.reports["test"].metric("auc").value
    assert attainable > 0.75
    assert reached is not None
    assert reached > attainable - 0.05
    assert records.closed
    start, rows = records.start, PreparedSet(make_run().data).rows("train")
    assert (start.model, start.rows, start.steps) == ("finalmlp", rows, -(-rows // 128))
    assert start.memory.startswith("table 0.0 MB")
    assert start.backend.startswith("fbgemm: ")


def test_it_learns_as_well_from_windows_as_from_a_whole_split(make_run: MakeRun, tmp_path: Path) -> None:
    reached = {}
    for memory in (2048, 0.05):  # 10^6 bytes; all 4,800 rows, and windows of 384 of them
        settings = {"batch_size": 128, "epochs": 20, "shuffle_memory_mb": memory}
        outcome = train(make_run(training=settings, output=str(tmp_path / f"run{memory}")))
        reached[memory] = outcome.reports["test"].metric("auc").value
    assert reached[0.05] == pytest.approx(reached[2048], abs=0.02)
    assert reached[0.05] != reached[2048]


@pytest.mark.slow
def test_a_worker_process_changes_nothing(make_run: MakeRun, tmp_path: Path) -> None:
    trained = [
        weights(train(make_run(training={"workers": workers}, output=str(tmp_path / f"run{workers}"))).artifact)
        for workers in (0, 1)
    ]
    assert trained[0] == trained[1]


def test_the_artifact_holds_the_best_epoch_not_the_last(make_run: MakeRun) -> None:
    records = Records()
    # A learning rate that overshoots, so that later epochs are worse.
    outcome = train(make_run(optimizer={"learning_rate": 0.2}, training={"epochs": 10, "patience": 3}), [records])
    best = max(records.epochs, key=lambda record: record.monitored)
    assert best.epoch == outcome.best_epoch
    assert outcome.epochs > outcome.best_epoch
    assert outcome.reports["valid"].metric("auc").value == pytest.approx(best.valid["auc"], abs=1e-12)
    assert records.epochs[-1].learning_rate < records.epochs[0].learning_rate


def test_the_run_leaves_lines_and_curves(make_run: MakeRun) -> None:
    run = make_run()
    train(run, [RunRecords(run.output)])
    lines = [json.loads(line) for line in (run.output / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    assert {"train_loss", "valid", "learning_rate", "samples_per_second"} <= lines[0].keys()
    assert list((run.output / "tensorboard").glob("events*"))


def test_predictions_stand_beside_their_rows(make_run: MakeRun, prepared: Path) -> None:
    artifact = Artifact.load(train(make_run()).artifact)
    scored = pl.concat(list(predictions(artifact, PreparedSet(prepared), "test")))
    raw = pl.read_parquet(prepared.parent / "log.parquet")
    assert scored.columns == ["request", "truth", "row", "label", "group", "score"]
    assert scored["request"].to_list() == [f"r{row}" for row in scored["row"]]
    assert scored["label"].to_list() == raw["click"].gather(scored["row"]).to_list()
    assert scored["score"].is_between(0, 1).all()


def test_another_schema_than_the_artifacts_is_refused(make_run: MakeRun, tmp_path: Path) -> None:
    artifact = Artifact.load(train(make_run()).artifact)
    write_log(tmp_path / "other.parquet", 500, seed=1)
    prepare(parse_schema(SCHEMA, source="test"), Inputs([str(tmp_path / "other.parquet")]), tmp_path / "other")
    with pytest.raises(ArtifactError, match="was prepared with schema"):
        next(predictions(artifact, PreparedSet(tmp_path / "other"), "test"))


def test_an_existing_artifact_is_kept_unless_told(make_run: MakeRun) -> None:
    before = weights(train(make_run()).artifact)
    with pytest.raises(ConfigError, match="add --overwrite"):
        train(make_run(seed=9))
    assert weights(make_run().output / "artifact") == before
    assert weights(train(make_run(seed=9), overwrite=True).artifact) != before


def test_a_set_that_cannot_judge_is_refused(make_run: MakeRun, tmp_path: Path) -> None:
    write_log(tmp_path / "log.parquet", 500)
    schema = parse_schema(SCHEMA, source="test")
    prepare(
        schema, Inputs([str(tmp_path / "log.parquet")]), tmp_path / "all_train", split=SplitSettings(Fractions(1, 0, 0))
    )
    with pytest.raises(ConfigError, match="has no valid rows"):
        train(make_run(data=str(tmp_path / "all_train")))
    one_class = pl.read_parquet(tmp_path / "log.parquet").with_columns(click=pl.lit(0))
    one_class.write_parquet(tmp_path / "zero.parquet")
    inputs = Inputs([str(tmp_path / "log.parquet")], valid=[str(tmp_path / "zero.parquet")])
    prepare(schema, inputs, tmp_path / "one_class")
    with pytest.raises(DataError, match="cannot judge by auc: all its 500 rows have label 0"):
        train(make_run(data=str(tmp_path / "one_class")))
    assert not make_run().output.exists() or not list(make_run().output.iterdir())
    by_logloss = make_run(data=str(tmp_path / "one_class"), training={"monitor": "logloss", "epochs": 1})
    assert train(by_logloss).epochs == 1


def test_a_diverging_run_says_so_and_leaves_no_artifact(make_run: MakeRun) -> None:
    run = make_run(optimizer={"learning_rate": 1e30, "clip_norm": None})
    with pytest.raises((DataError, ArtifactError), match=r"not finite.*lower"):
        train(run)
    assert not (run.output / "artifact").exists()


@pytest.fixture
def long_run(make_run: MakeRun, tmp_path: Path) -> tuple[RunSettings, list[str]]:
    """A run of far more epochs than a test waits for, and the command that starts it."""
    run = make_run(training={"epochs": 100_000, "patience": 100_000, "batch_size": 32}, machine={"compile": False})
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(run.model_dump(mode="json")))
    return run, [sys.executable, "-m", "commands.main", "train", "--config", str(path)]


def wait_for_epochs(run: RunSettings, process: subprocess.Popen[str], epochs: int) -> None:
    lines = run.output / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if lines.exists() and len(lines.read_text().splitlines()) >= epochs:
            return
        time.sleep(0.05)
    process.kill()
    pytest.fail(f"no {epochs} epochs: {process.communicate()}")


def start(command: list[str]) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, cwd=Path(__file__).parents[2], env=environment, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def test_ctrl_c_leaves_the_best_artifact_so_far(long_run: tuple[RunSettings, list[str]]) -> None:
    run, command = long_run
    process = start(command)
    wait_for_epochs(run, process, 2)
    process.send_signal(signal.SIGINT)
    output, problem = process.communicate(timeout=60)
    assert process.returncode == 130, problem
    assert "best epoch so far" in problem
    artifact = Artifact.load(run.output / "artifact")
    assert artifact.manifest["provenance"]["interrupted"] is True
    assert artifact.manifest["provenance"]["best_epoch"] >= 1
    assert "Wrote" in output


@pytest.mark.slow
def test_ctrl_c_reaches_a_run_with_worker_processes(long_run: tuple[RunSettings, list[str]]) -> None:
    run, command = long_run
    process = start([*command, "--set", "training.workers=2"])
    wait_for_epochs(run, process, 1)
    # A terminal sends it to the whole group, workers too.
    os.killpg(process.pid, signal.SIGINT)
    _, problem = process.communicate(timeout=60)
    assert process.returncode == 130, problem
    assert "Traceback" not in problem
    assert Artifact.load(run.output / "artifact").manifest["provenance"]["interrupted"] is True


def test_kill_leaves_nothing_a_command_takes_for_whole(long_run: tuple[RunSettings, list[str]]) -> None:
    run, command = long_run
    for _ in range(3):
        process = start(command)
        wait_for_epochs(run, process, 1)
        time.sleep(random.random() / 2)
        process.kill()
        process.communicate()
        assert not (run.output / "artifact").exists()
        with pytest.raises(ArtifactError, match="is no artifact"):
            Artifact.load(run.output)
    # The next run takes the place and clears what the killed ones left.
    finished = train(run.model_copy(update={"training": run.training.model_copy(update={"epochs": 1})}))
    assert Artifact.load(finished.artifact).manifest["provenance"]["epochs"] == 1
    assert [path.name for path in run.output.glob(".artifact*")] == []


def test_a_killed_run_goes_on_to_the_weights_of_an_unbroken_one(make_run: MakeRun, tmp_path: Path) -> None:
    settings = {
        "training": {"epochs": 8, "patience": 8, "batch_size": 32},
        "optimizer": {"schedule": {"warmup_steps": 200, "decay": "cosine"}},
    }
    unbroken = train(make_run(**settings, output=str(tmp_path / "unbroken")))
    run = make_run(**settings, output=str(tmp_path / "broken"))
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(run.model_dump(mode="json")))
    for epochs in (2, 4):
        process = start([sys.executable, "-m", "commands.main", "train", "--config", str(path)])
        wait_for_epochs(run, process, epochs)
        process.kill()
        process.communicate()
    records = Records()
    finished = train(run, [records, RunRecords(run.output)])
    assert 3 <= records.start.done < 8
    assert weights(finished.artifact) == weights(unbroken.artifact)
    lines = [json.loads(line) for line in (run.output / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == list(range(1, 9))
    assert sorted(path.name for path in run.output.glob("artifact/*")) == sorted(
        path.name for path in unbroken.artifact.glob("*")
    )


def test_scores_are_probabilities_of_the_logits(make_run: MakeRun, prepared: Path) -> None:
    artifact = Artifact.load(train(make_run()).artifact)
    scores = pl.concat(list(predictions(artifact, PreparedSet(prepared), "train")))["score"].to_numpy()
    assert scores.dtype == np.float64
    assert np.unique(scores).size > 0.9 * scores.size
