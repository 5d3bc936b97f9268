"""Compare the training speed of rankers with FuxiCTR's and DeepCTR-Torch's.

    python -m benchmarks.train_models --fuxictr ../FuxiCTR --fuxictr-python ../fuxictr-env/bin/python \
        --deepctr-python ../deepctr-env/bin/python

All sides train on the same made-up csv of Criteo's shape: 39 fields, width 10, batch 4,096. Each run is a process of
its own, the sides of a ranker in turn; the first steps are left out. Writes a dated report into benchmarks/reports.
"""

import argparse
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import _report, _sides
from benchmarks._sides import BATCH, DIM, PEER_WARM_UP, ROOT, WARM_UP

DEEP = [400, 400, 400]
MACHINES = {
    "compiled bf16": {"precision": "bf16", "compile": True},
    "eager fp32": {"precision": "fp32", "compile": False},
}


@dataclass(frozen=True)
class Compared:
    """A ranker on every side.

    Attributes:
        settings: What is alike, in words.
        goal: Samples/s of the compiled run as a multiple of FuxiCTR's; None without it.
        plexrank: The run file's model section.
        fuxictr: FuxiCTR's folder in its zoo, class and settings, if compared.
        deepctr: DeepCTR-Torch's class and settings, if compared.
    """

    settings: str
    goal: float | None
    plexrank: dict[str, Any]
    fuxictr: tuple[str, str, dict[str, Any]] | None = field(default=None)
    deepctr: tuple[str, dict[str, Any]] | None = field(default=None)


RANKERS = {
    "FinalMLP": Compared(
        "streams [400, 400, 400] and [400] with batch normalisation, gates [400], 10 heads",
        6.0,
        {
            "name": "finalmlp",
            "mlp1": {"hidden": DEEP, "batch_norm": True},
            "mlp2": {"hidden": [400], "batch_norm": True},
            "gates": {"hidden": [400]},
            "heads": 10,
        },
        (
            "FinalMLP",
            "FinalMLP",
            {
                "mlp1_hidden_units": DEEP,
                "mlp1_batch_norm": True,
                "mlp2_hidden_units": [400],
                "mlp2_batch_norm": True,
                "fs_hidden_units": [400],
                "num_heads": 10,
            },
        ),
    ),
    "AutoInt+": Compared(
        "3 layers of width 64, 2 heads, scaled, residual; perceptron [400, 400, 400]",
        4.0,
        {
            "name": "autoint",
            "attention": {"layers": 3, "width": 64, "heads": 2, "scale": True, "residual": "identity"},
            "mlp": {"hidden": DEEP},
        },
        (
            "AutoInt",
            "AutoInt",
            {
                "attention_layers": 3,
                "attention_dim": 64,
                "num_heads": 2,
                "use_scale": True,
                "use_residual": True,
                "dnn_hidden_units": DEEP,
            },
        ),
    ),
    "AutoInt+ of width 10": Compared(
        "3 layers of width 10, 2 heads; perceptron [400, 400, 400]; DeepCTR-Torch's attention has the width of the "
        "fields, and sees the 26 categories only, ours all 39 fields",
        None,
        {"name": "autoint", "attention": {"layers": 3, "width": 10, "heads": 2}, "mlp": {"hidden": DEEP}},
        deepctr=("AutoInt", {"att_layer_num": 3, "att_head_num": 2, "dnn_hidden_units": DEEP, "att_res": True}),
    ),
    "DeepFM": Compared(
        "perceptron [400, 400, 400]",
        2.5,
        {"name": "deepfm", "mlp": {"hidden": DEEP}},
        ("DeepFM/DeepFM_torch", "DeepFM", {"hidden_units": DEEP}),
        ("DeepFM", {"dnn_hidden_units": DEEP}),
    ),
    "DCNv2": Compared(
        "parallel, 3 cross layers, perceptron [400, 400, 400]",
        2.5,
        {"name": "dcnv2", "cross_layers": 3, "mlp": {"hidden": DEEP}},
        (
            "DCNv2",
            "DCNv2",
            {"model_structure": "parallel", "num_cross_layers": 3, "parallel_dnn_hidden_units": DEEP},
        ),
    ),
    "FGCNN": Compared(
        "channels [14, 16, 18, 20], kernel 7, pool 2, recombination 3; IPNN [1000, 1000, 1000]",
        2.0,
        {
            "name": "fgcnn",
            "generation": {"channels": [14, 16, 18, 20], "kernel": 7, "pool": 2, "recombined": 3},
            "classifier": {"name": "ipnn", "mlp": {"hidden": [1000, 1000, 1000]}},
        },
        (
            "FGCNN",
            "FGCNN",
            {
                "channels": [14, 16, 18, 20],
                "kernel_heights": [7] * 4,
                "pooling_sizes": [2] * 4,
                "recombined_channels": [3] * 4,
                "dnn_hidden_units": [1000, 1000, 1000],
            },
        ),
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fuxictr", type=Path, help="a checkout of FuxiCTR to compare with")
    parser.add_argument("--fuxictr-python", type=Path, default=Path(sys.executable), help="interpreter that runs it")
    parser.add_argument("--deepctr-python", type=Path, help="interpreter that has DeepCTR-Torch")
    parser.add_argument("--only", nargs="+", choices=RANKERS, default=list(RANKERS), help="rankers to compare")
    parser.add_argument("--rows", type=int, default=102_400, help="training rows of the log")
    parser.add_argument("--steps", type=int, default=40, help="timed steps of a run of plexrank")
    parser.add_argument("--peer-steps", type=int, default=10, help="timed steps of a run of a peer")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each side")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "train_models", help="folder of data; it is kept")
    options = parser.parse_args()
    _sides.prepare(options.work, options.rows)
    results: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for name in options.only:
        found = results[name] = {}
        for _ in range(options.rounds):
            for side, run in sides(RANKERS[name], options).items():
                found.setdefault(side, []).append(run())
                print(f"{name}, {side}: {found[side][-1]['samples_per_second']:,.0f} samples/s", flush=True)
    _report.write("train_models", "Training speed of rankers", report(results, options))


def sides(ranker: Compared, options: argparse.Namespace) -> dict[str, Callable[[], dict[str, Any]]]:
    """The sides of a ranker, each to be run."""

    def own(machine: dict[str, Any]) -> Callable[[], dict[str, Any]]:
        return lambda: _sides.plexrank(options.work, ranker.plexrank, machine, rows=None, steps=options.steps)

    found: dict[str, Callable[[], dict[str, Any]]] = {}
    if options.fuxictr and ranker.fuxictr:
        zoo = ranker.fuxictr
        paths = (options.work, options.fuxictr, options.fuxictr_python)
        found["FuxiCTR"] = lambda: _sides.fuxictr(*paths, *zoo, steps=options.peer_steps)
    if options.deepctr_python and ranker.deepctr:
        class_name, settings = ranker.deepctr
        found["DeepCTR-Torch"] = lambda: _sides.deepctr_torch(
            options.work, options.deepctr_python, class_name, settings, steps=options.peer_steps
        )
    return found | {side: own(machine) for side, machine in MACHINES.items()}


def report(results: dict[str, dict[str, list[dict[str, Any]]]], options: argparse.Namespace) -> list[str]:
    """The lines of the report."""
    lines = [
        "A made-up log of Criteo's shape (benchmarks/_criteo.py): 13 numerics and 26 categories,",
        f"{options.rows:,} rows, width {DIM}, batch {BATCH:,}, a row a value, the same values on all sides, Adam for",
        "the dense part. plexrank's table has row-wise Adagrad; the peers' Adam updates every row at every step. Input",
        "pipelines included. Each run a process of its own, the sides in turn;",
        f"{WARM_UP} steps (peers: {PEER_WARM_UP}) left out.",
        "Medians over the runs.",
        "",
        "| ranker | side | samples/s | each run | x FuxiCTR | x DeepCTR-Torch | mean loss | parameters | goal |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, found in results.items():
        for side, runs in found.items():
            ratios = {peer: speed(runs) / speed(found[peer]) for peer in ("FuxiCTR", "DeepCTR-Torch") if peer in found}
            ours = side in MACHINES
            each = ", ".join(f"{run['samples_per_second']:,.0f}" for run in runs)
            cells = [f"{ratios[p]:.2f}" if ours and p in ratios else "" for p in ("FuxiCTR", "DeepCTR-Torch")]
            goal, verdict = RANKERS[name].goal, ""
            if goal is not None and side == "compiled bf16" and "FuxiCTR" in ratios:
                verdict = f"{goal:g}: {'reached' if ratios['FuxiCTR'] >= goal else 'missed'}"
            lines.append(
                f"| {name} | {side} | {speed(runs):,.0f} | {each} | {cells[0]} | {cells[1]} | {runs[-1]['loss']:.4f} | "
                f"{runs[-1]['parameters']:,} | {verdict} |"
            )
    return [*lines, "", *(f"- {name}: {RANKERS[name].settings}." for name in results)]


def speed(runs: list[dict[str, Any]]) -> float:
    """Median samples/s of runs."""
    return float(statistics.median(run["samples_per_second"] for run in runs))


if __name__ == "__main__":
    main()
