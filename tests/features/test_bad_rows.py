"""Rows that are wrong: an error, left out, or kept apart, but never lost without a word."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from common.errors import DataError
from features.datasets.prepared import PreparedSet
from features.encoding.typed import KEEP, ROW
from features.preparation.split import SPLITS, Fractions

Prepare = Callable[..., PreparedSet]
DOCUMENT: dict[str, Any] = {
    "label": "y",
    "timestamp": "t",
    "keep": ["id"],
    "features": [
        {"name": "x", "kind": "numeric", "transforms": ["standardize"]},
        {"name": "c", "kind": "categorical", "encoding": "vocabulary"},
        {"name": "b", "kind": "bucketized", "column": "x", "buckets": 3},
    ],
}
GOOD = [f"{i % 2},{i}.5,c{i % 7},{i},r{i}" for i in range(200)]
BAD = {
    "2,1,c,1,": ("y", "label 'y' is '2', neither 0 nor 1"),
    ",1,c,1,": ("y", "label 'y' is None, neither 0 nor 1"),
    "1,twelve,c,1,": ("x", "numeric feature 'x' is 'twelve', no finite number"),
    "1,inf,c,1,": ("x", "numeric feature 'x' is 'inf', no finite number"),
    "1,1e39,c,1,": ("x", "numeric feature 'x' is too large for float32 without the transform log1p"),
    "1,1,c,soon,": ("t", "timestamp 't' is 'soon', no time"),
    "1,1,c": (None, "has 3 fields, not 5"),
    "1,1,c,1,a,b": (None, "has 6 fields, not 5"),
    "3,twelve,c,soon,": ("y", "label 'y' is '3', neither 0 nor 1"),  # the first of several
}


def write(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(["y,x,c,t,id", *lines]) + "\n")
    return path


@pytest.fixture
def mixed(log: Path) -> Path:
    """A bad row after every 20th good one."""
    lines = list(GOOD)
    for number, line in enumerate(BAD):
        lines.insert(21 * number + 20, line)
    return write(log / "mixed.csv", lines)


@pytest.mark.parametrize("policy", ["skip", "quarantine"])
@pytest.mark.parametrize("by", ["row", "time"])
def test_the_good_rows_are_what_they_are_alone(
    log: Path, mixed: Path, prepare_set: Prepare, policy: str, by: str
) -> None:
    everything = {"by": by, "fractions": Fractions(1, 0, 0)}
    found = prepare_set(DOCUMENT, mixed, on_bad_rows=policy, split=everything)
    alone = prepare_set(DOCUMENT, write(log / "good.csv", GOOD), output="alone", split=everything)
    rows, expected = (pl.concat(s.shards("train")) for s in (found, alone))
    assert rows.drop(ROW).equals(expected.drop(ROW))
    # Fitted on good rows alone.
    assert found.fitted.digest == alone.fitted.digest
    # A good row's position, and with it its split, does not depend on what becomes of the bad ones.
    places = [21 * (i // 20) + i % 20 if i < 180 else i + len(BAD) for i in range(200)]
    assert rows[ROW].to_list() == places
    document = json.loads((found.folder / "prepared.json").read_text())
    assert document["bad_rows"] == len(BAD)
    assert sum(document["splits"][name]["rows"] for name in SPLITS) == len(GOOD)


def test_quarantined_rows_are_kept_with_their_reasons(mixed: Path, prepare_set: Prepare) -> None:
    found = prepare_set(DOCUMENT, mixed, on_bad_rows="quarantine")
    lines = (found.folder / "quarantine" / "part-00000.jsonl").read_text().splitlines()
    kept = [json.loads(line) for line in lines]
    assert [(row["column"], row["reason"]) for row in kept] == list(BAD.values())
    assert {row["file"] for row in kept} == {str(mixed)}
    text = mixed.read_text().splitlines()
    for row, line in zip(kept, BAD, strict=True):
        assert text[row["row"]] == line  # the header is line 0, and rows count from 1
        assert all(field in row["text"] for field in line.split(","))


def test_skipped_rows_are_not_kept(mixed: Path, prepare_set: Prepare) -> None:
    found = prepare_set(DOCUMENT, mixed, on_bad_rows="skip")
    assert not (found.folder / "quarantine").exists()


def test_the_first_bad_row_is_an_error_unless_told_otherwise(mixed: Path, prepare_set: Prepare) -> None:
    with pytest.raises(
        DataError, match=r"mixed\.csv, row 21: label 'y' is '2', neither 0 nor 1; mend the row, or give"
    ):
        prepare_set({**DOCUMENT, "features": [{"name": "c", "kind": "categorical"}]}, mixed)


def test_a_number_that_only_its_transform_makes_too_large(log: Path, prepare_set: Prepare) -> None:
    """Rows that validate were never seen when the transform was fitted."""
    train = write(log / "train.csv", ["0,0,c,1,a", "1,1e-30,c,1,b"])
    valid = write(log / "valid.csv", ["0,1,c,1,c", "1,3e38,c,1,d", "1,1e-31,c,1,e"])
    with pytest.raises(
        DataError, match=r"valid\.csv, row 2: numeric feature 'x' is too large for float32 after its tr"
    ):
        prepare_set(DOCUMENT, train, valid=[valid])
    found = prepare_set(DOCUMENT, train, valid=[valid], on_bad_rows="quarantine")
    assert pl.concat(found.shards("valid"))[KEEP + "id"].to_list() == ["c", "e"]
    (line,) = (found.folder / "quarantine" / "part-00000.jsonl").read_text().splitlines()
    assert json.loads(line)["column"] == "x"
    assert "3e38" in json.loads(line)["text"]


@pytest.mark.parametrize("policy", ["skip", "quarantine"])
def test_nothing_but_bad_rows(log: Path, prepare_set: Prepare, policy: str) -> None:
    path = write(log / "log.csv", list(BAD))
    with pytest.raises(DataError, match="numeric feature 'x' has no value in any training row"):
        prepare_set(DOCUMENT, path, on_bad_rows=policy)
    labels = write(log / "labels.csv", [line for line, (column, _) in BAD.items() if column == "y"])
    with pytest.raises(DataError, match="not one row trains"):
        prepare_set({**DOCUMENT, "features": [{"name": "c", "kind": "categorical"}]}, labels, on_bad_rows=policy)
