"""kill -9 during preparation: no half of a set, and the same command goes on to the same bytes."""

import hashlib
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from common.errors import DataError
from features.datasets.prepared import PreparedSet
from features.preparation import plan

ROOT = Path(__file__).parents[2]
ROWS = 2_000_000
SCHEMA = """
label: y
timestamp: time
features:
  - {name: ad, kind: categorical, encoding: vocabulary, min_count: 2}
  - {name: user, kind: categorical}
  - {name: price, kind: numeric, transforms: [quantile]}
  - {name: income, kind: bucketized, buckets: 8}
"""


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def write_log(folder: Path, rows: int) -> None:
    draw = np.random.default_rng(0)
    (folder / "schema.yaml").write_text(SCHEMA)
    pl.DataFrame(
        {
            "y": draw.integers(0, 2, rows),
            "ad": draw.zipf(1.3, rows) % 100_000,
            "user": draw.integers(0, 10**9, rows),
            "price": draw.normal(size=rows),
            "income": draw.exponential(1000, rows),
            "time": np.arange(rows) // 100,
        }
    ).write_csv(folder / "log.csv")


def start(folder: Path, output: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "commands.main", "prepare", "--schema", str(folder / "schema.yaml"), "--split-by"]
    command += ["time", "--input", str(folder / "log.csv"), "--output", str(output)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def prepare(folder: Path, output: Path) -> float:
    """Run a preparation to its end; returns its seconds."""
    began = time.perf_counter()
    process = start(folder, output)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return time.perf_counter() - began


def hidden(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.startswith(".")]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_ten_moments_of_two_million_rows(log: Path, tmp_path: Path) -> None:
    write_log(log, ROWS)
    seconds = prepare(log, tmp_path / "uninterrupted")
    expected = contents(tmp_path / "uninterrupted")
    draws = random.Random(1)
    begun = 0
    for attempt in range(10):
        output = tmp_path / f"killed{attempt}"
        process = start(log, output)
        time.sleep(draws.uniform(0, 0.95 * seconds))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if process.returncode == -signal.SIGKILL and not output.exists():
            with pytest.raises(DataError, match="is no prepared set"):
                PreparedSet(output)
            begun += bool(hidden(tmp_path))
            prepare(log, output)
        assert contents(output) == expected
        assert not hidden(tmp_path)
    assert begun >= 3  # most moments are late enough to leave something to go on with


def test_what_was_finished_is_gone_on_with(log: Path, tmp_path: Path, prepare_set: Callable[..., PreparedSet]) -> None:
    """Interrupted after one part is encoded, a second run neither fits nor encodes that part again."""
    document: dict[str, Any] = {
        "label": "y",
        "timestamp": "time",
        "features": [
            {"name": "ad", "kind": "categorical", "encoding": "vocabulary"},
            {"name": "price", "kind": "numeric", "transforms": ["standardize"]},
        ],
    }
    write_log(log, 600_000)  # three parts
    options = {"split": {"by": "time"}}
    expected = contents(prepare_set(document, log / "log.csv", output="uninterrupted", **options).folder)

    def interrupt(phase: str, done: int, total: int) -> None:
        if phase == "encode" and done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_set(document, log / "log.csv", progress=interrupt, **options)
    (partial,) = hidden(tmp_path)
    finished = {path: path.stat().st_mtime_ns for path in partial.glob("*/*.parquet")}
    assert finished
    phases: list[str] = []
    found = prepare_set(document, log / "log.csv", progress=lambda phase, *_: phases.append(phase), **options)
    assert contents(found.folder) == expected
    assert set(phases) == {"scan", "encode"}
    for path, written in finished.items():
        assert (found.folder / path.relative_to(partial)).stat().st_mtime_ns == written


@pytest.mark.parametrize("damage", ["shard", "record", "other input", "other options", "other parts"])
def test_what_is_not_the_same_is_done_again(
    log: Path, tmp_path: Path, prepare_set: Callable[..., PreparedSet], monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    document: dict[str, Any] = {"label": "y", "features": [{"name": "user", "kind": "categorical"}]}
    write_log(log, 600_000)

    def interrupt(phase: str, done: int, total: int) -> None:
        if phase == "encode" and done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_set(document, log / "log.csv", progress=interrupt)
    (partial,) = hidden(tmp_path)
    options: dict[str, Any] = {}
    if damage == "shard":
        shard = partial / "train" / "part-00000.parquet"
        shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    elif damage == "record":
        (partial / "records" / "part-00000.json").write_text("{")
    elif damage == "other input":
        write_log(log, 500_000)
    elif damage == "other parts":
        monkeypatch.setattr(plan, "PART_ROWS", 10**6)
    else:
        options = {"split": {"seed": 1}}
    found = prepare_set(document, log / "log.csv", **options)
    expected = prepare_set(document, log / "log.csv", output="uninterrupted", **options)
    assert contents(found.folder) == contents(expected.folder)
    assert not hidden(tmp_path)
