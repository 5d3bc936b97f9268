"""Writes a schema.yaml that people can read: a comment on top, one feature a line."""

from pathlib import Path
from typing import Any

import yaml

from features.schema import parse_schema

_USE = (
    "Read by: plexrank prepare --schema schema.yaml --input GLOB... --output DIR",
    "Remove a feature's line to train without it; its column may stay in the data.",
)


def write_schema(path: Path, document: dict[str, Any], *, notes: str) -> None:
    """Check a schema and write it.

    Args:
        path: File to write.
        document: The schema as a plain mapping; ``features`` comes last.
        notes: The comment on top: what the data are, whose, on what terms. Lines stay as they are.

    Raises:
        SchemaError: The document is no schema, which is a bug in whoever wrote it.
    """
    parse_schema(document, source=path.name)
    comments = [*notes.strip().splitlines(), "", *_USE]
    lines = [f"# {line}".rstrip() for line in comments]
    lines += [f"{key}: {_inline(value)}" for key, value in document.items() if key != "features"]
    lines += ["features:", *(f"  - {_inline(feature)}" for feature in document["features"])]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _inline(value: Any) -> str:
    text = str(yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10_000, allow_unicode=True))
    return text.removesuffix("\n").removesuffix("\n...")
