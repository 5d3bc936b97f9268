"""A folder for raw logs, and the way from one to a prepared set."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from features.prepare import Inputs, prepare
from features.prepared import PreparedSet
from features.schema import parse_schema


@pytest.fixture
def log(tmp_path: Path) -> Path:
    folder = tmp_path / "log"
    folder.mkdir()
    return folder


@pytest.fixture
def prepare_set(tmp_path: Path) -> Callable[..., PreparedSet]:
    """Prepare files into ``tmp_path / output``; options are those of ``prepare``."""

    def run(
        document: dict[str, Any],
        *files: Path,
        output: str = "prepared",
        valid: Sequence[Path] = (),
        test: Sequence[Path] = (),
        **options: Any,
    ) -> PreparedSet:
        inputs = Inputs([str(f) for f in files], [str(f) for f in valid], [str(f) for f in test])
        prepare(parse_schema(document, source="schema.yaml"), inputs, tmp_path / output, **options)
        return PreparedSet(tmp_path / output)

    return run
