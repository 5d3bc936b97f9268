"""Compare the AUC of bf16 and compilation with that of eager fp32: FinalMLP on Frappe, the same seeds on both sides.

    python -m benchmarks.precision --source ../shared/data/frappe

Trains configs/frappe_finalmlp.yaml, one process a run, and writes a dated report into benchmarks/reports.
"""

import argparse
import statistics
import sys
from pathlib import Path
from typing import Any

from scipy import stats  # type: ignore[import-untyped]

from benchmarks import _report, frappe

ROOT = Path(__file__).parents[1]
SIDES = {
    "fp32, eager": ("machine.precision=fp32", "machine.compile=false"),
    "bf16, compiled": ("machine.precision=bf16", "machine.compile=true"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, required=True, help="folder with Frappe's train, valid and test files")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "benchmark_precision", help="folder for the runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=(2021, 2022, 2023), help="seeds, a run each and side")
    options = parser.parse_args()
    if len(options.seeds) < 2:
        sys.exit("--seeds: two at least, or there is no noise to compare with")
    frappe.prepare(options.source, options.work)
    runs: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
    for seed in options.seeds:
        for number, (side, sets) in enumerate(SIDES.items()):
            runs[side].append(frappe.train("finalmlp", seed, options.work, folder=f"side{number}", sets=sets))
    _report.write("precision", "bf16 and compilation beside eager fp32", report(runs))


def report(runs: dict[str, list[dict[str, Any]]]) -> list[str]:
    """The table of runs, and whether the sides differ by more than seeds do."""
    plain, fast = runs.values()
    differences = [b["test_auc"] - a["test_auc"] for a, b in zip(plain, fast, strict=True)]
    mean, spread = statistics.fmean(differences), statistics.stdev(differences)
    half = float(stats.t.ppf(0.975, len(differences) - 1)) * spread / len(differences) ** 0.5
    between = statistics.stdev(run["test_auc"] for run in plain)
    within = abs(mean) <= half
    return [
        "FinalMLP with the published recipe on Frappe-resampled (configs/frappe_finalmlp.yaml). Scores are computed in",
        "fp32 on both sides: only training differs.",
        "",
        "| side | seed | valid AUC | test AUC | test logloss | best epoch of | seconds of training |",
        "|---|---|---|---|---|---|---|",
        *(
            f"| {side} | {r['seed']} | {r['valid_auc']:.6f} | {r['test_auc']:.6f} | {r['test_logloss']:.6f} | "
            f"{r['best']} of {r['epochs']} | {r['seconds']:.0f} |"
            for side, rows in runs.items()
            for r in rows
        ),
        "",
        f"Test AUC, bf16 compiled less fp32 eager, seed by seed: {', '.join(f'{d:+.6f}' for d in differences)}; mean",
        f"{mean:+.6f} ± {half:.6f} (95 % t-interval of {len(differences)} pairs). Seeds alone move fp32's by",
        f"{between:.6f} (sample std). The difference is {'within' if within else 'NOT within'} the noise.",
    ]


if __name__ == "__main__":
    main()
