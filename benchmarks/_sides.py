"""The sides of a comparison of training speed: plexrank and its peers on one made-up log of Criteo's shape.

Each run is a process of its own; it trains some steps, leaves the first ones out, and says how many samples a second.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks import _criteo

ROOT = Path(__file__).parents[1]
BATCH, DIM = 4096, 10
WARM_UP, PEER_WARM_UP = 30, 10  # steps left out: compilation, first touches of memory


def prepare(folder: Path, rows: int) -> None:
    """Make the rows and the prepared sets, unless they are there."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "test.csv").exists():
        frame = _criteo.block(rows + 2 * BATCH, np.random.default_rng(0))
        for name, start, count in (("train", 0, rows), ("valid", rows, BATCH), ("test", rows + BATCH, BATCH)):
            frame[start : start + count].write_csv(folder / f"{name}.csv")
    for encoding in ("token", "vocabulary"):
        schema, target = folder / f"{encoding}.yaml", folder / encoding
        if not target.exists():
            schema.write_text(yaml.safe_dump(_criteo.schema(encoding=encoding, min_count=1)))
            splits = [f"--{split}={folder / split}.csv" for split in ("valid", "test")]
            command = [
                "prepare",
                f"--schema={schema}",
                f"--input={folder / 'train.csv'}",
                *splits,
                f"--output={target}",
            ]
            _run([sys.executable, "-m", "commands.main", *command], dict(os.environ))


def plexrank(
    work: Path, model: dict[str, Any], machine: dict[str, Any], *, rows: int | None, steps: int, profile: bool = False
) -> dict[str, Any]:
    """Train plexrank in a process of its own.

    Args:
        work: Folder of the prepared sets.
        model: The run file's section.
        machine: Likewise.
        rows: Of a unified table; None for a row a value.
        steps: Timed steps.
        profile: Whether to say where the time of a step goes.
    """
    run = {
        "data": str((work / ("token" if rows else "vocabulary")).resolve()),
        "output": "unused",
        "seed": 1,
        "model": model,
        "embedding": {"dim": DIM, "rows": rows},
        "training": {"batch_size": BATCH},
        "machine": machine,
    }
    arguments = {"run": run, "warm_up": WARM_UP, "steps": steps, "profile": profile}
    # OMP_WAIT_POLICY as the plexrank command sets it.
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    return _told([sys.executable, "-m", "benchmarks._trainer", json.dumps(arguments)], environment)


def fuxictr(
    work: Path, checkout: Path, python: Path, zoo: str, class_name: str, settings: dict[str, Any], *, steps: int
) -> dict[str, Any]:
    """Train a ranker of FuxiCTR; its vocabularies are the values seen once or more, as ours.

    Args:
        work: Folder of the log.
        checkout: Of FuxiCTR.
        python: Its interpreter.
        zoo: Folder of the ranker in its model zoo.
        class_name: Of the ranker.
        settings: Of the ranker.
        steps: Timed steps.
    """
    common = {
        "model_id": "benchmark",
        "loss": "binary_crossentropy",
        "metrics": ["AUC"],
        "task": "binary_classification",
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "embedding_dim": DIM,
        "verbose": 0,
    }
    model = {
        "folder": str(checkout.resolve() / "model_zoo" / zoo),
        "class": class_name,
        "settings": {**common, **settings},
        "batch_size": BATCH,
        "warm_up": PEER_WARM_UP,
        "steps": steps,
    }
    environment = {**os.environ, "PYTHONPATH": str(checkout.resolve())}
    command = [str(python.absolute()), str(Path(__file__).with_name("_fuxictr.py"))]
    return _told([*command, json.dumps({**_log(work, "fuxictr"), "model": model})], environment)


def deepctr_torch(work: Path, python: Path, class_name: str, settings: dict[str, Any], *, steps: int) -> dict[str, Any]:
    """Train a ranker of DeepCTR-Torch on rows that are encoded beforehand, as its users have to.

    Args:
        work: Folder of the log.
        python: An interpreter that has DeepCTR-Torch.
        class_name: Of the ranker.
        settings: Of the ranker.
        steps: Timed steps.
    """
    options = {
        **_log(work, "deepctr"),
        "class": class_name,
        "settings": settings,
        "dim": DIM,
        "batch_size": BATCH,
        "warm_up": PEER_WARM_UP,
        "steps": steps,
    }
    script = Path(__file__).with_name("_deepctr_torch.py")
    return _told([str(python.absolute()), str(script), json.dumps(options)], dict(os.environ))


def _log(work: Path, output: str) -> dict[str, Any]:
    """The log, as the peers are told of it."""
    return {
        "source": str(work.resolve()),
        "output": str(work.resolve() / output),
        "numbers": _criteo.NUMBERS,
        "categories": _criteo.CATEGORIES,
        "label": _criteo.LABEL,
        "min_count": 1,
    }


def _told(command: list[str], environment: dict[str, str]) -> dict[str, Any]:
    """What a command says in its last line."""
    found: dict[str, Any] = json.loads(_run(command, environment).strip().splitlines()[-1])
    return found


def _run(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{command[:3]} failed:\n{done.stderr}")
    return done.stdout
