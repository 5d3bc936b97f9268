"""Preparation: one prepared set for the same rows however they are written, and no half of one."""

import gzip
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from common.errors import ConfigError, DataError, SchemaError
from features.datasets.prepared import PreparedSet
from features.encoding.typed import KEEP, LABEL, ROW
from features.preparation import plan
from features.preparation.engine import LocalEngine
from features.preparation.split import SPLITS, Fractions

Prepare = Callable[..., PreparedSet]
DOCUMENT: dict[str, Any] = {
    "label": "y",
    "group": "user",
    "timestamp": "time",
    "keep": ["request", "user"],
    "features": [
        {"name": "user", "kind": "categorical", "entity": "user"},
        {"name": "ad", "kind": "categorical", "entity": "item", "encoding": "vocabulary"},
        {"name": "past", "kind": "sequence", "of": "ad", "max_length": 2},
        {"name": "words", "kind": "multivalued", "pooling": "sum"},
        {"name": "bucket", "kind": "bucketized", "column": "price", "buckets": 5},
        {"name": "user_ad", "kind": "cross", "of": ["user", "ad"], "encoding": "vocabulary"},
        {"name": "bucket_ad", "kind": "cross", "of": ["bucket", "ad"]},
        {"name": "price", "kind": "numeric", "transforms": ["log1p", "standardize"]},
        {"name": "age", "kind": "numeric", "missing": -1},
    ],
}


def raw_rows(count: int = 300) -> pl.DataFrame:
    draw = np.random.default_rng(0)
    words = ["é", "日本", '"q"', "a,b", "c"]
    return pl.DataFrame(
        {
            "unused": ["x"] * count,
            "y": draw.integers(0, 2, count),
            "user": [None if i == 0 else f"u{i}" for i in draw.integers(0, 20, count)],
            "ad": draw.integers(-3, 30, count),
            "past": [[str(i) for i in draw.integers(0, 30, n)] or None for n in draw.integers(0, 4, count)],
            "words": [[words[i] for i in draw.integers(0, 5, n)] or None for n in draw.integers(0, 4, count)],
            "price": [None if p < 0.1 else float(p) for p in draw.exponential(5, count)],
            "age": [None if a == 9 else a for a in draw.integers(0, 90, count)],
            "time": draw.permutation(count) + 1_700_000_000,
            "request": [f"q{i:04}" for i in range(count)],
        },
        schema_overrides={"age": pl.Int64},
    )


def joined(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col("past", "words").list.join(" "))


def write(frame: pl.DataFrame, path: Path) -> Path:
    if path.suffix == ".parquet":
        frame.write_parquet(path)
        return path
    text = joined(frame).write_csv(separator="\t" if ".tsv" in path.name else ",").encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def contents(folder: Path) -> dict[str, str]:
    """The sha256 of every file below a folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("name", ["log.csv", "log.tsv", "log.csv.gz", "log.tsv.gz", "text.parquet", "small.parquet"])
def test_every_format_prepares_to_the_same_bytes(log: Path, tmp_path: Path, prepare_set: Prepare, name: str) -> None:
    frame = raw_rows()
    prepare_set(DOCUMENT, write(frame, log / "log.parquet"), output="expected")
    if name == "text.parquet":
        joined(frame).write_parquet(log / name)
    elif name == "small.parquet":
        small = frame.with_columns(pl.col("user").cast(pl.Categorical), pl.col("ad").cast(pl.Int8))
        small.write_parquet(log / name, row_group_size=17)
    else:
        write(frame, log / name)
    prepare_set(DOCUMENT, log / name, output="found")
    for split in SPLITS:
        found, expected = (pl.concat(PreparedSet(tmp_path / o).shards(split)) for o in ("found", "expected"))
        columns = [c for c in expected.columns if not c.startswith(KEEP)]
        assert found.select(columns).equals(expected.select(columns))
        for kept in ("request", "user"):
            assert found[KEEP + kept].cast(pl.String).to_list() == expected[KEEP + kept].to_list()
    if name != "small.parquet":
        assert contents(tmp_path / "found") == contents(tmp_path / "expected")


def test_rows_stay_in_order_beside_their_kept_columns(log: Path, prepare_set: Prepare) -> None:
    frame = raw_rows()
    parts = [write(frame[:120], log / "a.parquet"), write(frame[120:], log / "b.parquet")]
    found = prepare_set(DOCUMENT, *parts)
    seen = []
    for name in SPLITS:
        rows = pl.concat(found.shards(name))
        positions = rows[ROW].to_list()
        assert positions == sorted(positions)
        assert rows[KEEP + "request"].to_list() == frame["request"][positions].to_list()
        assert rows[KEEP + "user"].to_list() == frame["user"][positions].to_list()
        assert rows["_timestamp"].to_list() == frame["time"][positions].to_list()
        assert rows[LABEL].to_list() == frame["y"][positions].to_list()
        ages = frame["age"].fill_null(-1)[positions]
        assert rows["age"].to_list() == ages.to_list()
        # The group is the user's token: equal exactly where users are.
        assert rows["_group"].equals(rows["user"].alias("_group"))
        seen += positions
    assert sorted(seen) == list(range(300))


def test_the_document_counts_what_was_written(log: Path, prepare_set: Prepare) -> None:
    frame = raw_rows()
    found = prepare_set(DOCUMENT, write(frame, log / "log.csv"), split={"fractions": Fractions(0.6, 0.2, 0.2)})
    document = json.loads((found.folder / "prepared.json").read_text())
    assert document["schema_digest"] == found.fitted.digest
    for name in SPLITS:
        rows = pl.concat(found.shards(name))
        assert document["splits"][name]["rows"] == found.rows(name) == rows.height
        assert document["splits"][name]["positives"] == rows[LABEL].sum()
    by_name = {column["name"]: column for column in document["columns"]}
    assert by_name["user"]["distinct"] == frame["user"].drop_nulls().n_unique()
    assert by_name["user"]["missing"] == frame["user"].null_count() > 0
    assert by_name["age"]["max"] == frame["age"].max()
    assert document["sampled_rows"] == 300


def test_parts_and_workers_change_nothing(
    log: Path, tmp_path: Path, prepare_set: Prepare, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = raw_rows()
    frame.write_parquet(log / "log.parquet", row_group_size=7)
    for by in ("row", "group", "time"):
        whole = prepare_set(DOCUMENT, log / "log.parquet", output=f"whole {by}", split={"by": by})
        monkeypatch.setattr(plan, "PART_ROWS", 20)
        for workers in (1, 3):
            engine = LocalEngine(workers)
            cut = prepare_set(
                DOCUMENT, log / "log.parquet", output=f"cut{workers} {by}", split={"by": by}, engine=engine
            )
            assert cut.fitted.digest == whole.fitted.digest
            for name in SPLITS:
                assert pl.concat(cut.shards(name)).equals(pl.concat(whole.shards(name)))
            assert len(list(cut.shards("train"))) > 4
        assert contents(tmp_path / f"cut1 {by}") == contents(tmp_path / f"cut3 {by}")
        monkeypatch.undo()


def test_a_split_by_group_keeps_groups_together(log: Path, prepare_set: Prepare) -> None:
    frame = raw_rows()
    found = prepare_set(
        DOCUMENT,
        write(frame, log / "log.csv"),
        split={"by": "group", "seed": 3, "fractions": Fractions(0.5, 0.25, 0.25)},
    )
    users = [set(pl.concat(found.shards(name))["_group"]) for name in SPLITS]
    assert sum(map(len, users)) == len(set.union(*users)) == frame["user"].n_unique()
    assert all(users)


def test_seed_and_order_decide_the_split(log: Path, prepare_set: Prepare) -> None:
    path = write(raw_rows(), log / "log.csv")
    first, again, other = (
        prepare_set(DOCUMENT, path, output=o, split={"seed": s}) for o, s in (("a", 1), ("b", 1), ("c", 2))
    )
    assert contents(first.folder) == contents(again.folder)
    assert contents(first.folder)["train/part-00000.parquet"] != contents(other.folder)["train/part-00000.parquet"]


def test_progress_reaches_every_row(log: Path, prepare_set: Prepare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "PART_ROWS", 100)
    raw_rows().write_parquet(log / "log.parquet", row_group_size=50)
    seen: list[tuple[str, int, int]] = []
    prepare_set(DOCUMENT, log / "log.parquet", split={"by": "time"}, progress=lambda *step: seen.append(step))
    rows = [(phase, done, 300) for phase in ("times", "fit", "encode") for done in (0, 100, 200, 300)]
    assert seen == [("scan", 0, 1), ("scan", 1, 1), *rows]


def test_an_error_leaves_nothing(log: Path, tmp_path: Path, prepare_set: Prepare) -> None:
    good = write(raw_rows(), log / "a.csv")
    bad = write(raw_rows().with_columns(y=2), log / "b.csv")
    with pytest.raises(DataError, match=r"b\.csv, row 1: label 'y' is '2', neither 0 nor 1; mend the row"):
        prepare_set(DOCUMENT, good, bad)
    assert list(tmp_path.iterdir()) == [log]


def test_an_existing_output_is_kept_unless_told_otherwise(log: Path, tmp_path: Path, prepare_set: Prepare) -> None:
    path = write(raw_rows(), log / "log.csv")
    before = contents(prepare_set(DOCUMENT, path).folder)
    with pytest.raises(ConfigError, match="already holds something; choose another folder or add --overwrite"):
        prepare_set(DOCUMENT, path, split={"seed": 1})
    bad = write(raw_rows().with_columns(y=2), log / "bad.csv")
    with pytest.raises(DataError):
        prepare_set(DOCUMENT, bad, overwrite=True)
    assert contents(tmp_path / "prepared") == before
    prepare_set(DOCUMENT, path, split={"seed": 1}, overwrite=True)
    expected = prepare_set(DOCUMENT, path, split={"seed": 1}, output="expected")
    assert contents(tmp_path / "prepared") == contents(expected.folder) != before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["expected", "log", "prepared"]


def test_a_file_in_the_way_is_refused(log: Path, tmp_path: Path, prepare_set: Prepare) -> None:
    (tmp_path / "prepared").write_text("notes")
    with pytest.raises(ConfigError, match="prepared is a file; give a folder"):
        prepare_set(DOCUMENT, write(raw_rows(), log / "log.csv"), overwrite=True)
    assert (tmp_path / "prepared").read_text() == "notes"


def test_kept_columns_must_be_alike_in_all_files(log: Path, tmp_path: Path, prepare_set: Prepare) -> None:
    document = {"label": "y", "keep": ["k"], "features": [{"name": "x", "kind": "numeric"}]}
    frame = pl.DataFrame({"y": [0, 1], "x": [1.0, 2.0], "k": pl.Series([1, 2], dtype=pl.Int32)})
    frame.write_parquet(log / "a.parquet")
    for name, other in {"b": frame.with_columns(pl.col("k").cast(pl.Int64)), "c": frame.cast({"k": pl.String})}.items():
        path = log / f"{name}.parquet"
        other.write_parquet(path)
        for options in ({}, {"valid": [path]}):
            files = [log / "a.parquet"] if options else [log / "a.parquet", path]
            with pytest.raises(SchemaError, match=rf"{path}: kept column 'k' is .*, but Int32 in .*a\.parquet"):
                prepare_set(document, *files, **options)
    assert list(tmp_path.iterdir()) == [log]
