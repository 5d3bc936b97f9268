"""The schema file: what it may say, and one sentence for each thing it may not."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from common.errors import SchemaError
from features.schema import Schema, load_schema, parse_schema

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
  - {name: ad_income, kind: cross, of: [income, ad]}
  - {name: hour, kind: categorical}
  - {name: income, column: pay, kind: bucketized, buckets: 10, encoding: vocabulary}
  - {name: size, kind: bucketized, edges: [-1, 0, 2.5], entity: item}
  - {name: likes, kind: multivalued, entity: user}
  - {name: spent, kind: numeric, transforms: [log1p, quantile]}
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
    sparse = ["user", "ad", "past", "ad_income", "hour", "income", "size", "likes"]
    given = ["user", "ad", "age", "price", "past", "hour", "income", "size", "likes", "spent"]
    assert [f.name for f in schema.features] == [*given[:5], "ad_income", *given[5:]]
    assert [f.name for f in schema.sparse] == sparse
    assert [f.name for f in schema.numeric] == ["age", "price", "spent"]
    assert [f.name for f in schema.given] == given
    assert [f.name for f in schema.crosses] == ["ad_income"]
    assert [f.source for f in schema.given] == ["user_key", *given[1:6], "pay", *given[7:]]
    entities = ["user", "item", "user", "item", "user", "context", "context", "item", "user", "context"]
    assert [f.entity for f in schema.given] == entities
    assert [f.missing for f in schema.numeric] == [-1.0, "mask", "mask"]
    assert [f.fitted_transform for f in schema.numeric] == ["standardize", None, "quantile"]
    assert schema.entities == {"user": "user", "item": "ad"}
    # Each raw column once, whatever it is used for; a cross has none.
    features = ["user_key", "ad", "age", "price", "past", "hour", "pay", "size", "likes", "spent"]
    assert sorted(schema.columns) == sorted(["click", "user", "time", "request", *features])


def test_a_cross_knows_its_two_features(tmp_path: Path) -> None:
    schema = load(tmp_path, WHOLE)
    income, ad = schema.feature("income"), schema.feature("ad")
    assert schema.crossed(schema.crosses[0]) == (income, ad)


def test_a_sequence_uses_the_encoder_it_is_of(tmp_path: Path) -> None:
    schema = load(tmp_path, WHOLE)
    ad, past = (next(f for f in schema.sparse if f.name == name) for name in ("ad", "past"))
    assert schema.encoder_of(past) is ad
    assert all(schema.encoder_of(feature) is feature for feature in schema.sparse if feature is not past)


def test_what_a_schema_is_written_as_can_be_read(tmp_path: Path) -> None:
    schema = load(tmp_path, WHOLE)
    written = schema.model_dump(mode="json")
    assert parse_schema(written, source="test") == schema
    assert [feature["name"] for feature in written["features"] if "encoding" not in feature] == [
        "age", "price", "past", "spent",
    ]  # fmt: skip


def test_a_cross_may_have_a_vocabulary_where_edges_are_given(tmp_path: Path) -> None:
    cross = "{name: x, kind: cross, of: [a, b], encoding: vocabulary, min_count: 2}"
    features = f"  - {cross}\n  - {{name: a, kind: categorical}}\n  - {{name: b, kind: bucketized, edges: [1]}}\n"
    assert load(tmp_path, f"label: y\nfeatures:\n{features}").crosses[0].min_count == 2


def test_a_schema_cannot_be_changed(tmp_path: Path) -> None:
    schema = load(tmp_path, WHOLE)
    with pytest.raises(ValidationError, match="frozen"):
        schema.label = "view"


def test_an_unknown_feature_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="no feature 'prise'; did you mean 'price'"):
        load(tmp_path, WHOLE).feature("prise")


CROSSED = """{name: a, kind: categorical}
  - {name: n, kind: numeric}
  - {name: l, kind: multivalued}
  - {name: buckets, kind: bucketized, buckets: 3}
  - {name: x, kind: cross, of:"""


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
        ("{name: a, kind: numeric, transforms: [minmax, log1p]}", "feature 'a': standardize, minmax or quantile comes"),
        (
            "{name: a, kind: numeric, transforms: [minmax, standardize]}",
            "feature 'a': standardize, minmax or quantile comes",
        ),
        ("{name: a, kind: numeric, transforms: [quantile, quantile]}", "quantile comes last and once, after any log1p"),
        ("{name: a, kind: numeric, missing: zero}", "features[0].missing"),
        ("{name: a, kind: numeric, missing: .nan}", "features[0].missing"),
        ("{name: a, kind: numeric, missing: .inf}", "features[0].missing"),
        ("{name: a, kind: numeric, missing: true}", "features[0].missing"),
        ("{name: a, kind: numeric, missing: -3.5e+38}", "feature 'a': missing -3.5e+38 is too large for float32"),
        ("{name: a, kind: categorical, min_count: 0}", "features[0].min_count: input should be greater"),
        ("{name: a, kind: categorical, entity: usr}", "features[0].entity: input should be 'user', 'item' or"),
        ("{name: a, kind: sequence, max_length: 0}", "features[0].max_length: input should be greater"),
        ("{name: a, kind: sequence, separator: ''}", "features[0].separator: string should have at least 1"),
        ("{name: a, kind: sequence, of: bd}\n  - {name: b, kind: categorical}", "sequence 'a' is of 'bd', which is no"),
        ("{name: a, kind: sequence, of: b}\n  - {name: b, kind: numeric}", "sequence 'a' is of 'b', which is no"),
        ("{name: a, kind: sequence, of: a}", "sequence 'a' is of 'a', which is no categorical feature"),
        (
            "{name: a, kind: multivalued, of: bd}\n  - {name: b, kind: categorical}",
            "multivalued 'a' is of 'bd', which is",
        ),
        (
            "{name: a, kind: multivalued, of: b}\n  - {name: b, kind: sequence}",
            "multivalued 'a' is of 'b', which is no",
        ),
        (
            "{name: b, kind: categorical}\n  - {name: a, kind: sequence, of: b, encoding: token}",
            "feature 'a' is of 'b', whose encoding it shares; drop its own encoding, or of",
        ),
        (
            "{name: b, kind: categorical}\n  - {name: a, kind: multivalued, of: b, min_count: 1}",
            "feature 'a' is of 'b', whose min_count it shares; drop its own min_count, or of",
        ),
        ("{name: a, kind: multivalued, pooling: max}", "features[0].pooling: input should be 'sum' or 'mean'"),
        ("{name: a, kind: bucketized}", "feature 'a': give either edges, or buckets to fit them on the training rows"),
        ("{name: a, kind: bucketized, edges: [1], buckets: 2}", "feature 'a': give either edges, or buckets"),
        ("{name: a, kind: bucketized, edges: []}", "features[0].edges: tuple should have at least 1 item"),
        ("{name: a, kind: bucketized, edges: [2, 1]}", "feature 'a': edges do not rise; sort them, each once"),
        ("{name: a, kind: bucketized, edges: [1, 1.0]}", "feature 'a': edges do not rise"),
        ("{name: a, kind: bucketized, edges: [-0.0, 0.0]}", "feature 'a': edges do not rise"),
        ("{name: a, kind: bucketized, edges: [1, .inf]}", "features[0].edges[1]: input should be a finite number"),
        ("{name: a, kind: bucketized, edges: [.nan]}", "features[0].edges[0]: input should be a finite number"),
        ("{name: a, kind: bucketized, edges: ['x']}", "features[0].edges[0]: input should be a valid number"),
        ("{name: a, kind: bucketized, buckets: 1}", "features[0].buckets: input should be greater than or equal to 2"),
        (
            "{name: a, kind: bucketized, buckets: 1001}",
            "features[0].buckets: input should be less than or equal to 1000",
        ),
        (f"{{name: a, kind: bucketized, edges: {list(range(1000))}}}", "features[0].edges: tuple should have at most"),
        ("{name: a, kind: bucketized, buckets: 2, min_count: 2}", "unknown key 'min_count' in features[0]; known:"),
        (f"{CROSSED} [a, n]}}", "cross 'x' is of 'n', which is no categorical or bucketized feature; "),
        (f"{CROSSED} [l, a]}}", "cross 'x' is of 'l', which is no categorical or bucketized feature; "),
        (f"{CROSSED} [a, x]}}", "cross 'x' is of 'x', which is no categorical or bucketized feature; "),
        (
            f"{CROSSED} [buckts, a]}}",
            "cross 'x' is of 'buckts', which is no categorical or bucketized feature; did you",
        ),
        (f"{CROSSED} [a, a]}}", "cross 'x' is of 'a' twice; name two features"),
        (f"{CROSSED} [a]}}", "features[4].of"),
        (f"{CROSSED} [a, buckets, a]}}", "features[4].of"),
        (f"{CROSSED} [a, buckets], column: c}}", "unknown key 'column' in features[4]; known: "),
        (f"{CROSSED} [a, buckets], entity: user}}", "unknown key 'entity' in features[4]; known: "),
        (
            f"{CROSSED} [a, buckets], encoding: vocabulary}}",
            "'buckets' edges that are only fitted at the same time; give",
        ),
        (f"{CROSSED} [a, buckets]}}\nentities: {{user: x}}", "user is identified by 'x', which is no categorical"),
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
        ("label: [", "line 2"),
    ],
)
def test_a_wrong_file_gets_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    assert message in refusal(tmp_path, text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=r"nope\.yaml does not exist"):
        load_schema(tmp_path / "nope.yaml")
