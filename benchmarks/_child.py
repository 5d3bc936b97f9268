"""Run a command as a process of its own and measure it.

This file is also the script that starts the command: the kernel counts the memory of whoever starts a process as the
process's own until it runs, so that has to be something small.
"""

import json
import resource
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Usage:
    """What a command took, start of its process included.

    Attributes:
        seconds: Wall time.
        memory: Peak resident bytes of its largest process.
    """

    seconds: float
    memory: int


def run(command: list[str], *, folder: Path, environment: Mapping[str, str] | None = None) -> Usage:
    """Run a command and wait for it.

    Args:
        command: The program and its arguments.
        folder: Where it runs.
        environment: Its environment; this process's by default.

    Raises:
        SystemExit: It failed; the message ends with what it wrote to stderr.
    """
    done = subprocess.run(
        [sys.executable, __file__, *command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{shlex.join(command)} failed:\n{done.stderr}")
    return Usage(**json.loads(done.stdout))


def _measure() -> None:
    started = time.perf_counter()
    code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=False).returncode
    seconds = time.perf_counter() - started
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "memory": memory}))
    sys.exit(code)


if __name__ == "__main__":
    _measure()
