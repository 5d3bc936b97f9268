"""Compare the AUC of bf16 and compilation with that of eager fp32: FinalMLP on Frappe, the same seeds on both sides.

    python -m benchmarks.precision --data ../shared/data

Trains configs/frappe_finalmlp.yaml, one process a run, and writes a dated report into benchmarks/reports.
"""

import argparse
import statistics
import sys
from pathlib import Path

from scipy import stats  # type: ignore[import-untyped]

from benchmarks import _report, reproduce
from evaluation.leaderboard.run import Run
from training.finished import read_run

ROOT = Path(__file__).parents[1]
SIDES = {
    "fp32, eager": ("machine.precision=fp32", "machine.compile=false"),
    "bf16, compiled": ("machine.precision=bf16", "machine.compile=true"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds frappe/")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "benchmark_precision", help="folder for the runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=(2021, 2022, 2023), help="seeds, a run each and side")
    options = parser.parse_args()
    if len(options.seeds) < 2:
        sys.exit("--seeds: two at least, or there is no noise to compare with")
    reproduce.prepare("frappe", options.data, options.work)
    runs: dict[str, list[Run]] = {side: [] for side in SIDES}
    for seed in options.seeds:
        for number, (side, sets) in enumerate(SIDES.items()):
            output = reproduce.train("frappe_finalmlp", seed, options.work, folder=f"side{number}", sets=sets)
            runs[side].append(read_run(output))
    _report.write("precision", "bf16 and compilation beside eager fp32", report(runs))


def report(runs: dict[str, list[Run]]) -> list[str]:
    """The table of runs, and whether the sides differ by more than seeds do."""
    plain, fast = runs.values()
    differences = [_value(b) - _value(a) for a, b in zip(plain, fast, strict=True)]
    mean, spread = statistics.fmean(differences), statistics.stdev(differences)
    half = float(stats.t.ppf(0.975, len(differences) - 1)) * spread / len(differences) ** 0.5
    between = statistics.stdev(map(_value, plain))
    within = abs(mean) <= half
    return [
        "FinalMLP with the published recipe on Frappe-resampled (configs/frappe_finalmlp.yaml). Scores are computed in",
        "fp32 on both sides: only training differs.",
        "",
        "| side | seed | valid AUC | test AUC | test logloss | best epoch of | seconds of training |",
        "|---|---|---|---|---|---|---|",
        *(
            f"| {side} | {run.seed} | {_value(run, split='valid'):.6f} | {_value(run):.6f} "
            f"| {_value(run, 'logloss'):.6f} | {run.best_epoch} of {run.epochs} | {run.seconds or 0:.0f} |"
            for side, rows in runs.items()
            for run in rows
        ),
        "",
        f"Test AUC, bf16 compiled less fp32 eager, seed by seed: {', '.join(f'{d:+.6f}' for d in differences)}; mean",
        f"{mean:+.6f} ± {half:.6f} (95 % t-interval of {len(differences)} pairs). Seeds alone move fp32's by",
        f"{between:.6f} (sample std). The difference is {'within' if within else 'NOT within'} the noise.",
    ]


def _value(run: Run, metric: str = "auc", *, split: str = "test") -> float:
    value = run.reports[split].metric(metric).value
    assert value is not None
    return value


if __name__ == "__main__":
    main()
