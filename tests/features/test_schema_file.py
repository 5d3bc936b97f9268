from pathlib import Path
from typing import Any

import pytest

from common.errors import SchemaError
from features._schema_file import write_schema
from features.schema import load_schema, parse_schema


def document(**features: Any) -> dict[str, Any]:
    return {"label": "y", "group": "no", "features": [{"name": "a", "kind": "categorical", **features}]}


def test_what_is_written_reads_back_as_what_was_meant(tmp_path: Path) -> None:
    """``no`` and ``:`` mean something to yaml and must stay text."""
    meant = document(column="a: b #c")
    write_schema(tmp_path / "schema.yaml", meant, notes="First line.\n\nThird.")
    assert load_schema(tmp_path / "schema.yaml") == parse_schema(meant, source="meant")
    lines = (tmp_path / "schema.yaml").read_text().splitlines()
    assert lines[:3] == ["# First line.", "#", "# Third."]
    assert lines[-1].startswith("  - {name: a, kind: categorical")


def test_a_schema_that_is_wrong_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="encodin"):
        write_schema(tmp_path / "schema.yaml", document(encodin="token"), notes="")
    assert not (tmp_path / "schema.yaml").exists()
