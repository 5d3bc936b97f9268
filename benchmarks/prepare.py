"""Compare preparation with FuxiCTR's, and measure its memory as the rows grow.

    python -m benchmarks.prepare --fuxictr ../FuxiCTR --fuxictr-python ../fuxictr-env/bin/python --memory

Both sides read the same made-up csv of Criteo's shape, each as a process of its own, in turn. FuxiCTR (a checkout) runs
in an environment of its own, since it needs polars < 2. Writes a dated report into benchmarks/reports.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks import _child, _criteo, _report
from features.datasets.prepared import PreparedSet

ROOT = Path(__file__).parents[1]
MIN_COUNT = 10
FEW_ROWS = 1_000
SHARES = {"train": 0.8, "valid": 0.1, "test": 0.1}
FILES = (1, 4, 16)
BYTES_A_ROW = 600
MIB = 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fuxictr", type=Path, help="a checkout of FuxiCTR to compare with")
    parser.add_argument("--fuxictr-python", type=Path, default=Path(sys.executable), help="interpreter that runs it")
    parser.add_argument("--rows", type=int, default=500_000, help="rows of the comparison")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each side")
    parser.add_argument("--memory", action="store_true", help="measure memory over 1, 4 and 16 files")
    parser.add_argument("--file-rows", type=int, default=1_000_000, help="rows of one of those files")
    parser.add_argument("--work", type=Path, default=ROOT / "runs", help="folder for temporary files")
    options = parser.parse_args()
    if not (options.fuxictr or options.memory):
        parser.error("nothing to do: give --fuxictr PATH, --memory, or both")
    options.work.mkdir(parents=True, exist_ok=True)
    text = [
        "Made-up log of Criteo's shape: a label, 13 counts, 26 hashed categories (benchmarks/_criteo.py). Its files",
        "were just written, so they come from the page cache. Times are wall times of whole processes, imports",
        "included, on a shared machine.",
    ]
    if options.fuxictr:
        peer = Peer(options.fuxictr.resolve(), options.fuxictr_python.absolute())
        with tempfile.TemporaryDirectory(dir=options.work) as folder:
            text += comparison(peer, options.rows, options.rounds, Path(folder))
    if options.memory:
        needed, free = max(FILES) * options.file_rows * BYTES_A_ROW, shutil.disk_usage(options.work).free
        if free < needed:
            raise SystemExit(
                f"{options.work} has {free / 1e9:.1f} GB free, not {needed / 1e9:.1f}; name another folder"
            )
        with tempfile.TemporaryDirectory(dir=options.work) as folder:
            text += memory(options.file_rows, Path(folder))
    _report.write("prepare", "Preparation", text)


@dataclass(frozen=True)
class Peer:
    """FuxiCTR: its checkout, and the interpreter that runs it."""

    checkout: Path
    python: Path

    @property
    def environment(self) -> dict[str, str]:
        """This process's, with the checkout where imports look first."""
        return {**os.environ, "PYTHONPATH": str(self.checkout)}

    def prepare(self, source: Path, output: Path) -> _child.Usage:
        """Preprocess a folder's three csv files."""
        options = {
            "source": str(source),
            "output": str(output),
            "numbers": _criteo.NUMBERS,
            "categories": _criteo.CATEGORIES,
            "label": _criteo.LABEL,
            "min_count": MIN_COUNT,
        }
        script = Path(__file__).with_name("_fuxictr.py")
        return _child.run(
            [str(self.python), str(script), json.dumps(options)], folder=source, environment=self.environment
        )

    def versions(self) -> str:
        """Its version and those of what it reads and encodes with."""
        code = "import fuxictr, pandas, polars; print(fuxictr.__version__, polars.__version__, pandas.__version__)"
        done = subprocess.run(
            [self.python, "-c", code], env=self.environment, capture_output=True, text=True, check=True
        )
        own, frames, tables = done.stdout.split()
        return f"FuxiCTR {own} with polars {frames} and pandas {tables}"


@dataclass
class Side:
    """What one side of the comparison took: its runs, and a run on few rows, which is mostly start."""

    few: _child.Usage
    runs: list[_child.Usage] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Median over the runs."""
        return statistics.median(run.seconds for run in self.runs)

    @property
    def without_start(self) -> float:
        """The same less what few rows take."""
        return self.seconds - self.few.seconds


def comparison(peer: Peer, rows: int, rounds: int, folder: Path) -> list[str]:
    """Run both sides in turn, check that they did the same work, and report."""
    few, all_rows, output = folder / "few", folder / "all", folder / "output"
    for source, size in ((few, FEW_ROWS), (all_rows, rows)):
        write_splits(source, size)
    bytes_read = sum(path.stat().st_size for path in all_rows.glob("*.csv"))
    sides: dict[str, Side] = {}
    values: dict[str, int] = {}
    for turn in range(rounds + 1):
        source = all_rows if turn else few
        for name, encoding in (("FuxiCTR", None), ("plexrank, tokens", "token"), ("plexrank, ids", "vocabulary")):
            if encoding is None:
                usage = peer.prepare(source, output)
                found = fuxictr_values(output / "criteo", FEW_ROWS if source == few else rows)
            else:
                splits = [f"--{split}={source / split}.csv" for split in ("valid", "test")]
                usage = plexrank(folder, encoding, [f"--input={source / 'train.csv'}", *splits], output)
                found = plexrank_values(output, FEW_ROWS if source == few else rows)
            shutil.rmtree(output)
            values[name] = found
            if turn:
                sides[name].runs.append(usage)
                print(f"{name}: {usage.seconds:.2f} s")
            else:
                sides[name] = Side(usage)
    if values["FuxiCTR"] != values["plexrank, ids"]:
        raise SystemExit(f"the vocabularies differ: {values}")
    fuxictr = sides["FuxiCTR"]
    return [
        "",
        f"## {rows:,} rows beside FuxiCTR",
        "",
        f"{peer.versions()}, its FeatureProcessor and build_dataset as its run_expid.py calls them: numbers by",
        f"StandardScaler (it has no log1p), categories by vocabularies of the values seen {MIN_COUNT} times or more.",
        "plexrank, ids: the same vocabularies, and log1p before standardizing. plexrank, tokens: the default, a hash a",
        f"value and no vocabulary. Each fits on train.csv ({SHARES['train']:.0%} of the rows), encodes it, valid.csv",
        f"and test.csv ({bytes_read / MIB:,.0f} MiB in all) and writes Parquet; FuxiCTR and plexrank, ids found",
        f"the same {values['FuxiCTR']:,} values. {rounds} rounds, the sides in turn; ratios are of the medians.",
        "",
        "| side | seconds, median | each run | rows/s | x FuxiCTR | peak MiB, largest process |",
        "|---|---|---|---|---|---|",
        *(
            f"| {name} | {side.seconds:.2f} | {', '.join(f'{run.seconds:.2f}' for run in side.runs)} | "
            f"{rows / side.seconds:,.0f} | {fuxictr.seconds / side.seconds:.1f} | "
            f"{max(run.memory for run in side.runs) / MIB:,.0f} |"
            for name, side in sides.items()
        ),
        "",
        f"Without the time that the same command takes on {FEW_ROWS:,} rows, which is mostly its start:",
        "",
        f"| side | seconds on {FEW_ROWS:,} rows | seconds without them, median | rows/s | x FuxiCTR |",
        "|---|---|---|---|---|",
        *(
            f"| {name} | {side.few.seconds:.2f} | {side.without_start:.2f} | {rows / side.without_start:,.0f} | "
            f"{fuxictr.without_start / side.without_start:.1f} |"
            for name, side in sides.items()
        ),
    ]


def memory(file_rows: int, folder: Path) -> list[str]:
    """Prepare ever more files of one size and report the peak memory of each run."""
    draws = np.random.default_rng(1)
    for number in range(max(FILES)):
        frame = _criteo.block(file_rows, draws)
        frame.write_csv(folder / f"{number:02}.csv")
        frame.write_parquet(folder / f"{number:02}.parquet")
    text = [
        "",
        "## Memory",
        "",
        f"`plexrank prepare` of 1, 4 and 16 files of {file_rows:,} rows, categories as tokens, split 8:1:1 by row.",
        "",
        "| files | rows | peak MiB | seconds | rows/s |",
        "|---|---|---|---|---|",
    ]
    spreads = []
    for kind in ("csv", "parquet"):
        peaks = []
        for files in FILES:
            inputs = [f"--input={folder / f'{number:02}.{kind}'}" for number in range(files)]
            usage = plexrank(folder, "token", inputs, folder / "output")
            shutil.rmtree(folder / "output")
            peaks.append(usage.memory)
            rows = files * file_rows
            text.append(
                f"| {files} {kind} | {rows:,} | {usage.memory / MIB:,.0f} | {usage.seconds:.1f} | "
                f"{rows / usage.seconds:,.0f} |"
            )
            print(text[-1])
        spreads.append(f"{max(peaks) / min(peaks) - 1:.1%} for {kind}")
    return [*text, "", f"The largest peak is above the smallest by {' and '.join(spreads)}."]


def plexrank(folder: Path, encoding: str, inputs: list[str], output: Path) -> _child.Usage:
    """Prepare with the command line."""
    schema = folder / f"{encoding}.yaml"
    schema.write_text(json.dumps(_criteo.schema(encoding=encoding, min_count=MIN_COUNT)))  # JSON is YAML
    command = [sys.executable, "-m", "commands.main", "prepare", "--schema", str(schema), "--output", str(output)]
    return _child.run([*command, *inputs], folder=ROOT)


def write_splits(folder: Path, rows: int) -> None:
    folder.mkdir()
    draws = np.random.default_rng(0)
    for split, share in SHARES.items():
        _criteo.block(round(rows * share), draws).write_csv(folder / f"{split}.csv")


def fuxictr_values(output: Path, rows: int) -> int:
    """Values in the vocabularies that FuxiCTR wrote, once it is clear that it encoded every row."""
    written = sum(pl.scan_parquet(output / f"{split}.parquet").select(pl.len()).collect().item() for split in SHARES)
    if written != rows:
        raise SystemExit(f"FuxiCTR wrote {written} rows, not {rows}")
    vocabularies = json.loads((output / "feature_vocab.json").read_text())
    return sum(len(vocabulary) - 2 for vocabulary in vocabularies.values())  # two are __PAD__ and __OOV__


def plexrank_values(output: Path, rows: int) -> int:
    """Values in the vocabularies that plexrank wrote, once it is clear that it encoded every row."""
    prepared = PreparedSet(output)
    written = sum(prepared.rows(split) for split in SHARES)
    if written != rows:
        raise SystemExit(f"plexrank wrote {written} rows, not {rows}")
    sizes = (prepared.fitted.ids(feature) for feature in prepared.fitted.schema.sparse)
    return sum(size - 2 for size in sizes if size is not None)  # two are missing and unseen


if __name__ == "__main__":
    main()
