"""The report of the memory-accuracy curve: tables, Welch's test, and the plot."""

import datetime
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from scipy import stats  # type: ignore[import-untyped]

from benchmarks import _report, hardware

PAPER = {
    ("full", 100): 0.8872,
    ("hashing trick", 100): 0.8537,
    ("hashing trick", 50): 0.8300,
    ("hashing trick", 10): 0.7707,
    ("unified", 100): 0.8774,
    ("unified", 50): 0.8693,
    ("unified", 10): 0.8200,
}
"""Test AUC in table 1 of Coleman et al. 2023, at 1.6 MB, 791 kB and 158 kB."""


class Run(NamedTuple):
    """A trained table; the metrics are those of the epoch that was best on the validation rows."""

    method: str
    percent: int
    seed: int
    table_bytes: int
    parameters: int
    epochs: int
    best_epoch: int
    valid_auc: float
    test_auc: float
    test_logloss: float
    seconds: float


class Cell(NamedTuple):
    """The test AUC of a method at a budget: its mean over seeds, and half the width of its 95 % t-interval.

    One seed has no interval: half is infinite.
    """

    mean: float
    half: float
    runs: tuple[Run, ...]

    @classmethod
    def of(cls, runs: Sequence[Run]) -> "Cell":
        """Summarise runs that differ in their seed."""
        values = [run.test_auc for run in runs]
        half = math.inf
        if len(values) > 1:
            half = float(stats.t.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / math.sqrt(len(values))
        return cls(statistics.fmean(values), half, tuple(runs))

    def __str__(self) -> str:
        return f"{self.mean:.4f} ± {self.half:.4f}"

    @property
    def kilobytes(self) -> float:
        """Size of the table."""
        return self.runs[0].table_bytes / 1e3


def write(runs: Sequence[Run], *, config: Path, planned: int) -> None:
    """Write the report and its plot.

    Args:
        runs: The finished runs.
        config: The run file they were trained from.
        planned: How many runs there will be.
    """
    keys = dict.fromkeys((run.method, run.percent) for run in runs)
    cells = {key: Cell.of([run for run in runs if (run.method, run.percent) == key]) for key in keys}
    percents = sorted({percent for _, percent in cells}, reverse=True)
    sizes = {percent: cell.kilobytes for (_, percent), cell in cells.items()}
    figure = f"{datetime.date.today().isoformat()}_memory-curve_{hardware.slug()}.svg"
    _plot(cells, Path(__file__).parent / "reports" / figure)
    lines = [
        f"{len(runs)} of {planned} runs, trained from {config} in fp32 on one thread. Test AUC of the epoch that is",
        "best on validation: mean over seeds ± half the 95 % t-interval, which of two seeds is wide (t = 12.7).",
        "",
        f"![test AUC over the table's size]({figure})",
        "",
        f"| method | seeds | {' | '.join(f'{p} %, {sizes[p]:,.0f} kB' for p in percents)} |",
        f"|---|---|{'---|' * len(percents)}",
        *(_row(method, cells, percents) for method in dict.fromkeys(method for method, _ in cells)),
        "",
        *_claim(cells, percents),
        "",
        "## Beside the paper",
        "",
        "| method | table | paper | ours | ours - paper |",
        "|---|---|---|---|---|",
        *(
            f"| {method} | {percent} % | {value:.4f} | {cells[method, percent].mean:.4f} | "
            f"{cells[method, percent].mean - value:+.4f} |"
            for (method, percent), value in PAPER.items()
            if (method, percent) in cells
        ),
        "",
        *_NOTES.splitlines(),
        "",
        "## Every run",
        "",
        "| method | table | bytes | parameters | seed | valid AUC | test AUC | test logloss | best epoch | seconds |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *(
            f"| {r.method} | {r.percent} % | {r.table_bytes:,} | {r.parameters:,} | {r.seed} | {r.valid_auc:.5f} | "
            f"{r.test_auc:.5f} | {r.test_logloss:.5f} | {r.best_epoch} of {r.epochs} | {r.seconds:.0f} |"
            for cell in cells.values()
            for r in cell.runs
        ),
    ]
    _report.write("memory_curve", "Memory and accuracy on MovieLens-1M", lines)


_NOTES = """\
The paper has a split of its own, batch 128, lr 2e-4 with a tuned number of epochs, and counts 13,653 values; here are
13,158 ids (the values of the training rows, and two reserved ids a feature). Alike for all methods: Adam, constant lr
1e-3, batch 256 (for the time it takes), dense L2 1e-5 on the table, rows uniform in [-.05, .05], no batch
normalisation, a stop after 2 epochs without gain in validation AUC. Learning rate (of 1e-3 and 5e-4) and L2 (of 0 and
1e-5) were chosen on validation by the full table, with one seed at batch 128. Features: user, movie, gender, age,
occupation, zip. Ratings of 3 are dropped, above 3 is positive; random 8:1:1, the same split for every seed.

Gender has full rows in every method, as in the paper. Hashing trick, multihash (two rows summed) and quotient-remainder
(product) share the rows out in proportion to the features' ids; quotient-remainder has full rows for age and occupation
too, whose shares are too small for two tables. Unified and ROBE (Z = 10, signed) have one range for all features. A
value reads one row of 30 numbers; of ROBE, and of unified with 3 probes, three blocks of 10."""


def _row(method: str, cells: dict[tuple[str, int], Cell], percents: Sequence[int]) -> str:
    found = [cells.get((method, percent)) for percent in percents]
    seeds = max(len(cell.runs) for cell in found if cell is not None)
    return f"| {method} | {seeds} | {' | '.join(str(cell) if cell else '' for cell in found)} |"


def _claim(cells: dict[tuple[str, int], Cell], percents: Sequence[int]) -> list[str]:
    """Unified against the hashing trick, budget by budget."""
    lines = [
        "| unified - hashing trick | gap | Welch's t | p (two-sided) | 95 % intervals |",
        "|---|---|---|---|---|",
    ]
    gaps, apart = [], []
    for percent in percents:
        unified, hashed = cells.get(("unified", percent)), cells.get(("hashing trick", percent))
        if unified is None or hashed is None or min(len(unified.runs), len(hashed.runs)) < 2:
            return ["Unified against the hashing trick: not all runs are there yet."]
        test = stats.ttest_ind([r.test_auc for r in unified.runs], [r.test_auc for r in hashed.runs], equal_var=False)
        gaps.append(unified.mean - hashed.mean)
        apart.append(unified.mean - unified.half > hashed.mean + hashed.half)
        lines.append(
            f"| {percent} % | {gaps[-1]:+.4f} | {test.statistic:.1f} | {test.pvalue:.1e} | "
            f"{'apart' if apart[-1] else 'overlap'} |"
        )
    beats = "beats" if all(apart) else "does NOT beat"
    grows = "grows" if gaps == sorted(gaps) else "does NOT grow"
    return [
        *lines,
        "",
        f"Unified embedding {beats} the hashing trick at every budget with intervals apart, and the gap {grows} as",
        "memory shrinks.",
    ]


def _plot(cells: dict[tuple[str, int], Cell], path: Path) -> None:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "plexrank"})
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4), layout="constrained")
    markers = iter("osv^DP")
    for method in dict.fromkeys(method for method, _ in cells):
        points = sorted((cell.kilobytes, percent, cell) for (name, percent), cell in cells.items() if name == method)
        sizes, percents, drawn = zip(*points, strict=True)
        means = [cell.mean for cell in drawn]
        if method == "full":
            axes.axhline(means[0], color="0.5", linestyle="--", linewidth=1, label="full table")
            continue
        # An interval of two seeds would be higher than the plot.
        halves = [cell.half if len(cell.runs) > 2 else 0 for cell in drawn]
        line = axes.errorbar(sizes, means, halves, marker=next(markers), markersize=5, capsize=3, label=method)[0]
        published = [PAPER[method, percent] for percent in percents if (method, percent) in PAPER]
        if len(published) == len(sizes):
            axes.plot(sizes, published, ":x", color=line.get_color(), linewidth=1, label=f"{method}, paper")
    axes.set(xscale="log", xlabel="embedding table, kB", ylabel="test AUC")
    ticks = [cell.kilobytes for (method, _), cell in cells.items() if method == "unified"]
    axes.set_xticks(ticks, [f"{tick:,.0f}" for tick in ticks])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
