"""Write a dated report into benchmarks/reports."""

import datetime
import shlex
import sys
from pathlib import Path

from benchmarks import hardware

_FOLDER = Path(__file__).parent / "reports"


def write(name: str, title: str, lines: list[str]) -> None:
    """Write a report, headed by its date, the machine, and the command that made it.

    Args:
        name: Of the benchmark's module.
        title: Of the report.
        lines: What follows the head.
    """
    today = datetime.date.today().isoformat()
    text = [
        f"# {title}, {today}",
        "",
        f"Machine: {hardware.description()}.",
        "",
        f"    {f'python -m benchmarks.{name} {shlex.join(sys.argv[1:])}'.strip()}",
        "",
        *lines,
    ]
    _FOLDER.mkdir(exist_ok=True)
    path = _FOLDER / f"{today}_{name.replace('_', '-')}_{hardware.slug()}.md"
    path.write_text("\n".join([*text, ""]))
    print(f"Wrote {path}")
