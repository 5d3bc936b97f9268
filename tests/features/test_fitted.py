"""The fitted schema: what it learns, its digest, and a saved one that was damaged."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from common.errors import DataError, PlexrankError, SchemaError
from features.fitted import FittedSchema, Fitter
from features.schema import parse_schema
from features.vocabulary import Vocabulary

DOCUMENT: dict[str, Any] = {
    "label": "click",
    "features": [
        {"name": "ad", "kind": "categorical", "encoding": "vocabulary", "min_count": 2},
        {"name": "past", "kind": "sequence", "of": "ad", "max_length": 2},
        {"name": "words", "kind": "sequence", "encoding": "vocabulary"},
        {"name": "city", "kind": "categorical"},
        {"name": "price", "kind": "numeric", "transforms": ["log1p", "standardize"]},
        {"name": "age", "kind": "numeric", "transforms": ["minmax"], "missing": 0},
    ],
}
TYPED = pl.DataFrame(
    {
        "ad": ["a", "b", "a", None, "b", "a", "rare"],
        "past": [["x"], ["x"], ["x"], ["x"], [], None, ["x", "x"]],
        "words": [["v"], ["w", "v"], None, [], ["v", None], ["w"], ["u"]],
        "city": ["p"] * 7,
        "price": [1.0, 2.0, None, 4.0, 5.0, -6.0, 7.0],
        "age": [None, 20.0, 30.0, 40.0, 25.0, 35.0, 60.0],
    },
    schema_overrides={"past": pl.List(pl.String), "words": pl.List(pl.String)},
)


def fit(*batches: pl.DataFrame, document: dict[str, Any] = DOCUMENT) -> FittedSchema:
    fitter = Fitter(parse_schema(document, source="test"))
    for batch in batches:
        fitter.update(batch)
    return fitter.fitted()


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    (tmp_path / "saved").mkdir()
    fit(TYPED).save(tmp_path / "saved")
    return tmp_path / "saved"


def test_rows_are_encoded_as_declared() -> None:
    later = pl.DataFrame(
        {
            "ad": ["b", "rare", None, ""],
            "past": [["a", "x", "b"], None, [], [None, "a"]],
            "words": [["w", "zzz"], ["u", ""], None, [None]],
            "city": ["7", "", None, "p"],
            "price": [None, 0.0, 1.0, 2.0],
            "age": [None, 20.0, 60.0, 40.0],
            "other": [1, 2, 3, 4],
        }
    )
    encoded = fit(TYPED).encode(later)
    assert encoded["ad"].to_list() == [3, 1, 0, 1]
    # `of: ad` shares ad's ids, learnt from ad's own values; only the two most recent elements stay.
    assert encoded["past"].to_list() == [[1, 3], [], [], [0, 2]]
    assert encoded["words"].to_list() == [[3, 1], [4, 1], [], [0]]
    assert encoded["city"].to_list()[:3] == [499566431179015674, 1, 0]
    assert encoded["price"].is_null().to_list() == [True, False, False, False]
    assert encoded["age"].to_list() == [-0.5, 0.0, 1.0, 0.5]
    assert encoded["other"].to_list() == [1, 2, 3, 4]
    assert [encoded.schema[name] for name in ("ad", "past", "words", "city", "price", "age")] == [
        pl.Int64,
        pl.List(pl.Int64),
        pl.List(pl.Int64),
        pl.Int64,
        pl.Float32,
        pl.Float32,
    ]


def test_a_schema_of_tokens_and_plain_numbers_has_nothing_to_learn() -> None:
    document = {
        "label": "y",
        "features": [
            {"name": "a", "kind": "categorical"},
            {"name": "s", "kind": "sequence", "of": "a"},
            {"name": "x", "kind": "numeric", "transforms": ["log1p"]},
        ],
    }
    assert not Fitter(parse_schema(document, source="test")).needed
    assert Fitter(parse_schema(DOCUMENT, source="test")).needed


def test_vocabularies_do_not_depend_on_how_rows_are_batched() -> None:
    whole, cut = fit(TYPED), fit(TYPED[:1], TYPED[1:1], TYPED[1:5], TYPED[5:])
    assert {n: v.digest for n, v in cut.vocabularies.items()} == {n: v.digest for n, v in whole.vocabularies.items()}
    for name, statistics in whole.statistics.items():
        assert cut.statistics[name].model_dump() == pytest.approx(statistics.model_dump(), rel=1e-12)


def test_a_saved_fitted_schema_loads_equal(saved: Path) -> None:
    fitted = fit(TYPED)
    loaded = FittedSchema.load(saved)
    assert loaded.digest == fitted.digest == fit(TYPED).digest
    assert loaded.encode(TYPED).equals(fitted.encode(TYPED))


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["features"].reverse(),
        lambda d: d["features"][0].update(min_count=3),
        lambda d: d["features"][0].update(entity="item"),
        lambda d: d["features"][1].update(max_length=3),
        lambda d: d["features"][1].update(pooling="sum"),
        lambda d: d["features"][3].update(name="town", column="city"),
        lambda d: d["features"][4].update(transforms=["standardize"]),
        lambda d: d["features"][5].update(missing=1),
        lambda d: d["features"].pop(),
        lambda d: d.update(keep=["price"]),
        lambda d: d.update(label="view"),
    ],
)
def test_the_digest_changes_with_the_declaration(change: Callable[[dict[str, Any]], Any]) -> None:
    document = json.loads(json.dumps(DOCUMENT))
    change(document)
    typed = TYPED.with_columns(pl.col("city").alias("town"))
    assert fit(typed, document=document).digest != fit(TYPED).digest


def test_the_digest_changes_with_what_was_learnt_and_not_otherwise() -> None:
    digest = fit(TYPED).digest
    assert fit(TYPED.with_columns(age=pl.lit(50.0))).digest != digest
    assert fit(TYPED.with_columns(ad=pl.lit("b"))).digest != digest
    # Nothing is learnt of a hashed column, of the order of rows in a vocabulary, or of keys written out.
    assert fit(TYPED.with_columns(city=pl.lit("q"))).digest == digest
    explicit = json.loads(json.dumps(DOCUMENT))
    explicit["features"][3].update(encoding="token", entity="context", column=None)
    assert fit(TYPED, document=explicit).digest == digest


def rewritten(**changes: Any) -> Callable[[Path], None]:
    def rewrite(folder: Path) -> None:
        document = json.loads((folder / "schema.json").read_text())
        (folder / "schema.json").write_text(json.dumps({**document, **changes}))

    return rewrite


@pytest.mark.parametrize("key", ["digest", "format", "schema", "statistics", "vocabularies"])
@pytest.mark.parametrize("value", [None, [], {}, 7, "x", {"ad": 5}], ids=str)
def test_a_changed_schema_file_is_refused(saved: Path, key: str, value: Any) -> None:
    rewritten(**{key: value})(saved)
    with pytest.raises(PlexrankError, match=str(saved)):
        FittedSchema.load(saved)


@pytest.mark.parametrize("key", ["digest", "format", "schema", "statistics", "vocabularies"])
def test_a_schema_file_that_lacks_a_key_is_refused(saved: Path, key: str) -> None:
    document = json.loads((saved / "schema.json").read_text())
    del document[key]
    (saved / "schema.json").write_text(json.dumps(document))
    with pytest.raises(SchemaError, match=r"schema\.json .*prepare"):
        FittedSchema.load(saved)


@pytest.mark.parametrize("content", [b"", b"{", b"null", b"[]", b'"x"', b"\xff", b'{"a": NaN}', b'{"a": "\\ud800"}'])
def test_a_schema_file_that_is_no_object_is_refused(saved: Path, content: bytes) -> None:
    (saved / "schema.json").write_bytes(content)
    with pytest.raises(SchemaError, match=r"schema\.json .*; prepare the data again"):
        FittedSchema.load(saved)


def test_one_changed_number_is_noticed(saved: Path) -> None:
    file = saved / "schema.json"
    document = json.loads(file.read_text())
    document["statistics"]["age"]["maximum"] = 61.0
    file.write_text(json.dumps(document))
    with pytest.raises(SchemaError, match=r"schema\.json was changed after it was written.*prepare the data again"):
        FittedSchema.load(saved)


def test_a_missing_schema_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=rf"{tmp_path}/schema\.json does not exist"):
        FittedSchema.load(tmp_path)


def test_a_swapped_vocabulary_is_refused(saved: Path) -> None:
    shutil.copy(saved / "vocabulary" / "words.parquet", saved / "vocabulary" / "ad.parquet")
    with pytest.raises(DataError, match=r"vocabulary 'ad' in .* belongs to another schema; prepare the data again"):
        FittedSchema.load(saved)


def test_a_reordered_vocabulary_is_refused(saved: Path) -> None:
    Vocabulary(["b", "a"]).save(saved / "vocabulary" / "ad.parquet")
    with pytest.raises(DataError, match=r"vocabulary 'ad' in .* belongs to another schema"):
        FittedSchema.load(saved)


def test_a_missing_vocabulary_is_refused(saved: Path) -> None:
    (saved / "vocabulary" / "ad.parquet").unlink()
    with pytest.raises(DataError, match=r"vocabulary .*ad\.parquet cannot be read.*prepare the data again"):
        FittedSchema.load(saved)
