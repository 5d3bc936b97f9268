"""Exact AUC with its DeLong interval against scikit-learn's AUC alone, in slices, and out of memory.

    python -m benchmarks.auc --rows 1000000000 --memory-mb 1024

The first two parts hold 10 million rows in memory. The third makes its rows chunk by chunk in a process of its own,
whose peak memory is measured. Writes a dated report into benchmarks/reports.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from benchmarks import _child, _report
from evaluation.metrics.auc import auc

ROOT = Path(__file__).parents[1]
MIB = 2**20
ROWS = 10_000_000
SLICES = 1_000
MUST, AIM, MOST = 3, 5, 2

Labels: TypeAlias = npt.NDArray[np.bool_]
Scores: TypeAlias = npt.NDArray[Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000_000, help="rows of the part out of memory")
    parser.add_argument("--memory-mb", type=int, default=1024, help="its budget for rows")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of the other parts")
    parser.add_argument("--work", type=Path, default=ROOT / "runs", help="folder for temporary files")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    lines = [
        *against_scikit_learn(options.rounds),
        "",
        *in_slices(options.rounds),
        "",
        *out_of_memory(options.rows, options.memory_mb, options.work),
    ]
    _report.write("auc", "Exact AUC with its interval", lines)


def predictions(rate: float, dtype: type) -> tuple[Labels, Scores]:
    """Rows of two normal distributions of scores, in no order."""
    random = np.random.default_rng(int(1_000 * rate))
    labels = random.random(ROWS) < rate
    return labels, (random.normal(size=ROWS) + labels).astype(dtype)


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def against_scikit_learn(rounds: int) -> list[str]:
    """Time the two in turns."""
    lines = [
        f"{ROWS:,} rows in memory, in no order: `auc` with its DeLong interval against scikit-learn's `roc_auc_score`,",
        f"which gives none, in turns; the median of {rounds} rounds. Must be {MUST} times as fast, aim {AIM}.",
        "",
        "| scores | click rate | plexrank, s | scikit-learn, s | ratio | each | AUC, and how far apart |",
        "|---|---|---|---|---|---|---|",
    ]
    for dtype in (np.float64, np.float32):
        for rate in (0.2, 0.004):
            labels, scores = predictions(rate, dtype)
            difference = auc(labels, scores).value - roc_auc_score(labels, scores)
            pairs = [
                (seconds(lambda: auc(labels, scores)), seconds(lambda: roc_auc_score(labels, scores)))  # noqa: B023
                for _ in range(rounds)
            ]
            ours, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
            ratios = [b / a for a, b in pairs]
            ratio = statistics.median(ratios)
            goal = "aim reached" if ratio >= AIM else "reached" if ratio >= MUST else "missed"
            each = ", ".join(f"{value:.1f}" for value in ratios)
            lines.append(
                f"| {dtype.__name__} | {rate} | {ours:.2f} | {theirs:.2f} | **{ratio:.1f}** ({goal}) | {each} "
                f"| {auc(labels, scores).value:.6f}, {abs(difference):.0e} |"
            )
            print(lines[-1])
    return lines


def in_slices(rounds: int) -> list[str]:
    """Time the AUC of every slice against that of the whole."""
    lines = [
        f"The same rows in {SLICES:,} slices by a column of codes (uint16), sorting and gathering included, against",
        f"the whole, in turns; the median of {rounds} rounds. Must be at most {MOST} times the whole.",
        "",
        "| scores | click rate | whole, s | slices, s | ratio | each |",
        "|---|---|---|---|---|---|",
    ]
    codes = np.random.default_rng(0).integers(0, SLICES, ROWS).astype(np.uint16)
    for dtype in (np.float64, np.float32):
        labels, scores = predictions(0.2, dtype)
        pairs = [
            (seconds(lambda: auc(labels, scores)), seconds(lambda: slices(codes, labels, scores)))  # noqa: B023
            for _ in range(rounds)
        ]
        whole, parts = (statistics.median(side) for side in zip(*pairs, strict=True))
        ratios = [b / a for a, b in pairs]
        ratio = statistics.median(ratios)
        each = ", ".join(f"{value:.2f}" for value in ratios)
        goal = "reached" if ratio <= MOST else "missed"
        lines.append(f"| {dtype.__name__} | 0.2 | {whole:.2f} | {parts:.2f} | **{ratio:.2f}** ({goal}) | {each} |")
        print(lines[-1])
    return lines


def slices(codes: npt.NDArray[np.uint16], labels: Labels, scores: Scores) -> list[float]:
    """The AUC of each code's rows."""
    order = np.argsort(codes, kind="stable")
    labels, scores = labels[order], scores[order]
    ends = np.cumsum(np.bincount(codes, minlength=SLICES)).tolist()
    return [auc(labels[a:b], scores[a:b]).value for a, b in zip([0, *ends], ends, strict=False)]


def out_of_memory(rows: int, memory: int, work: Path) -> list[str]:
    """Measure a process that sees more rows than it may hold."""
    with tempfile.TemporaryDirectory(dir=work) as folder:
        result = Path(folder) / "result.json"
        arguments = [str(rows), str(memory), folder, str(result)]
        usage = _child.run([sys.executable, "-m", "benchmarks._auc_large", *arguments], folder=ROOT)
        found = json.loads(result.read_text())
    took = ", ".join(f"{name} {value:.0f} s" for name, value in found["seconds"].items())
    return [
        f"{rows:,} rows of float32 scores, made chunk by chunk, with a budget of {memory:,} MiB for rows:",
        "",
        f"- {usage.seconds:.0f} s in all: {took};",
        f"- peak memory of the process {usage.memory / MIB:,.0f} MiB, temporary file {found['disk'] / MIB:,.0f} MiB;",
        f"- AUC {found['value']:.8f}, 95 % interval {found['low']:.8f} to {found['high']:.8f}, "
        f"{found['positives']:,} positives.",
    ]


if __name__ == "__main__":
    main()
