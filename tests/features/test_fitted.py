"""The fitted schema: how it encodes, its digest, and a saved one that was damaged."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from common.errors import DataError, PlexrankError, SchemaError
from features.encoding.crosses import cross_text
from features.encoding.fitted import FittedSchema
from features.encoding.fitter import Fitter
from features.encoding.tokens import token
from features.encoding.vocabulary import Vocabulary
from features.schema import ListFeature, parse_schema

DOCUMENT: dict[str, Any] = {
    "label": "click",
    "features": [
        {"name": "ad", "kind": "categorical", "encoding": "vocabulary", "min_count": 2},
        {"name": "past", "kind": "sequence", "of": "ad", "max_length": 2},
        {"name": "words", "kind": "sequence", "encoding": "vocabulary"},
        {"name": "city", "kind": "categorical"},
        {"name": "price", "kind": "numeric", "transforms": ["log1p", "standardize"]},
        {"name": "age", "kind": "numeric", "transforms": ["minmax"], "missing": 0},
        {"name": "cut", "column": "age", "kind": "bucketized", "buckets": 2, "encoding": "vocabulary"},
        {"name": "pay", "column": "age", "kind": "bucketized", "edges": [25, 40.5]},
        {"name": "tags", "kind": "multivalued", "max_length": 2},
        {"name": "ad_pay", "kind": "cross", "of": ["ad", "pay"]},
        {"name": "pay_city", "kind": "cross", "of": ["pay", "city"], "encoding": "vocabulary", "min_count": 2},
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
        "cut": [None, 20.0, 30.0, 40.0, 25.0, 35.0, 60.0],
        "pay": [None, 20.0, 30.0, 40.0, 25.0, 35.0, 60.0],
        "tags": [["s"], None, [], ["s"], ["s"], ["s"], ["s"]],
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
            "cut": [None, 20.0, 35.0, 34.9],
            "pay": [None, 24.9, 25.0, 40.5],
            "tags": [["s", "t", "u"], None, [], [None]],
            "other": [1, 2, 3, 4],
        }
    )
    fitted = fit(TYPED)
    encoded = fitted.encode(later)
    assert encoded["ad"].to_list() == [3, 1, 0, 1]
    # `of: ad` shares ad's ids, learnt from ad's own values; only the two most recent elements stay.
    assert encoded["past"].to_list() == [[1, 3], [], [], [0, 2]]
    assert encoded["words"].to_list() == [[3, 1], [4, 1], [], [0]]
    assert encoded["city"].to_list()[:3] == [499566431179015674, 1, 0]
    assert encoded["price"].is_null().to_list() == [True, False, False, False]
    assert encoded["age"].to_list() == [-0.5, 0.0, 1.0, 0.5]
    # The median of 20 to 60 is the one edge that was fitted: below it lies bucket 0, whose id is 2.
    assert fitted.edges == {"cut": (35.0,), "pay": (25.0, 40.5)}
    assert encoded["cut"].to_list() == [0, 2, 3, 2]
    assert encoded["pay"].to_list() == [0, token("0"), token("1"), token("2")]
    # Of a set too long the first elements stay.
    assert encoded["tags"].to_list() == [[token("s"), token("t")], [], [], [0]]
    pairs = [("b", None), ("rare", "0"), (None, "1"), ("", "2")]
    assert encoded["ad_pay"].to_list() == [token(cross_text(*pair)) for pair in pairs]
    # Only bucket 1 with city p was there twice.
    assert fitted.vocabularies["pay_city"].values.to_list() == ["1:1=p"]
    assert encoded["pay_city"].to_list() == [1, 1, 1, 1]
    assert encoded["other"].to_list() == [1, 2, 3, 4]
    for feature in fitted.schema.features:
        dtype = pl.Float32 if feature.kind == "numeric" else pl.Int64
        assert encoded.schema[feature.name] == (pl.List(dtype) if isinstance(feature, ListFeature) else dtype)


@pytest.mark.parametrize("rows", [0, 1])
def test_few_rows_are_encoded_like_many(rows: int) -> None:
    fitted = fit(TYPED)
    whole = fitted.encode(TYPED)
    for start in range(TYPED.height):
        assert fitted.encode(TYPED[start : start + rows]).equals(whole[start : start + rows])


def test_a_cross_is_missing_only_where_both_its_features_are() -> None:
    typed = TYPED[:3].with_columns(ad=pl.Series([None, None, "a"]), pay=pl.Series([None, 1.0, None]))
    assert (fit(TYPED).encode(typed)["ad_pay"] == 0).to_list() == [True, False, False]


def test_ids_are_counted_where_values_have_ids() -> None:
    fitted = fit(TYPED)
    found = {feature.name: fitted.ids(feature) for feature in fitted.schema.sparse}
    # Two are reserved everywhere; a list `of` a feature has that one's.
    assert found == {
        "ad": 4,
        "past": 4,
        "words": 5,
        "city": None,
        "cut": 4,
        "pay": None,
        "tags": None,
        "ad_pay": None,
        "pay_city": 3,
    }
    for feature in fitted.schema.sparse:
        ids = fitted.ids(feature)
        column = fitted.encode(TYPED)[feature.name]
        values = column.list.explode() if column.dtype == pl.List else column
        assert ids is None or values.drop_nulls().is_between(0, ids - 1).all()
        assert (fitted.vocabulary(feature) is None) == (ids is None or feature.name == "cut")


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
        lambda d: d["features"][2].update(name="text", column="words"),
        lambda d: d["features"][4].update(transforms=["standardize"]),
        lambda d: d["features"][5].update(missing=1),
        lambda d: d["features"][6].update(buckets=3),
        lambda d: d["features"][6].update(encoding="token"),
        lambda d: d["features"][7].update(edges=[25, 41]),
        lambda d: d["features"][8].update(kind="sequence"),
        lambda d: d["features"][9].update(of=["pay", "ad"]),
        lambda d: d["features"].pop(),
        lambda d: d.update(keep=["price"]),
        lambda d: d.update(label="view"),
    ],
)
def test_the_digest_changes_with_the_declaration(change: Callable[[dict[str, Any]], Any]) -> None:
    document = json.loads(json.dumps(DOCUMENT))
    change(document)
    typed = TYPED.with_columns(pl.col("words").alias("text"))
    assert fit(typed, document=document).digest != fit(TYPED).digest


def test_the_digest_changes_with_what_was_learnt_and_not_otherwise() -> None:
    digest = fit(TYPED).digest
    assert fit(TYPED.with_columns(age=pl.lit(50.0))).digest != digest
    assert fit(TYPED.with_columns(cut=pl.lit(50.0))).digest != digest
    assert fit(TYPED.with_columns(pay=pl.lit(50.0))).digest != digest
    assert fit(TYPED.with_columns(ad=pl.lit("b"))).digest != digest
    # Nothing is learnt of a hashed column, of the order of rows in a vocabulary, or of keys written out.
    assert fit(TYPED.with_columns(tags=pl.lit(["q"]))).digest == digest
    assert fit(TYPED.reverse()).digest == digest
    explicit = json.loads(json.dumps(DOCUMENT))
    explicit["features"][3].update(encoding="token", entity="context", column=None)
    assert fit(TYPED, document=explicit).digest == digest


def rewritten(**changes: Any) -> Callable[[Path], None]:
    def rewrite(folder: Path) -> None:
        document = json.loads((folder / "schema.json").read_text())
        (folder / "schema.json").write_text(json.dumps({**document, **changes}))

    return rewrite


@pytest.mark.parametrize("key", ["digest", "format", "schema", "statistics", "edges", "vocabularies"])
@pytest.mark.parametrize("value", [None, [], {}, 7, "x", {"ad": 5}], ids=str)
def test_a_changed_schema_file_is_refused(saved: Path, key: str, value: Any) -> None:
    rewritten(**{key: value})(saved)
    with pytest.raises(PlexrankError, match=str(saved)):
        FittedSchema.load(saved)


@pytest.mark.parametrize("key", ["digest", "format", "schema", "statistics", "edges", "vocabularies"])
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


@pytest.mark.parametrize(("key", "value"), [("statistics", {"age": {"maximum": 61.0}}), ("edges", {"cut": [36.0]})])
def test_one_changed_number_is_noticed(saved: Path, key: str, value: dict[str, Any]) -> None:
    file = saved / "schema.json"
    document = json.loads(file.read_text())
    for name, changed in value.items():
        document[key][name] = document[key][name] | changed if isinstance(changed, dict) else changed
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
