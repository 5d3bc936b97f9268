"""Runs the command line the way the console script does."""

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from commands._console import console
from commands.main import main


@dataclasses.dataclass(frozen=True)
class Result:
    """What a command came to."""

    code: int
    out: str
    err: str


Plexrank = Callable[..., Result]


@pytest.fixture
def plexrank(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Plexrank:
    # Wide, so that no sentence is broken over lines.
    monkeypatch.setattr(console, "width", 300)

    def run(*arguments: str | Path) -> Result:
        monkeypatch.setattr(sys, "argv", ["plexrank", *map(str, arguments)])
        try:
            main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return run
