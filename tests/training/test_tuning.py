"""The search: what it leaves, that it goes on after any end, and what becomes of trials that cannot be trained."""

import json
import multiprocessing
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from common.errors import ConfigError, DataError
from evaluation.search.search import Search
from evaluation.search.trial import Trial
from features.preparation.plan import Inputs
from features.preparation.prepare import prepare
from features.schema import parse_schema
from tests.training.conftest import SCHEMA, write_log
from training.artifact import Artifact
from training.loop import train
from training.run import load_run
from training.tuning.domain import Domain
from training.tuning.search import tune
from training.tuning.space import Space
from training.tuning.study import Pruner, opened

MakeSpace = Callable[..., Space]
SEARCH: dict[str, Any] = {
    "optimizer.learning_rate": {"log_uniform": [1e-3, 1e-1]},
    "model.mlp1.hidden": {"choice": [[16], [32, 8]]},
}


class Watched:
    """Collects what a watcher is told."""

    def __init__(self, at_epoch: Callable[[int, int], None] = lambda number, epoch: None) -> None:
        self.epochs: list[tuple[int, int]] = []
        self.trials: list[Trial] = []
        self.running = 0
        self._at_epoch = at_epoch

    def on_start(self, search: Search) -> None:
        self.began_with = len(search.trials)

    def on_epoch(self, number: int, epoch: int, value: float, search: Search) -> None:
        self.epochs.append((number, epoch))
        self.running = max(self.running, sum(trial.state == "running" for trial in search.trials))
        self._at_epoch(number, epoch)

    def on_trial(self, trial: Trial, search: Search) -> None:
        self.trials.append(trial)


def make_space(folder: Path, data: Path, search: dict[str, Any] | None = None, **changes: Any) -> Space:
    document: dict[str, Any] = {
        "data": str(data),
        "output": str(folder / "run"),
        "seed": 3,
        "model": {"name": "finalmlp", "mlp1": {"hidden": [16]}, "mlp2": {"hidden": [8]}},
        "embedding": {"dim": 4, "rows": 500, "init_std": 0.01},
        "optimizer": {"learning_rate": 0.01},
        "training": {"batch_size": 512, "epochs": 3},
        "search": SEARCH if search is None else search,
    }
    for section, values in changes.items():
        document[section] = {**document.get(section, {}), **values} if isinstance(values, dict) else values
    (folder / "run.yaml").write_text(yaml.safe_dump(document))
    return Space.load(folder / "run.yaml")


@pytest.fixture(scope="module")
def no_test(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The prepared set, its test shards gone."""
    folder = tmp_path_factory.mktemp("no_test") / "prepared"
    shutil.copytree(prepared, folder)
    shutil.rmtree(folder / "test")
    return folder


@pytest.fixture(scope="module")
def searched(no_test: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Space, Search]:
    """A search of four trials by one worker."""
    folder = tmp_path_factory.mktemp("searched")
    space = make_space(folder, no_test)
    found, interrupted = tune(space, folder / "search", Watched(), trials=4, seed=5)
    assert not interrupted
    return folder / "search", space, found


@pytest.fixture
def copied(searched: tuple[Path, Space, Search], tmp_path: Path) -> tuple[Path, Space, Search]:
    folder, space, found = searched
    shutil.copytree(folder, tmp_path / "search")
    return tmp_path / "search", space, found


def what_they_came_to(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def test_trials_are_trained_without_the_test_split(searched: tuple[Path, Space, Search]) -> None:
    folder, _, found = searched
    assert [trial.state for trial in found.trials] == ["finished"] * 4
    assert found.own == 0
    assert found.trials[0].values == {"optimizer.learning_rate": 0.01, "model.mlp1.hidden": [16]}
    assert len({trial.values["optimizer.learning_rate"] for trial in found.trials}) == 4
    best = found.best
    assert best is not None
    assert [path.name for path in (folder / "trials").iterdir()] == [str(best.number)]
    manifest = Artifact.load(folder / "trials" / str(best.number) / "artifact").manifest
    assert manifest["metrics"].keys() == {"valid"}


def test_the_best_run_file_trains_to_what_the_search_found(
    searched: tuple[Path, Space, Search], prepared: Path, tmp_path: Path
) -> None:
    folder, _, found = searched
    document = yaml.safe_load((folder / "best.yaml").read_text())
    assert "search" not in document
    assert document["output"] == str(folder / "best")
    # The set with its test split: the search had none.
    run = load_run(folder / "best.yaml", [f"data={prepared}", f"output={tmp_path / 'best'}"])
    outcome = train(run)
    best = found.best
    assert best is not None
    assert outcome.reports["valid"].metric("auc").value == pytest.approx(best.value, abs=1e-12)
    assert outcome.best_epoch == best.best_epoch
    assert "test" in outcome.reports
    interval = outcome.reports["valid"].metric("auc").interval
    assert interval is not None
    assert best.error == pytest.approx((interval.high - interval.low) / 3.92, rel=1e-3)


def test_a_search_that_is_over_begins_nothing_and_more_trials_go_on(copied: tuple[Path, Space, Search]) -> None:
    folder, space, found = copied
    watched = Watched()
    again, _ = tune(space, folder, watched, trials=4, seed=5)
    assert (watched.began_with, watched.trials, again.trials) == (4, [], found.trials)
    more, _ = tune(space, folder, watched, trials=5, seed=5)
    assert more.trials[:4] == found.trials
    assert [trial.number for trial in watched.trials] == [4]


@pytest.mark.slow
def test_a_trial_that_was_broken_off_is_taken_up_again(
    no_test: Path, searched: tuple[Path, Space, Search], tmp_path: Path
) -> None:
    space = make_space(tmp_path, no_test)

    def stop(number: int, epoch: int) -> None:
        if (number, epoch) == (2, 2):
            raise KeyboardInterrupt

    first, interrupted = tune(space, tmp_path / "search", Watched(stop), trials=4, seed=5)
    assert interrupted
    assert [trial.state for trial in first.trials] == ["finished", "finished", "running"]
    assert not multiprocessing.active_children()
    watched = Watched()
    tune(space, tmp_path / "search", watched, trials=4, seed=5)
    # Its first epoch had a checkpoint.
    assert watched.epochs[0] == (2, 2)
    assert what_they_came_to(tmp_path / "search") == what_they_came_to(searched[0])


def test_half_a_line_and_a_lock_left_by_a_kill_do_no_harm(copied: tuple[Path, Space, Search]) -> None:
    folder, space, found = copied
    journal = folder / "optuna.journal"
    with journal.open("a") as file:
        file.write('{"op_code":4,"study_')
    (folder / "optuna.journal.lock").symlink_to(journal)
    again, _ = tune(space, folder, Watched(), trials=4, seed=5)
    assert again.trials == found.trials


def test_a_damaged_journal_is_told(copied: tuple[Path, Space, Search]) -> None:
    folder, space, _ = copied
    lines = (folder / "optuna.journal").read_text().splitlines(keepends=True)
    (folder / "optuna.journal").write_text("".join([*lines[:5], "no json\n", *lines[6:]]))
    with pytest.raises(DataError, match="is damaged; remove"):
        tune(space, folder, Watched(), trials=4)


def test_valid_rows_of_one_label_are_refused_before_any_trial(no_test: Path, tmp_path: Path) -> None:
    shutil.copytree(no_test, tmp_path / "prepared")
    path = tmp_path / "prepared" / "prepared.json"
    document = json.loads(path.read_text())
    document["splits"]["valid"]["positives"] = 0
    path.write_text(json.dumps(document))
    with pytest.raises(DataError, match=r"cannot judge by auc: all its .* rows have label 0"):
        tune(make_space(tmp_path, tmp_path / "prepared"), tmp_path / "search", Watched(), trials=2)
    assert not (tmp_path / "search").exists()


def test_another_search_is_refused(copied: tuple[Path, Space, Search], no_test: Path, tmp_path: Path) -> None:
    folder, space_of_it, found = copied
    write_log(tmp_path / "log.parquet", 700, seed=1)
    prepare(parse_schema(SCHEMA, source="test"), Inputs([str(tmp_path / "log.parquet")]), tmp_path / "other")
    others = {
        "search space": make_space(tmp_path, no_test, {**SEARCH, "optimizer.learning_rate": {"uniform": [0.01, 0.1]}}),
        "run file": make_space(tmp_path, no_test, training={"epochs": 4}),
        "prepared set": make_space(tmp_path, tmp_path / "other"),
    }
    for what, space in others.items():
        with pytest.raises(ConfigError, match=f"holds a search with another {what}"):
            tune(space, folder, Watched(), trials=9)
    again, _ = tune(space_of_it, folder, Watched(), trials=4)
    assert again.trials == found.trials
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(ConfigError, match="already holds something that is no search"):
        tune(others["run file"], tmp_path / "full", Watched(), trials=1)


def test_one_process_searches_at_a_time(copied: tuple[Path, Space, Search]) -> None:
    folder, space, _ = copied
    with (
        opened(folder, space.domains, {}, seed=0, pruner="none", epochs=3),
        pytest.raises(ConfigError, match="another process is searching"),
    ):
        tune(space, folder, Watched(), trials=4)


@pytest.mark.slow
def test_workers_train_at_the_same_time(no_test: Path, tmp_path: Path) -> None:
    watched = Watched()
    found, _ = tune(make_space(tmp_path, no_test), tmp_path / "search", watched, trials=4, workers=2)
    assert [trial.state for trial in found.trials] == ["finished"] * 4
    assert watched.running == 2
    assert not multiprocessing.active_children()


def test_a_trial_that_falls_behind_is_ended_early(no_test: Path, tmp_path: Path) -> None:
    space = make_space(tmp_path, no_test, training={"epochs": 50, "patience": 50})
    with opened(tmp_path / "search", space.domains, {}, seed=0, pruner="median", epochs=50) as study:
        for _ in range(5):  # of trials better than any can be
            number, _ = study.begin()
            assert study.report(number, 1, 0.999)
            study.end(number, "finished", reason="", error=None, seconds=1.0)
    found, _ = tune(space, tmp_path / "search", Watched(), trials=6)
    pruned = found.trials[-1]
    assert (pruned.state, list(pruned.curve), pruned.reason) == ("pruned", [1], "after epoch 1")
    assert not list((tmp_path / "search" / "trials").iterdir())


@pytest.mark.parametrize(("pruner", "dropped"), [("median", True), ("hyperband", True), ("none", False)])
def test_pruners_drop_what_is_worse(tmp_path: Path, pruner: Pruner, dropped: bool) -> None:
    kept = []
    with opened(tmp_path, {"x": Domain(uniform=(0.0, 1.0))}, {}, seed=0, pruner=pruner, epochs=9) as study:
        for rank in range(20):
            number, _ = study.begin()
            kept.append(study.report(number, 1, 0.9 - 0.01 * rank))
            study.end(number, "finished" if kept[-1] else "pruned", reason="", error=None, seconds=1.0)
    assert kept[0]
    assert dropped == (not all(kept))


def test_what_cannot_be_trained_is_recorded_and_the_search_goes_on(no_test: Path, tmp_path: Path) -> None:
    search = {
        "optimizer.learning_rate": {"choice": [0.01, 1e30]},
        "optimizer.embedding": {"choice": ["rowwise_adagrad", "dense_adam"]},
        "optimizer.embedding_l2_all_rows": {"choice": [0.0, 1e-5]},
    }
    space = make_space(tmp_path, no_test, search, optimizer={"clip_norm": None}, training={"epochs": 1})
    found, _ = tune(space, tmp_path / "search", Watched(), trials=8)
    reasons = [trial.reason for trial in found.trials if trial.state == "failed"]
    assert any("not finite" in reason for reason in reasons)
    assert any("reaches every row at every step" in reason for reason in reasons)
    assert found.best is not None
    assert found.best.values["optimizer.learning_rate"] == 0.01


@pytest.mark.slow
def test_a_process_that_dies_fails_its_trial_alone(no_test: Path, tmp_path: Path) -> None:
    def kill(number: int, epoch: int) -> None:
        if number == 0:
            multiprocessing.active_children()[0].kill()

    found, _ = tune(make_space(tmp_path, no_test), tmp_path / "search", Watched(kill), trials=2)
    assert [trial.state for trial in found.trials] == ["failed", "finished"]
    assert "by signal 9" in found.trials[0].reason
    assert "fewer workers" in found.trials[0].reason


def test_a_space_that_never_fits_leaves_nothing(no_test: Path, tmp_path: Path) -> None:
    search = {"model.gates.context1": {"choice": [["country"], ["city"]]}}
    space = make_space(
        tmp_path, no_test, search, model={"gates": {"hidden": [8], "context1": ["user"], "context2": ["item"]}}
    )
    with pytest.raises(ConfigError, match=r"trial 0 does not fit: .*(country|city)"):
        tune(space, tmp_path / "search", Watched(), trials=3)
    assert not (tmp_path / "search").exists()


def test_no_trial_is_begun_when_the_time_is_up(no_test: Path, tmp_path: Path) -> None:
    found, _ = tune(make_space(tmp_path, no_test), tmp_path / "search", Watched(), trials=3, minutes=0)
    assert found.trials == ()
    assert found.best is None
