"""kill -9 during preparation leaves no output that a later command takes for whole."""

import hashlib
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from common.errors import DataError
from features import prepare as prepare_module
from features import sources
from features.prepared import PreparedSet

BATCH, SHARD = 10_000, 25_000
ROWS = 300_000
DOCUMENT: dict[str, Any] = {
    "label": "y",
    "features": [
        {"name": "ad", "kind": "categorical", "encoding": "vocabulary"},
        {"name": "user", "kind": "categorical"},
        {"name": "price", "kind": "numeric", "transforms": ["standardize"]},
    ],
}
CHILD = f"""
import os, signal, sys, threading
from pathlib import Path
from features import prepare, sources
from features.schema import parse_schema

file, output, moment, delay = sys.argv[1:]

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def progress(phase, done, total):
    if f"{{phase}} {{done}}" == moment:
        threading.Timer(float(delay), die).start() if float(delay) else die()

def write(path, value, write_json=prepare.write_json):
    write_json(path, value)
    if path.name == moment:
        die()

sources.BATCH_ROWS, prepare._SHARD_ROWS, prepare.write_json = {BATCH}, {SHARD}, write
schema = parse_schema({DOCUMENT!r}, source="test")
prepare.prepare(schema, prepare.Inputs([file]), Path(output), progress=progress)
"""


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def killed(file: Path, output: Path, moment: str, delay: float) -> bool:
    """Run a preparation that gets kill -9 some seconds after a moment: a step of its progress, or a file written."""
    command = [sys.executable, "-c", CHILD, str(file), str(output), moment, str(delay)]
    run = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert not run.stderr
    return run.returncode == -signal.SIGKILL


def test_a_killed_preparation_leaves_no_prepared_set(
    log: Path, tmp_path: Path, prepare_set: Callable[..., PreparedSet], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "BATCH_ROWS", BATCH)
    monkeypatch.setattr(prepare_module, "_SHARD_ROWS", SHARD)
    draw = np.random.default_rng(0)
    frame = pl.DataFrame(
        {
            "y": draw.integers(0, 2, ROWS),
            "ad": draw.zipf(1.3, ROWS) % 100_000,
            "user": draw.integers(0, 10**9, ROWS),
            "price": draw.normal(size=ROWS),
        }
    )
    frame.write_parquet(log / "log.parquet")
    expected = contents(prepare_set(DOCUMENT, log / "log.parquet", output="uninterrupted").folder)

    draws = random.Random(0)
    steps = [f"{phase} {done}" for phase in ("fit", "encode") for done in range(BATCH, ROWS // 2, BATCH)]
    moments = [(step, draws.uniform(0, 0.02)) for step in draws.sample(steps, 3)]
    # The last moments before the folder gets its name.
    moments += [(f"encode {ROWS}", 0.0), ("prepared.json", 0.0)]
    output = tmp_path / "killed"
    for moment, delay in moments:
        assert killed(log / "log.parquet", output, moment, delay)
        assert not output.exists()
        with pytest.raises(DataError, match="killed is no prepared set"):
            PreparedSet(output)

    assert contents(prepare_set(DOCUMENT, log / "log.parquet", output="killed").folder) == expected
    # What the killed ones left beside it is gone too.
    assert sorted(path.name for path in tmp_path.iterdir()) == ["killed", "log", "uninterrupted"]
