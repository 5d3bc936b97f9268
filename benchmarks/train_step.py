"""Compare the training step of FinalMLP with FuxiCTR's, and say where its time goes.

    python -m benchmarks.train_step --fuxictr ../FuxiCTR --fuxictr-python ../fuxictr-env/bin/python

Both sides train on the same made-up csv of Criteo's shape: 39 fields, width 10, batch 4,096, streams [400, 400, 400]
and [400] with batch normalisation, gates [400], 10 heads. Each run is a process of its own, the sides in turn; the
first steps (compilation, first touches of memory) are left out on both sides. Writes a dated report into
benchmarks/reports.
"""

import argparse
import itertools
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks import _report, _sides
from benchmarks._sides import BATCH, DIM, PEER_WARM_UP, ROOT, WARM_UP

STREAM1, STREAM2, GATES, HEADS = [400, 400, 400], [400], [400], 10
FEW_ROWS, MANY_ROWS = 900_000, 10_000_000
FP32 = {"precision": "fp32", "compile": False}
FAST = {"precision": "bf16", "compile": True}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fuxictr", type=Path, help="a checkout of FuxiCTR to compare with")
    parser.add_argument("--fuxictr-python", type=Path, default=Path(sys.executable), help="interpreter that runs it")
    parser.add_argument("--rows", type=int, default=400_000, help="training rows")
    parser.add_argument("--steps", type=int, default=100, help="timed steps of a run of plexrank")
    parser.add_argument("--fuxictr-steps", type=int, default=30, help="timed steps of a run of FuxiCTR")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each side")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "train_step", help="folder of data; it is kept")
    options = parser.parse_args()
    _sides.prepare(options.work, options.rows)
    sides: dict[str, Callable[[], dict[str, Any]]] = {}
    if options.fuxictr:
        sides["FuxiCTR"] = lambda: fuxictr(options)
    for name, rows, machine in (
        ("eager fp32, vocabularies", None, FP32),
        ("eager fp32, 0.9 M rows", FEW_ROWS, FP32),
        ("compiled bf16, vocabularies", None, FAST),
        ("compiled bf16, 0.9 M rows", FEW_ROWS, FAST),
        ("compiled bf16, 10 M rows", MANY_ROWS, FAST),
        ("eager fp32, 10 M rows", MANY_ROWS, FP32),
    ):
        sides[name] = lambda rows=rows, machine=machine: plexrank(options, rows, machine)  # type: ignore[misc]
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in sides}
    for _ in range(options.rounds):
        for name, run in sides.items():
            results[name].append(run())
            print(f"{name}: {results[name][-1]['samples_per_second']:,.0f} samples/s", flush=True)
    _report.write("train_step", "Training step of FinalMLP", [*comparison(results), *limits(results)])


def plexrank(options: argparse.Namespace, rows: int | None, machine: dict[str, Any]) -> dict[str, Any]:
    """Train with a row a value (None), or with hashed rows."""
    model = {
        "name": "finalmlp",
        "mlp1": {"hidden": STREAM1, "batch_norm": True},
        "mlp2": {"hidden": STREAM2, "batch_norm": True},
        "gates": {"hidden": GATES},
        "heads": HEADS,
    }
    return _sides.plexrank(options.work, model, machine, rows=rows, steps=options.steps, profile=machine is FAST)


def fuxictr(options: argparse.Namespace) -> dict[str, Any]:
    """Train FuxiCTR's FinalMLP with the same widths."""
    settings = {
        "mlp1_hidden_units": STREAM1,
        "mlp1_hidden_activations": "relu",
        "mlp1_batch_norm": True,
        "mlp2_hidden_units": STREAM2,
        "mlp2_hidden_activations": "relu",
        "mlp2_batch_norm": True,
        "use_fs": True,
        "fs_hidden_units": GATES,
        "fs1_context": [],
        "fs2_context": [],
        "num_heads": HEADS,
    }
    paths = (options.work, options.fuxictr, options.fuxictr_python)
    return _sides.fuxictr(*paths, "FinalMLP", "FinalMLP", settings, steps=options.fuxictr_steps)


def speed(runs: list[dict[str, Any]]) -> float:
    """Median samples/s over the runs."""
    return float(statistics.median(run["samples_per_second"] for run in runs))


def comparison(results: dict[str, list[dict[str, Any]]]) -> list[str]:
    """The table of samples/s and the ratios that are goals."""
    peer = speed(results["FuxiCTR"]) if "FuxiCTR" in results else None
    lines = [
        "FinalMLP on a made-up log of Criteo's shape (benchmarks/_criteo.py): 13 numerics and 26 categories, width 10,",
        f"batch {BATCH:,}, streams {STREAM1} and {STREAM2} with batch normalisation, gates {GATES}, {HEADS} heads,",
        "Adam for the dense part. plexrank's table has row-wise Adagrad; `vocabularies`: a row a value, the values",
        "those of FuxiCTR; `0.9 M` and `10 M rows`: a unified table of that size. FuxiCTR: its model, loader and",
        "train_step, whose Adam updates every row at every step. Input pipelines included. Each run a process of its",
        f"own, the sides in turn; {WARM_UP} steps (FuxiCTR: {PEER_WARM_UP}) left out before the timed ones.",
        "Medians over the runs.",
        "",
        "| side | samples/s | each run | x FuxiCTR | waiting for input | mean loss | parameters |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, runs in results.items():
        each = ", ".join(f"{run['samples_per_second']:,.0f}" for run in runs)
        ratio = f"{speed(runs) / peer:.1f}" if peer else "-"
        waiting = f"{statistics.median(run['waiting'] for run in runs):.1%}" if "waiting" in runs[0] else "-"
        lines.append(
            f"| {name} | {speed(runs):,.0f} | {each} | {ratio} | {waiting} | {runs[-1]['loss']:.4f} | "
            f"{runs[-1]['parameters']:,} |"
        )
    few, many = speed(results["compiled bf16, 0.9 M rows"]), speed(results["compiled bf16, 10 M rows"])
    lines += ["", f"10 M rows run at {many / few:.1%} of the speed of 0.9 M rows (goal: within 10 %, aim: within 3 %)."]
    if peer:
        fast, eager = few / peer, speed(results["eager fp32, 0.9 M rows"]) / peer
        lines += [
            f"Compiled with bf16: {fast:.1f} x FuxiCTR (goal 6, aim 8: {_verdict(fast, 6, 8)}).",
            f"Eager in fp32: {eager:.1f} x FuxiCTR (goal 2.5: {_verdict(eager, 2.5, 2.5)}).",
        ]
    return lines


def _verdict(ratio: float, goal: float, aim: float) -> str:
    if ratio < goal:
        return "missed"
    return "reached" if ratio >= aim else "goal reached, aim missed"


def limits(results: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Where the time of a step goes, and how far that is from the matrix products alone."""
    run = results["compiled bf16, 0.9 M rows"][-1]
    step = BATCH / speed(results["compiled bf16, 0.9 M rows"]) * 1000
    eager = BATCH / speed(results["eager fp32, 0.9 M rows"]) * 1000
    bound16, bound32 = products(torch.bfloat16), products(torch.float32)
    groups = sorted(run["milliseconds"].items(), key=lambda item: -item[1])
    return [
        "",
        "## Where a step goes",
        "",
        "Compiled with bf16, 0.9 M rows; milliseconds a step by torch's profiler, summed over threads' own time, ten",
        "steps of the last run. The profiler itself costs some.",
        "",
        "| part | ms | share |",
        "|---|---|---|",
        *(f"| {name} | {ms:.1f} | {ms / sum(run['milliseconds'].values()):.0%} |" for name, ms in groups),
        "",
        "## Distance to the matrix products",
        "",
        "The products of a step alone (each layer's forward, input and weight gradient, and the heads'),",
        f"their inputs in the cache: {bound16:.1f} ms in bf16, {bound32:.1f} ms in fp32, the best of 20. A step takes",
        f"{step:.1f} ms compiled in bf16 ({bound16 / step:.0%} of it are those products) and {eager:.1f} ms eager in",
        f"fp32 ({bound32 / eager:.0%}).",
        "",
        *(f"- {reason}" for reason in run["reasons"]),
    ]


def products(dtype: torch.dtype) -> float:
    """Milliseconds of a step's matrix products alone."""
    width = 39 * DIM
    shapes = [(width, STREAM1[0]), *itertools.pairwise(STREAM1), (width, STREAM2[0])]
    total = 0.0
    for inputs, outputs in shapes:
        x = torch.randn(BATCH, inputs, dtype=dtype)
        weight = torch.randn(outputs, inputs, dtype=dtype)
        grad = torch.randn(BATCH, outputs, dtype=dtype)
        for product in (lambda x=x, w=weight: x @ w.T, lambda g=grad, w=weight: g @ w, lambda g=grad, x=x: g.T @ x):
            total += _best(product)
    a, b = STREAM1[-1] // HEADS, STREAM2[-1] // HEADS
    left, weight, right = (torch.randn(HEADS, n, m, dtype=dtype) for n, m in ((BATCH, a), (a, b), (BATCH, b)))
    total += _best(lambda: left @ weight) + _best(lambda: right @ weight.mT) + _best(lambda: left.mT @ right)
    return total


def _best(product: Callable[[], torch.Tensor]) -> float:
    times = []
    for _ in range(20):
        started = time.perf_counter()
        product()
        times.append(time.perf_counter() - started)
    return min(times) * 1000


if __name__ == "__main__":
    main()
