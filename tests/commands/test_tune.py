"""plexrank tune from the command line: what it says, and that it goes on after Ctrl-C and after a kill."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from features.preparation.plan import Inputs
from features.preparation.prepare import prepare
from features.schema import parse_schema
from tests.commands.conftest import Plexrank
from tests.training.conftest import SCHEMA, write_log

ROOT = Path(__file__).parents[2]
RUN: dict[str, Any] = {
    "data": "prepared",
    "output": "run",
    "model": {"name": "lr"},
    "embedding": {"rows": 500},
    "training": {"batch_size": 256, "epochs": 3, "monitor": "logloss"},
    "search": {"optimizer.learning_rate": {"log_uniform": [1e-4, 1e-1]}, "embedding.rows": {"choice": [50, 500]}},
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_log(Path("log.parquet"), 2000)
    prepare(parse_schema(SCHEMA, source="test"), Inputs(["log.parquet"]), Path("prepared"))
    write_run()
    return tmp_path


def write_run(**changes: Any) -> None:
    Path("run.yaml").write_text(yaml.safe_dump({**RUN, **changes}, sort_keys=False))


def came_to(output: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in Path(output, "trials.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def test_a_search_and_the_run_it_finds(plexrank: Plexrank) -> None:
    done = plexrank("tune", "--config", "run.yaml", "--output", "search", "--trials", "3")
    assert done.code == 0, done.err
    found = came_to("search")
    best = min(found, key=lambda trial: trial["logloss"])
    assert [trial["state"] for trial in found] == ["finished"] * 3
    assert found[0]["values"] == {"optimizer.learning_rate": 0.001, "embedding.rows": 500}
    for words in (
        "The best of 3 trials (3 finished)",
        f"The run file's own values, trial 0: logloss {found[0]['logloss']:.5f}",
        f"logloss {best['logloss']:.5f} is the lowest of 9 values on the same valid rows (3 trials, every epoch)",
        "the test split, which the search has not looked at",
        "Next: plexrank train --config search/best.yaml",
    ):
        assert words in done.out
    assert f"trial {best['trial']} finished logloss {best['logloss']:.5f}: learning_rate" in done.err
    page = Path("search/report.html").read_text()
    assert page.count('<svg class="drawn"') == 4
    assert "Not drawn: at least ten trials must finish to tell." in page
    trained = plexrank("train", "--config", "search/best.yaml")
    assert trained.code == 0, trained.err
    assert f"{best['logloss']:.5f}" in trained.out
    assert "search section" not in trained.err


def test_training_says_that_the_search_section_is_not_its_own(plexrank: Plexrank) -> None:
    trained = plexrank("train", "--config", "run.yaml", "--set", "training.epochs=1")
    assert trained.code == 0
    assert "The search section of run.yaml is for plexrank tune; this trains with the file's own values." in trained.err


def test_a_search_in_which_nothing_finishes_says_so(plexrank: Plexrank) -> None:
    write_run(
        search={"optimizer.learning_rate": {"log_uniform": [1e39, 1e40]}},
    )
    done = plexrank("tune", "--config", "run.yaml", "--output", "search", "--trials", "2")
    assert done.code == 2
    assert "No trial has finished; search/trials.jsonl says why not." in done.err
    assert all("not finite" in trial["reason"] for trial in came_to("search"))
    assert not Path("search/best.yaml").exists()
    assert "Not drawn: no trial has been judged." in Path("search/report.html").read_text()


def test_a_search_without_time_says_so_and_goes_on_later(plexrank: Plexrank) -> None:
    search = ("tune", "--config", "run.yaml", "--output", "search", "--trials", "1")
    late = plexrank(*search, "--timeout", "0")
    assert late.code == 2
    assert "The time was up before a trial began; give a longer --timeout." in late.err
    assert plexrank(*search).code == 0


@pytest.mark.parametrize(
    ("changes", "options", "words"),
    [
        ({"search": {}}, [], ("run.yaml has no search section",)),
        ({"search": {"embedding.row": {"integer": [1, 9]}}}, [], ("search.embedding.row", "did you mean 'rows'?")),
        ({"data": "nowhere"}, [], ("nowhere is no prepared set",)),
        ({}, ["--set", "training.epochs"], ("no key=value pair",)),
        ({}, ["--output", "prepared"], ("prepared already holds something that is no search",)),
        ({}, ["--output", "log.parquet"], ("log.parquet already holds something",)),
    ],
)
def test_mistakes_are_told_in_a_sentence(
    plexrank: Plexrank, changes: dict[str, Any], options: list[str], words: tuple[str, ...]
) -> None:
    write_run(**changes)
    refused = plexrank("tune", "--config", "run.yaml", "--output", "search", *options)
    assert refused.code == 2
    sentence = refused.err.split("plexrank: ", 1)[1].strip()
    assert len(sentence.splitlines()) == 1
    for word in words:
        assert word in sentence
    assert not Path("search").exists()


def test_help_teaches(plexrank: Plexrank) -> None:
    shown = plexrank("tune", "--help").out
    for words in ("Example: plexrank tune", "log_uniform", "test split is not opened", "goes on"):
        assert words in shown
    assert "tune" in plexrank("--help").out


@pytest.mark.slow
def test_it_goes_on_after_ctrl_c_and_after_a_kill(plexrank: Plexrank) -> None:
    command = ["tune", "--config", "run.yaml", "--trials", "8", "--seed", "3"]
    with interrupted_after([*command, "--output", "broken"], trials=1) as process:
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does, workers too
        _, told = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "Interrupted: give the same command again to go on." in told
        assert "Traceback" not in told
    with interrupted_after([*command, "--output", "broken"], trials=2) as process:
        process.kill()
        process.communicate(timeout=60)
        deadline = time.monotonic() + 60
        with contextlib.suppress(ProcessLookupError):  # when its worker has gone too
            while time.monotonic() < deadline:
                os.killpg(process.pid, 0)
                time.sleep(0.05)
            pytest.fail("the worker outlives the search")
    assert plexrank(*command, "--output", "broken").code == 0
    assert plexrank(*command, "--output", "unbroken").code == 0
    assert came_to("broken") == came_to("unbroken")
    assert len(came_to("broken")) == 8


@pytest.mark.slow
def test_a_worker_that_compiled_leaves_nothing_behind() -> None:
    """Its compiler holds a semaphore, which Python says of at the very end."""
    write_run(machine={"compile": True}, training={**RUN["training"], "epochs": 1})
    command = ["tune", "--config", "run.yaml", "--output", "search", "--trials", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "commands.main", *command],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "leaked" not in done.stderr


@contextlib.contextmanager
def interrupted_after(command: list[str], *, trials: int) -> Iterator[subprocess.Popen[str]]:
    """A search by a process of its own, once some trials more are over."""
    lines = Path(command[-1], "trials.jsonl")
    begun = len(finished(lines))
    process = subprocess.Popen(
        [sys.executable, "-m", "commands.main", *command],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        text=True, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while len(finished(lines)) < begun + trials:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield process
    finally:
        process.kill()
        process.communicate()


def finished(lines: Path) -> list[str]:
    return [line for line in lines.read_text().splitlines() if '"finished"' in line] if lines.exists() else []
