"""Preparation over a local Ray of two workers gives what one machine gives, to the byte."""

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


def prepare(folder: Path, output: str, engine: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "commands.main", "prepare", "--schema", "schema.yaml", "--input", "log.parquet"]
    command += ["--split-by", "time", "--output", output, "--engine", engine, "--workers", "2", *options]
    return subprocess.run(
        command,
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "", "HOME": str(folder)},
        capture_output=True,
        text=True,
    )


@pytest.fixture
def logged(tmp_path: Path) -> Path:
    draw = np.random.default_rng(0)
    rows = 800_000  # four parts
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
    ).write_parquet(tmp_path / "log.parquet")
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
    wrong = frame.with_columns(y=pl.when(pl.int_range(pl.len()) == 700_000).then(7).otherwise("y"))
    wrong.write_parquet(logged / "log.parquet")
    local, ray = (prepare(logged, "out", engine) for engine in ("local", "ray"))
    assert local.returncode == ray.returncode == 2
    assert "plexrank: log.parquet, row 700001: label 'y' is 7, neither 0 nor 1" in ray.stderr
    assert ray.stderr.splitlines()[-1] == local.stderr.splitlines()[-1]
    assert "Traceback" not in ray.stderr
