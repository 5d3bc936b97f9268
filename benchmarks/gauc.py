"""Time grouped AUC on 10 million rows of 1 million users, beside FuxiCTR's on the same rows.

    python -m benchmarks.gauc --fuxictr ../FuxiCTR --fuxictr-python ../fuxictr-env/bin/python

FuxiCTR (a checkout) runs in an environment of its own, and takes some twenty minutes: --rows and --users make a smaller
trial. Writes a dated report into benchmarks/reports.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from benchmarks import _report
from evaluation.metrics.gauc import gauc, gauc_of
from evaluation.state.grouped_rows import GroupedRows

ROOT = Path(__file__).parents[1]
Rows: TypeAlias = tuple[npt.NDArray[Any], ...]
"""Labels, scores and groups."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fuxictr", type=Path, required=True, help="a checkout of FuxiCTR to compare with")
    parser.add_argument("--fuxictr-python", type=Path, default=Path(sys.executable), help="interpreter that runs it")
    parser.add_argument("--rows", type=int, default=10_000_000, help="rows")
    parser.add_argument("--users", type=int, default=1_000_000, help="users that they are of")
    parser.add_argument("--rounds", type=int, default=5, help="runs of plexrank")
    options = parser.parse_args()

    rows = made_up(options.rows, options.users)
    runs = [seconds(rows) for _ in range(options.rounds)]
    theirs = by_fuxictr(rows, options.fuxictr.resolve(), options.fuxictr_python.absolute())
    ours = gauc(*rows)
    if abs(ours.value - theirs["value"]) > 1e-9:
        raise SystemExit(f"plexrank has {ours.value!r}, FuxiCTR {theirs['value']!r}")
    lines = [
        f"{options.rows:,} made-up rows of {np.unique(rows[2]).size:,} users in memory, unordered;",
        f"{rows[0].mean():.1%} clicks, float32 scores of three decimals, so that users have tied rows. Times are of",
        f"the call alone, without imports and reading. FuxiCTR {theirs['version']} is its `evaluate_metrics` for",
        f"`gAUC`, run once; plexrank is `gauc`, which has an interval, too, the median of {options.rounds} runs.",
        "",
        "| side | seconds | each run | rows/s | x FuxiCTR |",
        "|---|---|---|---|---|",
        table_row("FuxiCTR", options.rows, [theirs["seconds"]], 1),
        table_row("plexrank", options.rows, runs, theirs["seconds"] / statistics.median(runs)),
        "",
        f"Both agree: FuxiCTR has {theirs['value']:.15f}, plexrank {ours.value:.15f}.",
        "",
        *weightings(rows),
    ]
    _report.write("gauc", "Grouped AUC", lines)


def made_up(rows: int, users: int) -> Rows:
    """Labels, scores and groups of users who differ in how much they click and in how many rows they have."""
    draws = np.random.default_rng(0)
    groups = (users * draws.random(rows) ** 1.2).astype(np.int64)
    chance = 1 / (1 + np.exp(2.7 - draws.normal(size=users)[groups] - draws.normal(size=rows)))
    return draws.random(rows) < chance, np.round(chance, 3).astype(np.float32), groups


def weightings(rows: Rows) -> list[str]:
    """All three from one state."""
    began = time.perf_counter()
    state = GroupedRows.of(*rows)
    found = [gauc_of(state)]
    first = time.perf_counter() - began
    found += [gauc_of(state, weighting="positives"), gauc_of(state, weighting="plain")]
    others = time.perf_counter() - began - first
    text = [
        "All rows, the three weightings from one state: the first, with sorting, took",
        f"{first:.2f} s, the other two {others:.2f} s together.",
        "",
        "| weighting | GAUC | 95 % interval | users used | users of one class, left out |",
        "|---|---|---|---|---|",
    ]
    for estimate in found:
        assert estimate.interval is not None
        detail = estimate.detail
        text.append(
            f"| {detail['weighting']} | {estimate.value:.6f} | {estimate.interval.low:.6f} to "
            f"{estimate.interval.high:.6f} | {detail['groups_used']:,} | {detail['groups_one_class']:,} |"
        )
    return text


def by_fuxictr(rows: Rows, checkout: Path, python: Path) -> dict[str, Any]:
    """Its seconds, value and version."""
    with tempfile.TemporaryDirectory() as folder:
        for name, column in zip(("labels", "scores", "groups"), rows, strict=True):
            np.save(Path(folder) / f"{name}.npy", column)
        script = Path(__file__).with_name("_fuxictr_gauc.py")
        environment = {**os.environ, "PYTHONPATH": str(checkout)}
        command = [str(python), str(script), folder]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"FuxiCTR failed:\n{done.stderr}")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"FuxiCTR: {told['seconds']:.1f} s")
    return told


def seconds(rows: Rows) -> float:
    began = time.perf_counter()
    gauc(*rows)
    taken = time.perf_counter() - began
    print(f"plexrank, {rows[0].size:,} rows: {taken:.2f} s")
    return taken


def table_row(side: str, rows: int, runs: list[float], ratio: float) -> str:
    middle = statistics.median(runs)
    each = ", ".join(f"{run:.2f}" for run in runs)
    return f"| {side} | {middle:.2f} | {each} | {rows / middle:,.0f} | {ratio:,.0f} |"


if __name__ == "__main__":
    main()
