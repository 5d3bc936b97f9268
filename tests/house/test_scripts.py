"""The shell scripts: their rules, and what scripts/setup says about a mistake."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_SCRIPTS = sorted(
    str(path.relative_to(ROOT))
    for folder in ("scripts", ".ci")
    for path in (ROOT / folder).iterdir()
    if path.is_file() and not path.suffix
)


def _setup(folder: Path, *arguments: str, path: str | None = None) -> "subprocess.CompletedProcess[str]":
    """Run a copy of scripts/setup, so that nothing of this checkout can change."""
    for name in ("scripts", "requirements", "common"):
        shutil.copytree(ROOT / name, folder / name)
    environment = {**os.environ, "PATH": path or os.environ["PATH"]}
    bash = shutil.which("bash")
    assert bash is not None
    return subprocess.run(
        [bash, str(folder / "scripts" / "setup"), *arguments],
        cwd="/",
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("script", _SCRIPTS)
def test_script_is_executable_and_stops_at_errors(script: str) -> None:
    path = ROOT / script
    assert os.access(path, os.X_OK)
    assert subprocess.run(["bash", "-n", str(path)], check=False).returncode == 0
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "#!/usr/bin/env bash"
    assert "set -euo pipefail" in lines


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--lock"], "setup: --lock needs a value: cpu or cuda\n"),
        (["--lock", "tpu"], "setup: there is no lock tpu; known: cpu, cuda\n"),
        (["--fast"], "setup: unknown option --fast; known: --lock cpu|cuda, --no-dev\n"),
    ],
)
def test_wrong_option_is_one_sentence(tmp_path: Path, arguments: list[str], message: str) -> None:
    done = _setup(tmp_path, *arguments)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", message)
    assert not (tmp_path / ".venv").exists()


def test_machine_without_python_is_told_so(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("bash", "dirname", "sha256sum"):
        found = shutil.which(name)
        assert found is not None
        (tools / name).symlink_to(found)
    # A shim that is there but cannot run, as version managers leave them.
    (tools / "python3").write_text("#!/bin/sh\nexit 127\n")
    (tools / "python3").chmod(0o755)
    done = _setup(tmp_path / "clone", path=str(tools))
    assert done.returncode == 1
    assert "no Python 3.11 or newer found" in done.stderr
    assert not (tmp_path / "clone" / ".venv").exists()


def test_help_is_the_scripts_own_header(tmp_path: Path) -> None:
    done = _setup(tmp_path, "--help")
    assert done.returncode == 0
    assert "scripts/setup [--lock cpu|cuda] [--no-dev]" in done.stdout
    assert "set -euo" not in done.stdout
