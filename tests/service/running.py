"""Running the command as users do: in a process of its own, on a free port."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Serving:
    """A running ``plexrank serve``: where it is, what it printed when it started, its process."""

    url: str
    said: str
    process: subprocess.Popen[str]


def start(arguments: Sequence[str]) -> subprocess.Popen[str]:
    """Start ``plexrank serve``."""
    return subprocess.Popen(
        [sys.executable, "-m", "commands.main", "serve", *arguments],
        cwd=_ROOT,
        env={**os.environ, "COLUMNS": "200", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def serve(arguments: Sequence[str]) -> Iterator[Serving]:
    """Run ``plexrank serve`` on a free port for as long as the block lasts."""
    with start([*arguments, "--port", "0"]) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            said: list[str] = []
            for line in process.stdout:
                said.append(line)
                if line.startswith("Try: "):
                    break
            else:
                pytest.fail(f"serve did not start: {process.stderr.read()}")
            yield Serving(said[0].split()[-1], "".join(said), process)
        finally:
            process.kill()
