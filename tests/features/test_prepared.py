"""A prepared set, opened: its rows, and a damaged one refused by the name of the damaged file."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from common.errors import DataError, PlexrankError, SchemaError
from features.datasets.prepared import PreparedSet
from features.datasets.shards import Shards
from features.preparation import plan
from features.preparation.split import Fractions
from tests.features.handmade import write_prepared


@pytest.fixture
def folder(log: Path, tmp_path: Path, prepare_set: Callable[..., PreparedSet], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A prepared set of 100 training rows in four shards; other seeds lie beside it."""
    monkeypatch.setattr(plan, "PART_ROWS", 30)
    frame = pl.DataFrame(
        {"y": [0, 1] * 50, "x": range(100), "c": [f"c{i}" for i in range(100)], "z": "k", "t": range(100)}
    )
    frame.write_parquet(log / "log.parquet", row_group_size=30)
    frame.tail(20).write_parquet(log / "less.parquet")
    document: dict[str, Any] = {
        "label": "y",
        "timestamp": "t",
        "keep": ["z"],
        "features": [
            {"name": "x", "kind": "numeric"},
            {"name": "c", "kind": "categorical", "encoding": "vocabulary"},
        ],
    }
    prepare_set(document, log / "less.parquet", output="other", split={"fractions": Fractions(1, 0, 0)})
    return prepare_set(document, log / "log.parquet", split={"fractions": Fractions(1, 0, 0)}).folder


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


def test_rows_are_read_from_anywhere(folder: Path) -> None:
    reader, whole = PreparedSet(folder).reader("train"), read(folder)
    assert reader.rows == (30, 30, 30, 10)
    assert reader.read(1, 7, 12).equals(whole[37:49])
    assert reader.read(1, 7).equals(whole[37:60])
    assert reader.read(3, 10).equals(whole[:0])
    assert reader.read(2, 29, 1, ["c", "_row"]).equals(whole[89:90].select("c", "_row"))
    copied: Shards = pickle.loads(pickle.dumps(reader))
    assert copied.read(3).equals(whole[90:])


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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame.drop("c"), " has no column 'c'"),
        (lambda frame: frame.drop("_row"), " has no column '_row'"),
        (lambda frame: frame.drop("keep:z"), " has no column 'keep:z'"),
        (lambda frame: frame.with_columns(pl.col("x").cast(pl.Float64)), ": column 'x' is Float64, not Float32"),
        (lambda frame: frame.with_columns(pl.col("c").cast(pl.Int32)), ": column 'c' is Int32, not Int64"),
        (lambda frame: frame.with_columns(_label=pl.lit(1)), ": column '_label' is Int32, not UInt8"),
    ],
)
def test_a_shard_with_another_column(
    folder: Path, change: Callable[[pl.DataFrame], pl.DataFrame], message: str
) -> None:
    path = folder / "train" / "part-00002.parquet"
    change(pl.read_parquet(path)).write_parquet(path, metadata=pl.read_parquet_metadata(path))
    with pytest.raises(DataError) as caught:
        read(folder)
    assert str(caught.value) == f"shard {path}{message}, so it is of another schema; prepare the data again"
    # Whichever columns are asked for, and wherever.
    with pytest.raises(DataError, match="part-00002"):
        PreparedSet(folder).reader("train").read(2, 5, 5, ["_timestamp"])


@pytest.mark.parametrize("metadata", [{}, {"plexrank.schema_digest": "0" * 64}])
def test_a_shard_of_another_schema(folder: Path, metadata: dict[str, str]) -> None:
    path = folder / "train" / "part-00002.parquet"
    pl.read_parquet(path).write_parquet(path, metadata=metadata)
    with pytest.raises(DataError, match=r"part-00002\.parquet is of another schema, by its plexrank\.schema_digest; "):
        read(folder)


def test_a_shard_that_shrinks_while_it_is_read(folder: Path) -> None:
    reader = PreparedSet(folder).reader("train")
    reader.read(0)
    path = folder / "train" / "part-00000.parquet"
    pl.read_parquet(path).head(20).write_parquet(path)
    assert reader.read(0, 0, 20).height == 20
    with pytest.raises(DataError, match=r"part-00000\.parquet has changed while it was read; prepare the data again"):
        reader.read(0, 15, 10)


def test_a_folder_whose_name_is_a_pattern(tmp_path: Path) -> None:
    assert read(write_prepared(tmp_path / "all[0-9]*", (10, 20)).folder).height == 30


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
