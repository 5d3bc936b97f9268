"""A fitted schema used again: as it is, or with vocabularies that grow and never move an id."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from common.errors import DataError, SchemaError
from features.datasets.prepared import PreparedSet
from features.encoding.fitted import FittedSchema
from features.preparation.plan import Inputs, SplitSettings
from features.preparation.prepare import fit, prepare
from features.preparation.split import Fractions
from features.schema import parse_schema

Prepare = Callable[..., PreparedSet]
DOCUMENT: dict[str, Any] = {
    "label": "y",
    "features": [
        {"name": "ad", "kind": "categorical", "encoding": "vocabulary"},
        {"name": "past", "kind": "sequence", "of": "ad"},
        {"name": "words", "kind": "multivalued", "encoding": "vocabulary", "min_count": 2},
        {"name": "price", "kind": "numeric", "transforms": ["standardize"]},
        {"name": "rank", "kind": "numeric", "column": "price", "transforms": ["quantile"]},
        {"name": "bucket", "kind": "bucketized", "column": "price", "buckets": 4, "encoding": "vocabulary"},
        {"name": "pair", "kind": "cross", "of": ["ad", "words_first"], "encoding": "vocabulary"},
        {"name": "words_first", "kind": "categorical"},
    ],
}
SCHEMA = parse_schema(DOCUMENT, source="schema.yaml")
ALL = SplitSettings(Fractions(1, 0, 0))


def write(folder: Path, name: str, ads: str, words: str, prices: range) -> Inputs:
    pl.DataFrame(
        {
            "y": [i % 2 for i in range(len(ads))],
            "ad": list(ads),
            "past": [" ".join(ads[:i]) for i in range(len(ads))],
            "words": [" ".join(words)] * len(ads),
            "words_first": [words[0]] * len(ads),
            "price": list(prices),
        }
    ).write_csv(folder / name)
    return Inputs([str(folder / name)])


@pytest.fixture
def monday(log: Path) -> Inputs:
    return write(log, "monday.csv", "bbbaac", "xyy", range(6))


@pytest.fixture
def tuesday(log: Path) -> Inputs:
    return write(log, "tuesday.csv", "ddddeeab", "yzz", range(100, 108))


def rows(folder: Path) -> pl.DataFrame:
    return pl.concat(PreparedSet(folder).shards("train"))


def test_old_ids_stay_and_new_values_follow(tmp_path: Path, monday: Inputs, tuesday: Inputs) -> None:
    prepare(SCHEMA, monday, tmp_path / "old", split=ALL)
    old = FittedSchema.load(tmp_path / "old")
    assert old.vocabularies["ad"].values.to_list() == ["b", "a", "c"]
    prepare(SCHEMA, tuesday, tmp_path / "grown", split=ALL, grow=old)
    grown = FittedSchema.load(tmp_path / "grown")
    assert grown.vocabularies["ad"].values.to_list() == ["b", "a", "c", "d", "e"]
    for name, vocabulary in old.vocabularies.items():
        values = vocabulary.values.to_list()
        assert grown.vocabularies[name].values.to_list()[: len(values)] == values
        assert [grown.vocabularies[name].id(v) for v in values] == [vocabulary.id(v) for v in values]
    assert rows(tmp_path / "grown")["ad"].to_list() == [5, 5, 5, 5, 6, 6, 3, 2]
    # Statistics and edges stay: the same raw value keeps its encoding.
    assert grown.statistics == old.statistics
    assert grown.edges == old.edges
    assert grown.digest != old.digest


def test_statistics_are_fitted_anew_when_told(tmp_path: Path, monday: Inputs, tuesday: Inputs) -> None:
    prepare(SCHEMA, monday, tmp_path / "old", split=ALL)
    prepare(SCHEMA, tuesday, tmp_path / "new", split=ALL)
    old, new = (FittedSchema.load(tmp_path / name) for name in ("old", "new"))
    prepare(SCHEMA, tuesday, tmp_path / "grown", split=ALL, grow=old, refit=True)
    grown = FittedSchema.load(tmp_path / "grown")
    assert grown.statistics == new.statistics != old.statistics
    assert grown.edges == new.edges != old.edges
    assert grown.vocabularies["ad"].values.to_list()[:3] == old.vocabularies["ad"].values.to_list()


def test_growing_on_the_same_rows_changes_nothing(tmp_path: Path, monday: Inputs) -> None:
    prepare(SCHEMA, monday, tmp_path / "old", split=ALL)
    old = FittedSchema.load(tmp_path / "old")
    for refit in (False, True):
        prepare(SCHEMA, monday, tmp_path / f"grown {refit}", split=ALL, grow=old, refit=refit)
        assert FittedSchema.load(tmp_path / f"grown {refit}").digest == old.digest


def test_another_schema_does_not_grow(tmp_path: Path, monday: Inputs) -> None:
    prepare(SCHEMA, monday, tmp_path / "old", split=ALL)
    old = FittedSchema.load(tmp_path / "old")
    other = parse_schema({**DOCUMENT, "features": DOCUMENT["features"][:2]}, source="schema.yaml")
    with pytest.raises(SchemaError, match="the set to grow was prepared with another schema; prepare with its own"):
        prepare(other, monday, tmp_path / "grown", grow=old)
    assert not (tmp_path / "grown").exists()


def test_fitted_apart_and_used_as_it_is(tmp_path: Path, monday: Inputs, tuesday: Inputs) -> None:
    whole = prepare(SCHEMA, monday, tmp_path / "whole", split=ALL)
    fitted = fit(SCHEMA, monday, tmp_path / "fitted", split=ALL)
    assert fitted.digest == FittedSchema.load(tmp_path / "fitted").digest == whole.schema_digest
    prepare(FittedSchema.load(tmp_path / "fitted"), monday, tmp_path / "again", split=ALL)
    assert rows(tmp_path / "again").equals(rows(tmp_path / "whole"))
    # Rows it has never seen: their values are unseen, not fitted.
    prepare(FittedSchema.load(tmp_path / "whole"), tuesday, tmp_path / "other", split=ALL)
    assert FittedSchema.load(tmp_path / "other").digest == fitted.digest
    assert rows(tmp_path / "other")["ad"].to_list() == [1, 1, 1, 1, 1, 1, 3, 2]


def test_only_training_rows_are_learnt_from(log: Path, tmp_path: Path, monday: Inputs, tuesday: Inputs) -> None:
    guarded = Inputs(monday.files, valid=tuesday.files)
    prepare(SCHEMA, guarded, tmp_path / "guarded")
    prepare(SCHEMA, monday, tmp_path / "alone", split=ALL)
    assert FittedSchema.load(tmp_path / "guarded").digest == FittedSchema.load(tmp_path / "alone").digest
    assert fit(SCHEMA, guarded, tmp_path / "fitted").digest == FittedSchema.load(tmp_path / "alone").digest


def test_a_vocabulary_of_another_schema_is_refused(tmp_path: Path, monday: Inputs, tuesday: Inputs) -> None:
    for name, inputs in (("a", monday), ("b", tuesday)):
        prepare(SCHEMA, inputs, tmp_path / name, split=ALL)
    stolen = tmp_path / "a" / "vocabulary" / "ad.parquet"
    stolen.write_bytes((tmp_path / "b" / "vocabulary" / "ad.parquet").read_bytes())
    with pytest.raises(DataError, match=r"vocabulary 'ad' in .* belongs to another schema; prepare the data again"):
        FittedSchema.load(tmp_path / "a")
