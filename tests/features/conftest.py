"""A folder for raw logs, and the way from one to a prepared set."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from features.datasets.prepared import PreparedSet
from features.preparation.plan import Inputs, SplitSettings
from features.preparation.prepare import prepare
from features.schema import parse_schema


@pytest.fixture
def log(tmp_path: Path) -> Path:
    folder = tmp_path / "log"
    folder.mkdir()
    return folder


@pytest.fixture
def prepare_set(tmp_path: Path) -> Callable[..., PreparedSet]:
    """Prepare files into ``tmp_path / output``; other options are those of ``prepare``."""

    def run(
        document: dict[str, Any],
        *files: Path,
        output: str = "prepared",
        valid: Sequence[Path] = (),
        test: Sequence[Path] = (),
        split: dict[str, Any] | None = None,
        **options: Any,
    ) -> PreparedSet:
        settings = SplitSettings(**split) if split is not None else None
        inputs = Inputs([str(f) for f in files], [str(f) for f in valid], [str(f) for f in test])
        schema = parse_schema(document, source="schema.yaml")
        prepare(schema, inputs, tmp_path / output, split=settings, **options)
        return PreparedSet(tmp_path / output)

    return run
