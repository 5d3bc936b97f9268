"""docs/adding-a-ranker.md, followed word for word in a copy of the project."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "adding-a-ranker.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^\*\*`([^`]+)`\*\*\n\n```\w+\n(.*?)^```$", PAGE, flags=re.M | re.S))
COMMANDS = re.findall(r"^```sh\n(.*?)^```$", PAGE, flags=re.M | re.S)
RANKER = "models/rankers/fwfm.py"
COPIED = (
    "commands", "common", "configs", "evaluation", "features", "kernels", "models", "service", "tests", "training",
)  # fmt: skip


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The copy, once all is done that the page says, and what each block of commands printed."""
    copy = tmp_path_factory.mktemp("copy")
    for name in COPIED:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(copy),  # before the checkout that the environment has installed
        "COLUMNS": "200",
        "OMP_NUM_THREADS": "1",
        "POLARS_MAX_THREADS": "1",
    }
    for name, text in FILES.items():
        assert not (ROOT / name).exists(), f"{name} is there already; the page needs another example"
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_text(text, encoding="utf-8")
    printed = []
    for block in COMMANDS:
        done = subprocess.run(["bash", "-ec", block], cwd=copy, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        printed.append(done.stdout)
    return copy, printed


def manifest(copy: Path, run: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((copy / "runs" / run / "artifact" / "manifest.json").read_text())
    return found


@pytest.mark.slow
def test_the_ranker_is_trained_judged_explained_and_exported(followed: tuple[Path, list[str]]) -> None:
    copy, (run, _, _) = followed
    about = manifest(copy, "simulated_fwfm")
    assert about["model"] == "fwfm"
    assert f"bias: {about['parameters']:,}." in " ".join(PAGE.split())
    attainable = re.search(r"attainable_auc\W+([\d.]+)", run)
    assert attainable is not None
    assert f"auc: {float(attainable[1]):.4f}" in FILES["runs/published.yaml"]
    assert 0.55 < about["metrics"]["test"]["metrics"]["auc"]["value"] < float(attainable[1])
    assert f"{about['metrics']['test']['metrics']['auc']['value']:.5f}" in run
    for said in ("drop of AUC", "recent_ads", "its scores are the artifact's to"):
        assert said in run
    assert (copy / "runs" / "simulated_fwfm" / "ranker.pt2").is_file()


@pytest.mark.slow
def test_the_ranker_passes_the_tests_that_it_gets_for_free(followed: tuple[Path, list[str]]) -> None:
    _, (_, tests, _) = followed
    passed = re.search(r"(\d+) passed", tests)
    assert passed is not None
    assert int(passed[1]) > 15


@pytest.mark.slow
def test_the_ranker_stands_beside_others(followed: tuple[Path, list[str]]) -> None:
    copy, (*_, board) = followed
    assert "attainable" in board
    assert "simulated_lr" in board
    assert re.search(r"simulated_fwfm +\S +3 ", board)
    for seed in (2, 3):
        assert manifest(copy, f"simulated_fwfm_{seed}")["parameters"] == manifest(copy, "simulated_fwfm")["parameters"]
    assert "simulated_fwfm" in (copy / "runs" / "leaderboard.html").read_text(encoding="utf-8")


def test_the_ranker_is_short_and_keeps_the_projects_style(tmp_path: Path) -> None:
    assert len(FILES[RANKER].splitlines()) < 120
    (tmp_path / RANKER).parent.mkdir(parents=True)
    (tmp_path / RANKER).write_text(FILES[RANKER], encoding="utf-8")
    ruff = [sys.executable, "-m", "ruff"]
    settings = ["--config", str(ROOT / "pyproject.toml"), "--no-cache", RANKER]
    for command in (["check"], ["format", "--diff"]):
        done = subprocess.run([*ruff, *command, *settings], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_names_what_there_is() -> None:
    blocks = {path.name for path in (ROOT / "models" / "blocks").glob("[a-z]*.py")}
    table = PAGE.split("## Blocks")[1].split("**A loss")[0]
    assert set(re.findall(r"`(\w+\.py)`", table)) == blocks
    rankers = {path.name for path in (ROOT / "models" / "rankers").glob("[a-z]*.py")}
    tests = {path.name for path in (ROOT / "tests" / "models").glob("*.py")}
    named = set(re.findall(r"`(?:[\w/]+/)?(\w+\.py)`", PAGE))
    assert named - blocks - rankers - tests == {"fwfm.py", "test_every_ranker.py"}
