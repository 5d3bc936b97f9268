"""A large table is made and loaded without a second copy of it; measured in processes of their own."""

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

# What counts is memory of the process's own: a mapped file takes none that others could not have. The high-water mark
# that the system keeps begins with that of the process that started it, so it is watched instead.
_PREPARE = """
import json, sys, threading
from pathlib import Path
from kernels.lookup.layout import TableOptimizer
from models.registry import Architecture, build_model
from tests.models.small import SCHEMA, fit
from training.artifact import Artifact, finish, save_weights

folder, rows, dim = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
fitted = fit(SCHEMA)
mlp = {"hidden": [8]}
architecture = Architecture(name="finalmlp", settings={"mlp1": mlp, "mlp2": mlp}, embedding={"dim": dim, "rows": rows})

def own():
    lines = open("/proc/self/status")
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))

before, most, working = own(), 0, True

def watch():
    global most
    while working:
        most = max(most, own())

watcher = threading.Thread(target=watch, daemon=True)
watcher.start()
"""
_REPORT = """
working = False
watcher.join()
print(json.dumps({"used": most - before, "std": float(model.embedding.lookup.table[::1000].std())}))
"""
_BUILD = "model = build_model(architecture, fitted, optimizer=TableOptimizer())"
_KEEP = """
save_weights(folder, model.state_dict())
finish(folder, name="big", architecture=architecture, fitted=fitted, model=model, metrics={}, provenance={})
"""
_LOAD = "model = Artifact.load(folder).model"


def run(folder: Path, *script: str) -> dict[str, Any]:
    command = [sys.executable, "-c", "\n".join([_PREPARE, *script]), str(folder), str(ROWS), str(DIM)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read as Linux tells it")
def test_a_table_is_made_and_loaded_once(tmp_path: Path) -> None:
    built = run(tmp_path, _BUILD, _REPORT, _KEEP)
    assert built["std"] == pytest.approx(1e-4, rel=0.01)  # drawn, not left zero
    # A row's sum of squares beside its 16 numbers, and what little else there is.
    assert TABLE < built["used"] < 1.25 * TABLE
    loaded = run(tmp_path, _LOAD, _REPORT)
    assert loaded["std"] == built["std"]
    assert TABLE < loaded["used"] < 1.25 * TABLE
