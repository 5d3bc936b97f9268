"""Run the data commands over a simulated log: simulate, histories, prepare, profile.

    python -m benchmarks.pipeline --rows 5000000

Each command is a process of its own. The histories that plexrank makes must be those that the simulator drew its clicks
with. Writes a dated report into benchmarks/reports.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import polars as pl

from benchmarks import _child, _report
from features.datasets.prepared import PreparedSet

ROOT = Path(__file__).parents[1]
MIB = 2**20
HISTORY = 20  # clicks that the simulator keeps a user's latest of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5_000_000, help="rows of the log")
    parser.add_argument("--users", type=int, default=200_000, help="users in it")
    parser.add_argument("--work", type=Path, default=ROOT / "runs", help="folder for temporary files")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        lines = pipeline(options.rows, options.users, Path(folder))
    _report.write("pipeline", "The data commands", lines)


def pipeline(rows: int, users: int, folder: Path) -> list[str]:
    """Run every command and report what each took."""
    commands = {
        "simulate": f"simulate --output ads --rows {rows} --users {users}",
        "histories": f"histories --input ads/log --user user_id --item ad_id --time time --where click=1 "
        f"--name found --max-length {HISTORY} --output with-histories",
        "prepare": "prepare --schema ads/schema.yaml --input ads/log --split-by time --output prepared",
        "profile": "profile prepared --json profile.json",
    }
    table = []
    for name, arguments in commands.items():
        usage = _child.run([sys.executable, "-m", "commands.main", *arguments.split()], folder=folder)
        print(f"{name}: {usage.seconds:.1f} s")
        speed = rows / usage.seconds
        table.append(f"| `plexrank {arguments}` | {usage.seconds:.1f} | {speed:,.0f} | {usage.memory / MIB:,.0f} |")
    prepared = PreparedSet(folder / "prepared")
    splits = ", ".join(f"{name} {prepared.rows(name):,}" for name in ("train", "valid", "test"))
    return [
        f"{rows:,} rows of {users:,} users, each command a process of its own, start included.",
        "",
        "| command | seconds | rows/s | peak MiB |",
        "|---|---|---|---|",
        *table,
        "",
        f"Prepared: {splits}.",
        f"Histories: {differing(folder):,} of {rows:,} rows differ from the clicks that the simulator knew of.",
    ]


def differing(folder: Path) -> int:
    """Rows whose history is not the simulator's own."""
    rows = pl.scan_parquet(folder / "with-histories" / "*.parquet")
    return int(rows.select((pl.col("found") != pl.col("recent_ads")).sum()).collect(engine="streaming").item())


if __name__ == "__main__":
    main()
