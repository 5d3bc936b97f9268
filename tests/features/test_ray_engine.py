"""Preparation over a local Ray of two workers gives what one machine gives, to the byte."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

pytest.importorskip("ray", reason="Ray is an extra; install plexrank[ray]")

ROOT = Path(__file__).parents[2]
SCHEMA = """
label: y
group: user
timestamp: time
features:
  - {name: ad, kind: categorical, encoding: vocabulary, min_count: 2}
  - {name: user, kind: categorical}
  - {name: price, kind: numeric, transforms: [quantile]}
  - {name: rank, kind: numeric, column: price, transforms: [standardize]}
  - {name: income, kind: bucketized, buckets: 8}
  - {name: pair, kind: cross, of: [ad, income]}
"""


def prepare(folder: Path, output: str, engine: str, **more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "commands.main", "prepare", "--schema", "schema.yaml", "--input", "log.parquet"]
    command += ["--split-by", "time", "--output", output, "--engine", engine, "--workers", "2"]
    return subprocess.run(
        command,
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], "HOME": str(folder), **more},
        capture_output=True,
        text=True,
    )


@pytest.fixture
def logged(tmp_path: Path) -> Path:
    draw = np.random.default_rng(0)
    rows = 240_000  # four parts
    (tmp_path / "schema.yaml").write_text(SCHEMA)
    pl.DataFrame(
        {
            "y": draw.integers(0, 2, rows),
            "ad": draw.zipf(1.3, rows) % 100_000,
            "user": draw.integers(0, 10**9, rows),
            "price": draw.normal(size=rows),
            "income": draw.exponential(1000, rows),
            "time": np.arange(rows) // 100,
        }
    ).write_parquet(tmp_path / "log.parquet", row_group_size=65_536)
    return tmp_path


@pytest.mark.slow
def test_the_output_is_that_of_one_machine(logged: Path) -> None:
    for engine in ("local", "ray"):
        done = prepare(logged, engine, engine)
        assert done.returncode == 0, done.stderr
    files = sorted(path.relative_to(logged / "local") for path in (logged / "local").rglob("*.*"))
    assert files == sorted(path.relative_to(logged / "ray") for path in (logged / "ray").rglob("*.*"))
    assert len(list((logged / "ray" / "train").iterdir())) == 3  # the fourth part only validates and tests
    for file in files:
        assert (logged / "ray" / file).read_bytes() == (logged / "local" / file).read_bytes()


@pytest.mark.slow
def test_a_mistake_is_the_same_sentence(logged: Path) -> None:
    frame = pl.read_parquet(logged / "log.parquet")
    wrong = frame.with_columns(y=pl.when(pl.int_range(pl.len()) == 210_000).then(7).otherwise("y"))
    wrong.write_parquet(logged / "log.parquet")
    local, ray = (prepare(logged, "out", engine) for engine in ("local", "ray"))
    assert local.returncode == ray.returncode == 2
    assert "plexrank: log.parquet, row 210001: label 'y' is 7, neither 0 nor 1" in ray.stderr
    assert ray.stderr.splitlines()[-1] == local.stderr.splitlines()[-1]
    assert "Traceback" not in ray.stderr


def test_a_cluster_that_is_gone_is_said_at_once(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    (tmp_path / "schema.yaml").write_text(SCHEMA)
    (tmp_path / "log.parquet").touch()
    done = prepare(tmp_path, "out", "ray", RAY_ADDRESS=address)
    assert done.returncode == 2
    (said,) = done.stderr.splitlines()
    assert said.startswith(f"plexrank: no Ray cluster answers at RAY_ADDRESS {address}: ")
