"""Finished runs: found wherever they lie, read as they were written, and refused where they were changed."""

import json
import shutil
from pathlib import Path

import pytest

from common.errors import ArtifactError, ConfigError
from tests.training.conftest import MakeRun
from training.artifact import Artifact
from training.finished import find_runs, read_run
from training.loop import train
from training.records import RunRecords


@pytest.fixture
def trained(make_run: MakeRun, tmp_path: Path) -> Path:
    """A run of two epochs."""
    settings = make_run(training={"epochs": 2, "patience": 2}, output=str(tmp_path / "runs" / "finalmlp_3"))
    train(settings, [RunRecords(settings.output)])
    return settings.output


def test_a_run_is_read_as_it_was_trained(trained: Path) -> None:
    run = read_run(trained)
    manifest = Artifact.load(trained / "artifact").manifest
    records = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    assert (run.model, run.name, run.seed, run.epochs) == ("finalmlp", "finalmlp", 3, 2)
    assert run.parameters == manifest["parameters"]
    assert run.settings["model.mlp1.hidden"] == [16]
    assert run.settings["embedding.dim"] == 4
    assert {split: report.to_json_dict() for split, report in run.reports.items()} == manifest["metrics"]
    assert run.speeds == tuple(record["samples_per_second"] for record in records)
    assert run.seconds == sum(record["seconds"] for record in records)
    assert [some.split()[0] for some in run.machine] == ["device", "precision", "compile", "threads"]
    assert run.recipe["machine.precision"] in ("fp32", "bf16")
    assert not {"seed", "output", "machine.threads"} & set(run.recipe)


def test_runs_are_found_by_folder_artifact_glob_and_above_each_once(trained: Path, tmp_path: Path) -> None:
    other = trained.parent / "deep" / "lr_1"
    shutil.copytree(trained, other)
    both = [other, trained]
    for paths in (
        [str(tmp_path)],
        [str(tmp_path), str(trained)],
        [str(trained), str(other)],
        [str(trained / "artifact"), str(other)],
        [str(tmp_path / "**" / "*_[13]")],
    ):
        assert find_runs(paths) == (both, [])


def test_unfinished_runs_are_told_apart(trained: Path) -> None:
    begun, recorded = trained.parent / "begun", trained.parent / "recorded"
    (begun / ".artifact.partial-0123").mkdir(parents=True)
    recorded.mkdir()
    (recorded / "metrics.jsonl").write_text("")
    (trained.parent / "prepared").mkdir()
    assert find_runs([str(trained.parent)]) == ([trained], [begun, recorded])
    # A finished run that is trained anew stays finished.
    (trained / ".artifact.partial-0123").mkdir()
    assert find_runs([str(trained)]) == ([trained], [])


@pytest.mark.parametrize("path", ["nowhere", "no_*"])
def test_nothing_at_a_path_is_a_sentence(tmp_path: Path, path: str) -> None:
    with pytest.raises(ConfigError, match=r"there is nothing at .*; give output folders of plexrank train"):
        find_runs([str(tmp_path / path)])


def test_a_changed_figure_is_refused(trained: Path) -> None:
    path = trained / "artifact" / "manifest.json"
    text = path.read_text()
    auc = json.loads(text)["metrics"]["test"]["metrics"]["auc"]["value"]
    path.write_text(text.replace(str(auc), str(auc + 0.01)))
    with pytest.raises(ArtifactError, match=r"manifest\.json was changed after it was written"):
        read_run(trained)


@pytest.mark.parametrize("records", [None, "", '{"epoch": 1}\n', "{", '{"epoch": 1, "seconds": 1}\n{"epoch": 2}\n'])
def test_records_of_another_training_tell_no_speed(trained: Path, records: str | None) -> None:
    path = trained / "metrics.jsonl"
    path.unlink()
    if records is not None:
        path.write_text(records)
    run = read_run(trained)
    assert (run.speeds, run.speed, run.seconds) == ((), None, None)
    assert run.epochs == 2
