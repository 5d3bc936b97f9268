"""Frappe: a log of which apps people used in which context, ten categorical fields."""

from pathlib import Path
from typing import Any

from common.errors import DataError
from common.files import atomic_folder
from features._schema_file import write_schema
from features.loaders._shared import LoadSummary, read_table, require_columns

SPLITS = ("train", "valid", "test")
_ENTITIES = {
    "user": "user",
    "item": "item",
    "daytime": "context",
    "weekday": "context",
    "isweekend": "context",
    "homework": "context",
    "cost": "item",
    "weather": "context",
    "country": "context",
    "city": "context",
}
_EXPECTED = (
    "the Frappe data set in the split of the AFN paper (Frappe_x1 in BARS): train, valid and test as .parquet or .csv, "
    f"integer columns label, {', '.join(_ENTITIES)}"
)
_NOTES = """\
Frappe (Baltrunas, Church, Karatzoglou, Oliver 2015): app usage in context, two sampled negatives for each use.
For research only: it may not be redistributed or used commercially; publications must cite arXiv:1505.03014.
Every field has a vocabulary, as in the published results on this split."""


def load(source: Path, output: Path, *, overwrite: bool = False) -> LoadSummary:
    """Turn a download of Frappe into ``train.parquet``, ``valid.parquet``, ``test.parquet`` and ``schema.yaml``.

    Args:
        source: Folder that holds train, valid and test, each as ``.parquet`` or ``.csv``.
        output: Folder to create.
        overwrite: Replace an existing folder.

    Returns:
        What was written.

    Raises:
        ConfigError: The output exists or cannot be written.
        DataError: A file is missing, damaged, or has other columns.
    """
    with atomic_folder(output, overwrite=overwrite) as folder:
        rows: dict[Path, int] = {}
        for split in SPLITS:
            path = _find(source, split)
            table = require_columns(
                read_table(path, expected=_EXPECTED), ("label", *_ENTITIES), path, expected=_EXPECTED
            )
            table.write_parquet(folder / f"{split}.parquet")
            rows[output / f"{split}.parquet"] = table.height
        write_schema(folder / "schema.yaml", _schema(), notes=_NOTES)
    return LoadSummary(schema=output / "schema.yaml", rows=rows)


def _find(source: Path, split: str) -> Path:
    for name in (f"{split}.parquet", f"{split}.csv"):
        if (source / name).is_file():
            return source / name
    raise DataError(f"{source} has neither {split}.parquet nor {split}.csv; expected {_EXPECTED}")


def _schema() -> dict[str, Any]:
    return {
        "label": "label",
        "group": "user",
        "entities": {"user": "user", "item": "item"},
        "features": [
            {"name": name, "kind": "categorical", "entity": entity, "encoding": "vocabulary"}
            for name, entity in _ENTITIES.items()
        ],
    }
