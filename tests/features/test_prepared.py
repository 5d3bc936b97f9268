"""A prepared set, opened: its rows, and a damaged one refused by the name of the damaged file."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from common.errors import DataError, PlexrankError, SchemaError
from features import prepare as prepare_module
from features.prepared import PreparedSet
from features.split import Fractions


@pytest.fixture
def folder(log: Path, tmp_path: Path, prepare_set: Callable[..., PreparedSet], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A prepared set of 100 training rows in four shards; other seeds lie beside it."""
    monkeypatch.setattr(prepare_module, "_SHARD_ROWS", 30)
    frame = pl.DataFrame({"y": [0, 1] * 50, "x": range(100), "c": [f"c{i}" for i in range(100)]})
    frame.write_parquet(log / "log.parquet")
    frame.tail(20).write_parquet(log / "less.parquet")
    document: dict[str, Any] = {
        "label": "y",
        "features": [
            {"name": "x", "kind": "numeric"},
            {"name": "c", "kind": "categorical", "encoding": "vocabulary"},
        ],
    }
    prepare_set(document, log / "less.parquet", output="other", fractions=Fractions(1, 0, 0))
    return prepare_set(document, log / "log.parquet", fractions=Fractions(1, 0, 0)).folder


def read(folder: Path) -> pl.DataFrame:
    return pl.concat(PreparedSet(folder).shards("train"))


def test_rows_come_shard_by_shard(folder: Path) -> None:
    prepared = PreparedSet(folder)
    assert [prepared.rows(name) for name in ("train", "valid", "test")] == [100, 0, 0]
    assert [shard.height for shard in prepared.shards("train")] == [30, 30, 30, 10]
    assert list(prepared.shards("valid")) == []
    assert read(folder)["x"].to_list() == list(range(100))
    some = pl.concat(prepared.shards("train", ["x", "_row"]))
    assert some.equals(read(folder).select("x", "_row"))


def test_an_unknown_split_names_the_nearest(folder: Path) -> None:
    prepared = PreparedSet(folder)
    with pytest.raises(DataError, match=r"prepared has no split 'tests'; did you mean 'test'\?"):
        prepared.rows("tests")
    with pytest.raises(DataError, match="has no split 'holdout'; known: test, train, valid"):
        next(iter(prepared.shards("holdout")))


def test_a_folder_that_is_no_prepared_set(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is no prepared set \(it has no prepared\.json\); run plexrank prepare"):
        PreparedSet(tmp_path)
    with pytest.raises(DataError, match="gone is no prepared set"):
        PreparedSet(tmp_path / "gone")


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-20]),
        lambda path: path.write_bytes(path.read_bytes()[:100]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"garbage"),
        lambda path: path.unlink(),
    ],
    ids=["end cut", "half", "empty", "garbage", "gone"],
)
def test_an_unreadable_shard(folder: Path, damage: Callable[[Path], Any]) -> None:
    damage(folder / "train" / "part-00002.parquet")
    with pytest.raises(DataError) as caught:
        read(folder)
    message = str(caught.value)
    assert message.startswith(f"shard {folder}/train/part-00002.parquet cannot be read: ")
    assert message.endswith("; prepare the data again")
    assert "\n" not in message


def test_a_shard_with_another_number_of_rows(folder: Path) -> None:
    shutil.copy(folder / "train" / "part-00003.parquet", folder / "train" / "part-00001.parquet")
    with pytest.raises(DataError, match=r"part-00001\.parquet has 10 rows, not 30; prepare the data again"):
        read(folder)


def test_the_schema_of_another_set(folder: Path) -> None:
    shutil.copytree(folder.parent / "other" / "vocabulary", folder / "vocabulary", dirs_exist_ok=True)
    with pytest.raises(DataError, match=r"vocabulary 'c' in .* belongs to another schema"):
        PreparedSet(folder)
    shutil.copy(folder.parent / "other" / "schema.json", folder / "schema.json")
    with pytest.raises(DataError, match="prepared holds the schema of another prepared set; prepare the data again"):
        PreparedSet(folder)


def test_a_missing_schema(folder: Path) -> None:
    (folder / "schema.json").unlink()
    with pytest.raises(SchemaError, match=r"schema\.json does not exist"):
        PreparedSet(folder)


def test_another_format(folder: Path) -> None:
    file = folder / "prepared.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "format": 99}))
    with pytest.raises(DataError, match="has format 99, this plexrank reads 1; prepare the data again"):
        PreparedSet(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"7", b"\xff", b"{}", b'{"format": 1}'])
def test_a_document_that_is_none(folder: Path, content: bytes) -> None:
    (folder / "prepared.json").write_bytes(content)
    with pytest.raises(DataError, match=r"prepared\.json cannot be read .*; prepare the data again"):
        PreparedSet(folder)


@pytest.mark.parametrize(
    "splits", [None, [], {}, 7, {"train": None}, {"train": {}}, {"train": {"rows": 5, "shards": [{}]}}]
)
def test_a_document_with_other_splits(folder: Path, splits: Any) -> None:
    file = folder / "prepared.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "splits": splits}))
    with pytest.raises(PlexrankError, match=str(folder)):
        read(folder)


def test_a_column_that_the_shards_lack(folder: Path) -> None:
    with pytest.raises(DataError, match=r"part-00000\.parquet.*keep:id"):
        list(PreparedSet(folder).shards("train", ["keep:id"]))
