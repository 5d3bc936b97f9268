"""Reproduce the published FinalMLP and LR recipes on Frappe: five seeds, mean and spread.

    python -m benchmarks.frappe --source ../shared/data/frappe

Trains from configs/frappe_{finalmlp,lr}.yaml, one process a run, and writes a dated report into benchmarks/reports.
"""

import argparse
import datetime
import json
import os
import shlex
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import hardware

SEEDS = (2021, 2022, 2023, 2024, 2025)
ROOT = Path(__file__).parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, required=True, help="folder with Frappe's train, valid and test files")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "benchmark_frappe", help="folder for the runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS, help="seeds, a run each")
    options = parser.parse_args()
    prepare(options.source, options.work)
    runs = {name: [train(name, seed, options.work) for seed in options.seeds] for name in ("finalmlp", "lr")}
    today = datetime.date.today().isoformat()
    path = ROOT / "benchmarks" / "reports" / f"{today}_frappe_{hardware.slug()}.md"
    path.parent.mkdir(exist_ok=True)
    path.write_text(report(runs, today, f"python -m benchmarks.frappe {shlex.join(sys.argv[1:])}".strip()))
    print(f"Wrote {path.relative_to(ROOT)}")


def plexrank(*arguments: str | Path) -> None:
    """Run the command line."""
    # Its standard output is results; the bars go to stderr and stay visible.
    subprocess.run([sys.executable, "-m", "commands.main", *map(str, arguments)], cwd=ROOT, check=True)


def prepare(source: Path, work: Path) -> None:
    """Turn the download into a prepared set."""
    raw = work / "raw"
    plexrank("dataset", "frappe", "--source", source.resolve(), "--output", raw, "--overwrite")
    plexrank(
        "prepare", "--schema", raw / "schema.yaml", "--input", raw / "train.parquet", "--valid", raw / "valid.parquet",
        "--test", raw / "test.parquet", "--output", work / "prepared", "--overwrite",
    )  # fmt: skip


def train(name: str, seed: int, work: Path, *, folder: str = "", sets: Sequence[str] = ()) -> dict[str, Any]:
    """Train one seed, some settings replaced, and read what its artifact says of it."""
    output = work / folder / f"{name}_{seed}"
    sets = (f"data={work / 'prepared'}", f"output={output}", f"seed={seed}", *sets)
    plexrank(
        "train", "--config", f"configs/frappe_{name}.yaml", "--overwrite", *(x for s in sets for x in ("--set", s))
    )
    manifest: dict[str, Any] = json.loads((output / "artifact" / "manifest.json").read_text())
    lines = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    return {
        "seed": seed,
        "parameters": manifest["parameters"],
        "epochs": manifest["provenance"]["epochs"],
        "best": manifest["provenance"]["best_epoch"],
        "seconds": sum(line["seconds"] for line in lines),
        **{
            f"{split}_{metric}": manifest["metrics"][split]["metrics"][metric]["value"]
            for split in ("valid", "test")
            for metric in ("auc", "logloss")
        },
    }


def report(runs: dict[str, list[dict[str, Any]]], today: str, command: str) -> str:
    """The report as markdown."""
    text = [
        f"# FinalMLP and LR on Frappe-resampled, {today}",
        "",
        f"Machine: {hardware.description()}, OMP_WAIT_POLICY={os.environ.get('OMP_WAIT_POLICY', 'PASSIVE (default)')}.",
        "",
        f"    {command}",
        "",
        "Original validation and test rows; the negatives of the training rows have their items drawn again, so this",
        "is not the published split to the letter. Every run of the seed list stands here; the epoch is chosen on the",
        "validation rows. Seconds are training alone, on a shared machine.",
    ]
    for name, rows in runs.items():
        text += [
            "",
            f"## {name}: {rows[0]['parameters']:,} parameters (configs/frappe_{name}.yaml)",
            "",
            "| seed | valid AUC | test AUC | test logloss | best epoch of | seconds |",
            "|---|---|---|---|---|---|",
            *(
                f"| {r['seed']} | {r['valid_auc']:.6f} | {r['test_auc']:.6f} | {r['test_logloss']:.6f} | "
                f"{r['best']} of {r['epochs']} | {r['seconds']:.0f} |"
                for r in rows
            ),
            f"| mean | {_mean(rows, 'valid_auc')} | {_mean(rows, 'test_auc')} | {_mean(rows, 'test_logloss')} | | |",
            f"| sample std | {_std(rows, 'valid_auc')} | {_std(rows, 'test_auc')} | {_std(rows, 'test_logloss')} | | |",
        ]
    text += [
        "",
        "## Beside it",
        "",
        "| source | model | test AUC | test logloss |",
        "|---|---|---|---|",
        "| FuxiCTR on these very files, seed 2021, one run, 16 epochs | FinalMLP | .985484 | .150886 |",
        "| independent runs on these files, three seeds | FinalMLP | .98507, .98523, .98538 | |",
        "| BARS, Frappe_x1, the published run (chosen on test) | FinalMLP | .986072 | .148415 |",
        "| authors' tuner, 32 configurations, median | FinalMLP | .984807 | |",
        "| an independent run on these files | LR | .9352 | .3079 |",
        "| BARS, Frappe_x1 | LR | .935584 | .307643 |",
        "",
    ]
    return "\n".join(text)


def _mean(rows: list[dict[str, Any]], key: str) -> str:
    return f"{statistics.fmean(row[key] for row in rows):.6f}"


def _std(rows: list[dict[str, Any]], key: str) -> str:
    return f"{statistics.stdev(row[key] for row in rows):.6f}" if len(rows) > 1 else "-"


if __name__ == "__main__":
    main()
