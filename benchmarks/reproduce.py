"""Reproduce published results: the run files of Frappe and MovieLens-1M, five seeds each, beside the published figures.

    python -m benchmarks.reproduce --data ../shared/data

One process a run, on one core each. Finished runs are recorded in benchmarks/reproduced.jsonl and not done again while
their run file says the same, so a broken-off reproduction goes on, on another day or machine too. Writes a dated report
and a leaderboard page into benchmarks/reports from all recorded runs.
"""

import argparse
import concurrent.futures
import datetime
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import _reproduced, hardware
from benchmarks._reproduced import Reproduced
from evaluation.leaderboard.entry import Entry
from evaluation.leaderboard.leaderboard import Leaderboard
from evaluation.leaderboard.reference import Reference, load_references
from evaluation.leaderboard.summary import Summary
from evaluation.page.leaderboard import leaderboard_page
from training.finished import read_run

ROOT = Path(__file__).parents[1]
SEEDS = (2021, 2022, 2023, 2024, 2025)
# From the quickest to the slowest.
RUN_FILES = (
    "frappe_lr", "frappe_fm", "frappe_deepfm", "frappe_dcnv2", "frappe_finalmlp", "frappe_finalnet_1b",
    "frappe_finalnet_2b", "frappe_dualmlp", "frappe_xdeepfm", "frappe_fgcnn", "ml1m_deepfm", "ml1m_dcnv2_parallel",
    "ml1m_finalmlp", "ml1m_attributes_deepfm", "ml1m_attributes_dcnv2", "ml1m_attributes_finalmlp",
    "frappe_autoint_plus",
    "ml1m_autoint", "ml1m_autoint_plus", "ml1m_fgcnn", "ml1m_attributes_autoint", "ml1m_attributes_autoint_plus",
    "ml1m_attributes_fgcnn", "frappe_autoint",
)  # fmt: skip
SETS = {
    "frappe": "Frappe-resampled",
    "ml1m_attributes": "MovieLens-1M, AutoInt task",
    "ml1m": "MovieLens-1M, user-movie task",
}
NOTES = {
    "frappe": (
        "Original validation and test rows; the negatives of the training rows have their items drawn again, so this",
        "is not the published split to the letter. Goal: within .001 of a published mean of five, else within .0015 of",
        "the single run, which is a tuner's best on the test rows.",
    ),
    "ml1m_attributes": (
        "Six fields. The published task has the time of the rating as a seventh; in this copy of the data a missing",
        "time tells the label, so it is left out, and the published figure is not of the same task. AutoInt's recipe",
        "is its authors'; the other networks are settings of ours, in the same loop but for FGCNN's.",
    ),
    "ml1m": ("The table and the loop are FCN's, the networks settings of ours, untuned; the rows are drawn anew.",),
}
PUBLISHED = ROOT / "benchmarks" / "published.yaml"
RECORDED = ROOT / "benchmarks" / "reproduced.jsonl"
TOLERANCE = {"BARS, mean of five": 0.001, "BARS, single run": 0.0015}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds frappe/ and ml-1m/")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "reproduce", help="folder of data and runs")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=RUN_FILES,
        default=RUN_FILES,
        metavar="NAME",
        help=f"run files to train, of {', '.join(RUN_FILES)} (default: all)",
    )
    parser.add_argument(
        "--seeds",
        type=int,
        nargs="*",
        default=SEEDS,
        metavar="SEED",
        help=f"seeds, a run each; none for the report alone (default: {' '.join(map(str, SEEDS))})",
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="runs at a time")
    options = parser.parse_args()
    current = [run for run in _reproduced.read(RECORDED) if run.recipe == _reproduced.recipe(_config(run.run_file))]
    done = {(run.run_file, run.seed): run for run in current}
    wanted = [(name, seed) for seed in options.seeds for name in options.only if (name, seed) not in done]
    for name in sorted({_set(run_file) for run_file, _ in wanted}):
        prepare(name, options.data, options.work)
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        runs = {pool.submit(train, name, seed, options.work): (name, seed) for name, seed in wanted}
        try:
            for number, run in enumerate(concurrent.futures.as_completed(runs), 1):
                name, seed = runs[run]
                today = datetime.date.today().isoformat()
                done[name, seed] = Reproduced.of(read_run(run.result()), _config(name), today)
                _reproduced.write(RECORDED, done.values())
                print(f"{name}, seed {seed}: done, {number} of {len(runs)}", flush=True)
        finally:
            pool.shutdown(cancel_futures=True)  # Ctrl-C ends the running ones, and no other begins
    write(list(done.values()), f"python -m benchmarks.reproduce {shlex.join(sys.argv[1:])}")


def plexrank(*arguments: str | Path, quiet: bool = False) -> None:
    """Run the command line on one core."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
    output = subprocess.DEVNULL if quiet else None
    command = [sys.executable, "-m", "commands.main", *map(str, arguments)]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=output, stderr=output)


def prepare(name: str, data: Path, work: Path) -> None:
    """Turn a download into a prepared set, unless it is there."""
    raw, target = work / f"{name}-raw", work / f"{name}-prepared"
    if target.exists():
        return
    if name == "frappe":
        plexrank("dataset", "frappe", "--source", data.resolve() / "frappe", "--output", raw, "--overwrite")
        files: list[str | Path] = [
            "--input",
            raw / "train.parquet",
            "--valid",
            raw / "valid.parquet",
            "--test",
            raw / "test.parquet",
        ]
    else:
        task = "autoint" if name == "ml1m_attributes" else "user-movie"
        source = data.resolve() / "ml-1m"
        plexrank("dataset", "movielens", "--source", source, "--task", task, "--output", raw, "--overwrite")
        files = ["--input", raw / "ratings.parquet"]
    if name == "ml1m":  # published without
        lines = (raw / "schema.yaml").read_text().splitlines(keepends=True)
        (raw / "schema.yaml").write_text("".join(line for line in lines if "name: zip" not in line))
    plexrank("prepare", "--schema", raw / "schema.yaml", *files, "--output", target)


def train(name: str, seed: int, work: Path, *, folder: str = "runs", sets: Sequence[str] = ()) -> Path:
    """Train a seed of a run file, some settings replaced, unless it is done; returns the run's folder."""
    output = work / folder / f"{name}_{seed}"
    if not _finished(output):
        sets = (f"data={work / f'{_set(name)}-prepared'}", f"output={output}", f"seed={seed}", *sets)
        changed = [x for s in sets for x in ("--set", s)]
        plexrank("train", "--config", _config(name), *changed, "--overwrite", quiet=True)
        if not _finished(output):
            raise SystemExit(f"{name}, seed {seed}: was interrupted; it will be trained again")
    return output


def _finished(output: Path) -> bool:
    """Whether a run was trained to its end; Ctrl-C leaves an artifact too, of the epochs so far."""
    manifest = output / "artifact" / "manifest.json"
    return manifest.exists() and not json.loads(manifest.read_text())["provenance"]["interrupted"]


def write(runs: Sequence[Reproduced], command: str) -> None:
    """Write the report and the page of runs."""
    if not runs:
        raise SystemExit("no run is recorded yet, so there is nothing to report; give --seeds")
    today = datetime.date.today().isoformat()
    stem = f"{today}_reproduction_{hardware.slug()}"
    reports = ROOT / "benchmarks" / "reports"
    made = leaderboard(runs)
    (reports / f"{stem}.html").write_text(leaderboard_page(made))
    (reports / f"{stem}.md").write_text("\n".join(report(made, runs, today, command, stem)))
    print(f"Wrote benchmarks/reports/{stem}.md")


def leaderboard(runs: Sequence[Reproduced]) -> Leaderboard:
    """The runs side by side, beside the published figures."""
    return Leaderboard.of([run.run(SETS[_set(run.run_file)]) for run in runs], references=load_references(PUBLISHED))


def report(made: Leaderboard, runs: Sequence[Reproduced], today: str, command: str, stem: str) -> Iterator[str]:
    """The lines of the report."""
    yield from (
        f"# Published results, reproduced, {today}",
        "",
        f"Machine: {hardware.description()}; one core a run.",
        "",
        f"    {command}",
        "",
        f"The same as a page with plots: [{stem}.html]({stem}.html).",
        "",
        "Run files: `configs/NAME.yaml`; a single run is `plexrank train --config configs/NAME.yaml --set seed=SEED`.",
        "Epochs are chosen on the validation rows, and nothing at all on the test rows. Every run of the seeds stands",
        "below, with the day it was made (they are kept in `benchmarks/reproduced.jsonl`). Means with a 95 % interval",
        "(Student's t) over seeds; `diff`: our mean less the published figure. A run file that names no precision",
        "trains in what the machine multiplies best: here bf16, scored in float32. Samples/s, and the page's seconds,",
        "are those of a run as it went, other work beside it or in between: they compare no models.",
        "",
    )
    references = load_references(PUBLISHED)
    done = {(run.run_file, run.seed): run for run in runs}
    if missing := [name for name in RUN_FILES if any((name, seed) not in done for seed in SEEDS)]:
        yield from (f"Not all seeds run yet: {', '.join(missing)}.", "")
    for board, _ in sorted(made.boards, key=lambda some: list(SETS.values()).index(some[0].data)):
        entries = sorted(board.entries, key=lambda entry: RUN_FILES.index(entry.name))
        yield from (f"## {board.data}", "", *NOTES[_set(entries[0].name)], "")
        yield "| run file | seeds | parameters | test AUC | std | test logloss | published AUC, logloss | diff | goal |"
        yield "|---|---|---|---|---|---|---|---|---|"
        for entry in entries:
            yield from _lines(entry, [some for some in references if some.name == entry.name])
        yield from ("", "| run file | seed | valid AUC | test AUC | test logloss | best epoch of | samples/s | made |")
        yield "|---|---|---|---|---|---|---|---|"
        for entry in entries:
            yield from (_run_line(done[entry.name, seed]) for seed in entry.seeds)
        yield ""


def _lines(entry: Entry, references: Sequence[Reference]) -> Iterator[str]:
    """An entry's row of the table, and one more for each further published figure."""
    auc, logloss = entry.summary("test", "auc"), entry.summary("test", "logloss")
    assert auc.mean is not None
    std = "-" if auc.std is None else f"{auc.std:.6f}"
    ours = f"| {entry.name} | {len(entry.seeds)} | {entry.parameters[0]:,} | {_mean(auc)} | {std} | {_mean(logloss)} |"
    if not references:
        yield f"{ours} none known | | |"
    for number, reference in enumerate(references):
        difference = auc.mean - reference.metrics["auc"]
        tolerance = TOLERANCE.get(reference.source)
        goal = "" if tolerance is None or number else _verdict(difference, tolerance)
        if goal and len(entry.seeds) < len(SEEDS):
            goal += " so far"
        figures = ", ".join(f"{value:.6f}" for value in reference.metrics.values())
        yield f"{'| | | | | | |' if number else ours} {figures} ({reference.source}) | {difference:+.6f} | {goal} |"


def _verdict(difference: float, tolerance: float) -> str:
    if abs(difference) <= tolerance:
        return "within"
    return "above" if difference > 0 else "missed"


def _run_line(run: Reproduced) -> str:
    speed = "-" if run.samples_per_second is None else f"{run.samples_per_second:,.0f}"
    return (
        f"| {run.run_file} | {run.seed} | {run.valid.auc:.6f} | {run.test.auc:.6f} | {run.test.logloss:.6f} "
        f"| {run.best_epoch} of {run.epochs} | {speed} | {run.date} |"
    )


def _mean(summary: Summary) -> str:
    """A mean, and half the width of its interval over seeds."""
    text = f"{summary.mean:.6f}"
    return text if summary.interval is None else f"{text} ± {(summary.interval.high - summary.interval.low) / 2:.6f}"


def _set(run_file: str) -> str:
    """The data set of a run file: the longest that its name begins with."""
    return max((name for name in SETS if run_file.startswith(name)), key=len)


def _config(name: str) -> Path:
    return ROOT / "configs" / f"{name}.yaml"


if __name__ == "__main__":
    main()
