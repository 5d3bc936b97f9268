"""The memory-accuracy curve: DCNv2 on MovieLens-1M with ever smaller tables, by unified embedding and by other methods.

    python -m benchmarks.memory_curve --source ../shared/data/ml-1m

Trains configs/ml1m_dcnv2.yaml with each method at 100 %, 50 % and 10 % of the full table's bytes, on one thread, and
writes a dated report with a plot into benchmarks/reports. A finished run is a line of WORK/runs.jsonl: broken off, the
same command goes on; with --report it reports the runs there are.
"""

import argparse
import json
import math
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import safe_open

from benchmarks import _curve_report
from benchmarks._curve_report import Run
from features.datasets.prepared import PreparedSet
from features.loaders import movielens
from features.preparation.plan import Inputs
from features.preparation.prepare import prepare
from features.schema import load_schema
from training.loop import train
from training.run import load_run

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "configs" / "ml1m_dcnv2.yaml"
PERCENTS = (100, 50, 10)


class Method(NamedTuple):
    """A method: its embedding settings beside the config's, and how many seeds it is trained with."""

    embedding: dict[str, Any]
    seeds: int


def _full(*features: str) -> dict[str, Any]:
    return {"features": {name: {"rows": "full"} for name in features}}


_THREE = {"dim": 10, "probes": 3}

METHODS = {
    "full": Method({}, 5),
    "hashing trick": Method({"vocabularies": "hashed", **_full("gender")}, 5),
    "unified": Method({"vocabularies": "unified", **_full("gender")}, 5),
    "multihash": Method({"vocabularies": "hashed", **_full("gender"), "comparison": {"method": "multihash"}}, 2),
    "quotient-remainder": Method(
        {
            "vocabularies": "hashed",
            # Their ranges would be too small for two tables.
            **_full("gender", "age", "occupation"),
            "comparison": {"method": "quotient_remainder"},
        },
        2,
    ),
    "ROBE": Method({"vocabularies": "unified", **_full("gender"), **_THREE, "comparison": {"method": "robe"}}, 2),
    # As many hashes a value as that.
    "unified, 3 probes": Method({"vocabularies": "unified", **_full("gender"), **_THREE}, 2),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, required=True, help="the folder ml-1m")
    parser.add_argument(
        "--work", type=Path, default=ROOT / "runs" / "benchmark_memory_curve", help="folder for the runs"
    )
    parser.add_argument("--report", action="store_true", help="train nothing, report what is there")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.work.mkdir(parents=True, exist_ok=True)
    finished = options.work / "runs.jsonl"
    runs = [Run(**json.loads(line)) for line in finished.read_text().splitlines()] if finished.exists() else []
    if not options.report:
        prepared = _prepared(options.source, options.work)
        done = {(run.method, run.percent, run.seed) for run in runs}
        for method, percent, seed in _plan():
            if (method, percent, seed) not in done:
                runs.append(_train(method, percent, seed, prepared, options.work))
                with finished.open("a") as lines:
                    lines.write(json.dumps(runs[-1]._asdict()) + "\n")
                print(runs[-1], flush=True)
    _curve_report.write(runs, config=CONFIG.relative_to(ROOT), planned=len(list(_plan())))


def _plan() -> Iterator[tuple[str, int, int]]:
    """Method, percent and seed of every run; what the claim rests on comes first."""
    for several in (True, False):
        methods = {name: method for name, method in METHODS.items() if (method.seeds > 2) == several}
        for seed in range(1, max(method.seeds for method in methods.values()) + 1):
            for name in methods:
                for percent in PERCENTS if name != "full" else (100,):
                    yield name, percent, seed


def _prepared(source: Path, work: Path) -> Path:
    """The user-movie task with the published features."""
    prepared = work / "prepared"
    if not prepared.exists():
        made = movielens.load(source, work / "raw", task="user-movie", overwrite=True)
        schema = load_schema(made.schema)
        published = [feature for feature in schema.features if feature.name not in ("release", "genres")]
        inputs = Inputs([str(path) for path in made.rows])
        prepare(schema.model_copy(update={"features": tuple(published)}), inputs, prepared)
    return prepared


def _train(method: str, percent: int, seed: int, data: Path, work: Path) -> Run:
    """Train and judge one table."""
    full = load_run(CONFIG).embedding
    budget = {}
    if method != "full":
        ids = sum(vocabulary.size for vocabulary in PreparedSet(data).fitted.vocabularies.values())
        budget = {"memory_mb": 4 * full.dim * ids * percent / 100 / 1e6}
    embedding = {**full.model_dump(exclude_unset=True), **METHODS[method].embedding, **budget}
    overrides = {
        "data": str(data),
        "output": str(work / "run"),
        "seed": seed,
        "embedding": embedding,
        "machine": {"device": "cpu", "precision": "fp32", "compile": False, "threads": 1},
    }
    settings = load_run(CONFIG, [f"{key}={json.dumps(value)}" for key, value in overrides.items()])
    started = time.perf_counter()
    outcome = train(settings, overwrite=True)
    if outcome.interrupted:
        raise KeyboardInterrupt
    manifest = json.loads((outcome.artifact / "manifest.json").read_text())
    with safe_open(outcome.artifact / "weights.safetensors", "pt") as weights:
        table_bytes = 4 * math.prod(weights.get_slice("embedding.lookup.table").get_shape())
    shutil.rmtree(settings.output)

    def metric(split: str, name: str) -> float:
        value: float = manifest["metrics"][split]["metrics"][name]["value"]
        return value

    return Run(
        method=method,
        percent=percent,
        seed=seed,
        table_bytes=table_bytes,
        parameters=manifest["parameters"],
        epochs=outcome.epochs,
        best_epoch=outcome.best_epoch,
        valid_auc=metric("valid", "auc"),
        test_auc=metric("test", "auc"),
        test_logloss=metric("test", "logloss"),
        seconds=time.perf_counter() - started,
    )


if __name__ == "__main__":
    main()
