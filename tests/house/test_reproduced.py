"""The recorded runs of the reproduction: each is of a run file that says the same today, and stands in the report."""

from pathlib import Path

import pytest

from benchmarks import _reproduced, reproduce
from benchmarks._reproduced import Reproduced

RUNS = _reproduced.read(reproduce.RECORDED)


@pytest.mark.parametrize("run_file", sorted({run.run_file for run in RUNS}))
def test_a_recorded_run_file_says_what_it_said(run_file: str) -> None:
    """Where this fails, `python -m benchmarks.reproduce --only RUN_FILE` trains it anew."""
    recorded = {run.recipe for run in RUNS if run.run_file == run_file}
    assert recorded == {_reproduced.recipe(reproduce.ROOT / "configs" / f"{run_file}.yaml")}


def test_every_run_is_recorded_once_and_reported() -> None:
    lines = list(reproduce.report(reproduce.leaderboard(RUNS), RUNS, "today", "command", "stem"))
    for run in RUNS:
        of_run = [line for line in lines if line.startswith(f"| {run.run_file} | {run.seed} |")]
        assert len(of_run) == 1
        assert f"{run.test.auc:.6f}" in of_run[0]


def test_records_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    assert _reproduced.read(path) == []
    _reproduced.write(path, reversed(RUNS))
    assert _reproduced.read(path) == RUNS


def test_what_a_run_comes_to_is_recorded() -> None:
    """All that the leaderboard shows of a run is there again."""
    for run in RUNS:
        seen = run.run("data")
        run_file = reproduce.ROOT / "configs" / f"{run.run_file}.yaml"
        assert Reproduced.of(seen, run_file, run.date) == run
