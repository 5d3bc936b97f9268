"""A large table is made, saved and loaded without a second copy of it; measured in processes of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
ROWS, DIM = 4_000_000, 16
TABLE = 4 * ROWS * DIM  # bytes

_HEAD = f"""
import json, resource, sys
from pathlib import Path
import torch
from kernels.lookup.layout import TableOptimizer
from models.registry import Architecture, build_model
from tests.models.small import SCHEMA, fit
from training.artifact import Artifact, finish, load_weights, save_weights

fitted = fit(SCHEMA)
architecture = Architecture(
    name="finalmlp", settings={{"mlp1": {{"hidden": [8]}}, "mlp2": {{"hidden": [8]}}}},
    embedding={{"dim": {DIM}, "rows": {ROWS}}},
)
folder = Path(sys.argv[1])

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

before = peak()
"""
_BUILD = """
model = build_model(architecture, fitted, optimizer=TableOptimizer())
print(json.dumps({"used": peak() - before, "std": float(model.embedding.lookup.table[::1000].std())}))
save_weights(folder, model.state_dict())
finish(folder, name="big", architecture=architecture, fitted=fitted, model=model, metrics={}, provenance={})
"""
# Reading maps the file, which takes no memory that others could not have: what counts is memory of its own.
_LOAD = """
import threading

def own():
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("RssAnon:"))

before, most, loading = own(), 0, True

def watch():
    global most
    while loading:
        most = max(most, own())

watcher = threading.Thread(target=watch)
watcher.start()
model = Artifact.load(folder).model
loading = False
watcher.join()
print(json.dumps({"used": most - before, "std": float(model.embedding.lookup.table[::1000].std())}))
"""


def run(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _HEAD + script, *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def told(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is measured as Linux counts it")
def test_a_table_is_made_and_loaded_once(tmp_path: Path) -> None:
    built = told(run(_BUILD, tmp_path))
    assert built["std"] == pytest.approx(1e-4, rel=0.01)  # drawn, not left zero
    # A row's sum of squares beside its 16 numbers, and what little else there is.
    assert TABLE < built["used"] < 1.25 * TABLE
    loaded = told(run(_LOAD, tmp_path))
    assert loaded["std"] == built["std"]
    assert TABLE < loaded["used"] < 1.25 * TABLE
