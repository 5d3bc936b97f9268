"""Measure how fast batches come out of a prepared set that lies in the page cache.

    python -m benchmarks.input_pipeline

Prepares a made-up log of Criteo's shape (13 counts, 26 categories as tokens) in a temporary folder, reads it once, and
iterates its batches as training does: in the order of the shards, shuffled as one, and shuffled in windows; made by
threads of this process, and by worker processes. Writes a dated report into benchmarks/reports.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks import _child, _criteo, _report
from features.datasets.batch import Batch
from features.datasets.dataset import ClickDataset
from features.datasets.feed import Feed
from features.datasets.prepared import PreparedSet
from features.encoding.encoded import EncodedRows, columns

ROOT = Path(__file__).parents[1]
GOAL = 1.5  # million rows/s
FILE_ROWS = 500_000
STEP_ROWS = 262_144  # what the times of the steps are for
EXACT, WINDOWED, UNSHUFFLED = "exact shuffle", "windowed shuffle", "not shuffled"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000_000, help="rows of the set")
    parser.add_argument("--batch-size", type=int, nargs="+", default=[4096, 10_000], help="rows of a batch")
    parser.add_argument("--workers", type=int, default=2, help="worker processes, where there are some")
    parser.add_argument("--shuffle-memory-mb", type=float, default=64, help="what the windowed shuffle may hold")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each mode")
    parser.add_argument("--work", type=Path, default=ROOT / "runs", help="folder for temporary files")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        prepared = prepare(options.rows, Path(folder))
        for _ in prepared.shards("train"):
            pass  # into the page cache
        modes = [
            Mode(order, size, workers, options.shuffle_memory_mb)
            for size in options.batch_size
            for workers in (0, options.workers)
            for order in (UNSHUFFLED, EXACT, WINDOWED)
        ]
        for _ in range(options.rounds):
            for mode in modes:
                mode.measure(prepared)
        steps = steps_of(prepared, options.batch_size[0], options.rounds)
    missed = [
        f"{mode.order}, {mode.workers} workers, {mode.size:,} a batch" for mode in modes if mode.goal != "reached"
    ]
    lines = [
        f"{options.rows:,} rows of 39 features: 13 numbers and 26 categories as tokens, of a made-up log of Criteo's",
        "shape (benchmarks/_criteo.py). The files were read once before, so they come from the page cache. Batches",
        "are counted, nothing else uses them. A new feed each round, the modes in turn; 0 workers: threads of this",
        "process make the batches. An exact shuffle reads everything in its first epoch, and nothing after; workers",
        "start their processes in the first epoch, so that it says nothing of the speed and is left out.",
        f"The windows have {max(mode.window for mode in modes if mode.order == WINDOWED):,} rows at most.",
        "",
        f"Goal: {GOAL} million rows/s, the median of {options.rounds} rounds.",
        "",
        "| order | rows a batch | workers | million rows/s, first epoch: median, each | later: median, each | goal |",
        "|---|---|---|---|---|---|",
        *(mode.line() for mode in modes),
        "",
        f"Missed by: {'; '.join(missed)}." if missed else "Every mode reached the goal.",
        "",
        f"Where the time goes, per {STEP_ROWS:,} rows: each step alone over the first shard, rows shuffled, batches of",
        f"{options.batch_size[0]:,}, the least of {options.rounds} rounds. A thread does the first two steps ahead",
        "while another does the last two.",
        "",
        "| step | ms | processor ms |",
        "|---|---|---|",
        *(f"| {name} | {wall * 1000:.0f} | {cpu * 1000:.0f} |" for name, (wall, cpu) in steps.items()),
    ]
    if missed:
        slowest = max(steps, key=lambda name: steps[name][1])
        lines += ["", f"What costs most is to {slowest}. Worker processes also hand their batches over."]
    _report.write("input_pipeline", "The input pipeline", lines)


@dataclass
class Mode:
    """A way to iterate, and what it gave.

    Attributes:
        order: Of the rows.
        size: Rows of a batch.
        workers: Worker processes.
        memory: What the windowed shuffle may hold, in 10^6 bytes.
        window: Rows of a window.
        first: Million rows/s of the first epoch, a value a round.
        later: The same of the second epoch.
    """

    order: str
    size: int
    workers: int
    memory: float
    window: int = 0
    first: list[float] = field(default_factory=list)
    later: list[float] = field(default_factory=list)

    def measure(self, prepared: PreparedSet) -> None:
        """Iterate two epochs of a new feed."""
        rows = prepared.rows("train")
        dataset = ClickDataset(
            prepared,
            "train",
            batch_size=self.size,
            shuffle=self.order != UNSHUFFLED,
            shuffle_memory_mb=self.memory if self.order == WINDOWED else sys.maxsize,
            workers=self.workers,
        )
        window = dataset.settings["window_rows"]
        assert isinstance(window, int)
        self.window = window
        if self.order == WINDOWED and self.window * 4 > rows:
            raise SystemExit(f"{rows:,} rows are no four windows of {self.window:,}; lower --shuffle-memory-mb")
        feed = Feed(dataset)
        for speeds in (self.first, self.later):
            started = time.perf_counter()
            given = sum(len(batch.dense) for batch in feed)
            speeds.append(given / (time.perf_counter() - started) / 1e6)
            if given != rows:
                raise SystemExit(f"{self.order} gave {given:,} rows of {rows:,}")
        print(
            f"{self.order}, {self.size:,}, {self.workers} workers: {self.first[-1]:.2f}, {self.later[-1]:.2f} M rows/s"
        )

    @property
    def goal(self) -> str:
        """Whether it was reached: by both epochs, or by the later one where the first starts processes."""
        if statistics.median(self.later) < GOAL:
            return "missed"
        return "reached" if self.workers or statistics.median(self.first) >= GOAL else "missed in the first epoch"

    def line(self) -> str:
        """Its row of the table."""
        first, later = (
            f"**{statistics.median(speeds):.2f}**: {', '.join(f'{speed:.2f}' for speed in speeds)}"
            for speeds in (self.first, self.later)
        )
        cells = [self.order, f"{self.size:,}", str(self.workers), "" if self.workers else first, later, self.goal]
        return f"| {' | '.join(cells)} |"


def prepare(rows: int, folder: Path) -> PreparedSet:
    """Draw a log and prepare all of it as training rows."""
    log, schema = folder / "log", folder / "schema.yaml"
    log.mkdir()
    draws = np.random.default_rng(0)
    for number, first in enumerate(range(0, rows, FILE_ROWS)):
        _criteo.block(min(FILE_ROWS, rows - first), draws).write_parquet(log / f"{number:03}.parquet")
    schema.write_text(json.dumps(_criteo.schema(encoding="token")))  # JSON is YAML
    arguments = [f"--schema={schema}", f"--input={log}", "--split=1,0,0", f"--output={folder / 'prepared'}"]
    _child.run([sys.executable, "-m", "commands.main", "prepare", *arguments], folder=ROOT)
    return PreparedSet(folder / "prepared")


def steps_of(prepared: PreparedSet, size: int, rounds: int) -> dict[str, tuple[float, float]]:
    """For each step the wall and processor seconds of ``STEP_ROWS`` rows, the least of the rounds."""
    shards, schema = prepared.reader("train"), prepared.fitted.schema
    least: dict[str, tuple[float, float]] = {}
    count = shards.rows[0]
    order = np.random.default_rng(0).permutation(count)
    cuts = range(size, count, size)
    for _ in range(rounds):
        marks = [_now()]
        frame = shards.read(0, columns=columns(schema))
        marks.append(_now())
        rows = EncodedRows.of(frame, schema)
        marks.append(_now())
        taken = [rows.take(positions) for positions in np.split(order, cuts)]
        marks.append(_now())
        made = [Batch.of(part) for part in taken]
        marks.append(_now())
        assert sum(len(batch.dense) for batch in made) == count
        names = ("read Parquet", "turn columns into arrays", "gather the rows of batches", "lay batches out by feature")
        for name, before, after in zip(names, marks[:-1], marks[1:], strict=True):
            scale = STEP_ROWS / count
            spent = (after[0] - before[0]) * scale, (after[1] - before[1]) * scale
            least[name] = min(least.get(name, spent), spent)
    return least


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


if __name__ == "__main__":
    main()
