"""The schema file: what it may say, and one sentence for each thing it may not."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from common.errors import SchemaError
from features.schema import Schema, load_schema

WHOLE = """
label: click
group: user
timestamp: time
keep: [request, user_key]
entities: {user: user, item: ad}
features:
  - {name: user, column: user_key, kind: categorical, entity: user}
  - {name: ad, kind: categorical, entity: item, encoding: vocabulary, min_count: 3}
  - {name: age, kind: numeric, entity: user, transforms: [log1p, standardize], missing: -1}
  - {name: price, kind: numeric, entity: item}
  - {name: past, kind: sequence, entity: user, of: ad, max_length: 20, pooling: sum, separator: "|"}
  - {name: hour, kind: categorical}
"""


def load(folder: Path, text: str) -> Schema:
    (folder / "schema.yaml").write_text(text, encoding="utf-8")
    return load_schema(folder / "schema.yaml")


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(SchemaError) as caught:
        load(folder, text)
    message = str(caught.value)
    assert message.startswith(str(folder / "schema.yaml"))
    return message


def test_a_whole_schema_is_read(tmp_path: Path) -> None:
    schema = load(tmp_path, WHOLE)
    assert [f.name for f in schema.features] == ["user", "ad", "age", "price", "past", "hour"]
    assert [f.name for f in schema.sparse] == ["user", "ad", "past", "hour"]
    assert [f.name for f in schema.numeric] == ["age", "price"]
    assert [f.source for f in schema.features][:2] == ["user_key", "ad"]
    assert [f.entity for f in schema.features] == ["user", "item", "user", "item", "user", "context"]
    assert [f.missing for f in schema.numeric] == [-1.0, "mask"]
    assert [f.fitted_transform for f in schema.numeric] == ["standardize", None]
    assert schema.entities == {"user": "user", "item": "ad"}
    # Each raw column once, whatever it is used for.
    assert sorted(schema.columns) == sorted(
        ["click", "user", "time", "request", "user_key", "ad", "age", "price", "past", "hour"]
    )


def test_a_sequence_uses_the_encoder_it_is_of(tmp_path: Path) -> None:
    schema = load(tmp_path, WHOLE)
    user, ad, past, _ = schema.sparse
    assert schema.encoder_of(past) == ad
    assert schema.encoder_of(user) == user


def test_a_schema_cannot_be_changed(tmp_path: Path) -> None:
    schema = load(tmp_path, WHOLE)
    with pytest.raises(ValidationError, match="frozen"):
        schema.label = "view"


def test_an_unknown_feature_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="no feature 'prise'; did you mean 'price'"):
        load(tmp_path, WHOLE).feature("prise")


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ("{name: a, kind: numeric}\n  - {name: a, kind: categorical}", "feature 'a' is named twice; give each"),
        ("{name: y, kind: numeric}", "feature 'y' reads the label 'y'; remove it"),
        ("{name: a, column: y, kind: categorical}", "feature 'a' reads the label 'y'; remove it"),
        ("{name: a, kind: numeric, transfroms: [log1p]}", "'transfroms' in features[0]; did you mean 'transforms'?"),
        ("{name: a, kind: categorical, min_cuont: 2}", "'min_cuont' in features[0]; did you mean 'min_count'?"),
        ("{name: a, kind: numeric, encoding: token}", "unknown key 'encoding' in features[0]; known: column, entity"),
        ("{name: a, kind: numric}", "features[0]: kind 'numric' is unknown; known: 'categorical', 'numeric'"),
        ("{name: a}", "features[0]: 'kind' is missing; add it"),
        ("{kind: numeric}", "features[0].name is missing; add it"),
        ("{name: 1a, kind: numeric}", "features[0].name: string should match pattern"),
        ("{name: _row, kind: numeric}", "features[0].name: string should match pattern"),
        ("{name: a, kind: numeric, transforms: [log]}", "features[0].transforms[0]: input should be 'log1p'"),
        ("{name: a, kind: numeric, transforms: [minmax, log1p]}", "feature 'a': standardize or minmax comes last"),
        ("{name: a, kind: numeric, transforms: [minmax, standardize]}", "feature 'a': standardize or minmax comes"),
        ("{name: a, kind: numeric, missing: zero}", "features[0].missing"),
        ("{name: a, kind: numeric, missing: .nan}", "features[0].missing"),
        ("{name: a, kind: numeric, missing: .inf}", "features[0].missing"),
        ("{name: a, kind: categorical, min_count: 0}", "features[0].min_count: input should be greater"),
        ("{name: a, kind: categorical, entity: usr}", "features[0].entity: input should be 'user', 'item' or"),
        ("{name: a, kind: sequence, max_length: 0}", "features[0].max_length: input should be greater"),
        ("{name: a, kind: sequence, separator: ''}", "features[0].separator: string should have at least 1"),
        ("{name: a, kind: sequence, of: bd}\n  - {name: b, kind: categorical}", "sequence 'a' is of 'bd', which is no"),
        ("{name: a, kind: sequence, of: b}\n  - {name: b, kind: numeric}", "sequence 'a' is of 'b', which is no"),
        ("{name: a, kind: sequence, of: a}", "sequence 'a' is of 'a', which is no categorical feature"),
        ("{name: a, kind: categorical}\nentities: {user: a}", "user is identified by 'a', whose entity is context"),
        ("{name: a, kind: numeric}\nentities: {user: a}", "user is identified by 'a', which is no categorical feature"),
        ("{name: a, kind: categorical}\nentities: {context: a}", "entities"),
        ("{name: a, kind: categorical}\nkeep: [k, k]", "keep names a column twice; name each once"),
        ("{name: a, kind: categorical}\ntimestmap: t", "unknown key 'timestmap'; did you mean 'timestamp'?"),
    ],
)
def test_a_wrong_schema_gets_one_sentence(tmp_path: Path, features: str, message: str) -> None:
    assert message in refusal(tmp_path, f"label: y\nfeatures:\n  - {features}\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("features: [{name: a, kind: numeric}]", "label is missing; add it"),
        ("label: y", "features is missing; add it"),
        ("label: y\nfeatures: []", "features: tuple should have at least 1 item"),
        ("label: 1\nfeatures: [{name: a, kind: numeric}]", "label: input should be a valid string, got 1"),
        ("- a", "must hold a mapping of keys to values, not a list"),
        ("", "must hold a mapping of keys to values, not nothing"),
        ("label: [", "line 1"),
    ],
)
def test_a_wrong_file_gets_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    assert message in refusal(tmp_path, text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=r"nope\.yaml does not exist"):
        load_schema(tmp_path / "nope.yaml")
