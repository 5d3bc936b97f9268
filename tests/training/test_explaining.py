"""Explanations of trained models: which rows, what is exchanged, what comes out for a known log, attention, seeds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from common.errors import ArtifactError, ConfigError, DataError
from evaluation.explanation.explanation import ModelExplanation, pair_name
from evaluation.explanation.switched import draw_donors
from features.datasets.prepared import PreparedSet
from features.encoding.encoded import EncodedRows
from features.preparation.plan import Inputs
from features.preparation.prepare import prepare
from features.schema import parse_schema
from tests.training.conftest import MakeRun
from training.artifact import Artifact
from training.explanation.attention import attention_of
from training.explanation.candidates import find_artifacts, read_candidate
from training.explanation.reliance import entity_features, explain_model, logits, switched
from training.explanation.sample import sample_rows, single_rows
from training.explanation.seeds import train_seeds
from training.explanation.values import value_texts
from training.loop import train
from training.records import Epoch, Observer, Start
from training.run import RunSettings

SCHEMA: dict[str, Any] = {
    "label": "click",
    "keep": ["shop"],
    "features": [
        {"name": "user", "kind": "categorical", "entity": "user", "encoding": "vocabulary"},
        {"name": "device", "kind": "categorical"},
        {"name": "shop", "kind": "categorical", "entity": "item"},
        {"name": "age", "kind": "bucketized", "entity": "user", "edges": [20.0, 40.0]},
        {"name": "price", "kind": "numeric", "entity": "item"},
        {"name": "tags", "kind": "multivalued", "entity": "item"},
        {"name": "user_by_shop", "kind": "cross", "of": ["user", "shop"]},
    ],
}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> PreparedSet:
    """Rows with every kind of feature."""
    folder = tmp_path_factory.mktemp("mixed")
    draw = np.random.default_rng(0)
    pl.DataFrame(
        {
            "click": draw.integers(0, 2, 300),
            "user": [f"u{i}" for i in draw.integers(0, 9, 300)],
            "device": [None if i == 0 else f"d{i}" for i in draw.integers(0, 3, 300)],
            "shop": [f"s{i}" for i in draw.integers(0, 5, 300)],
            "age": draw.uniform(10, 60, 300),
            "price": [None if p < 0.1 else p for p in draw.exponential(1, 300)],
            "tags": [" ".join(f"t{i}" for i in range(n)) for n in draw.integers(0, 4, 300)],
        }
    ).write_parquet(folder / "log.parquet")
    prepare(parse_schema(SCHEMA, source="test"), Inputs([str(folder / "log.parquet")]), folder / "prepared")
    return PreparedSet(folder / "prepared")


def test_a_sample_is_of_the_split_and_the_same_for_a_seed(mixed: PreparedSet) -> None:
    whole = sample_rows(mixed, "train", 10**6, 0)
    assert len(whole) == mixed.rows("train")
    some = sample_rows(mixed, "train", 40, 1)
    assert len(some) == 40
    assert (some.categorical == sample_rows(mixed, "train", 40, 1).categorical).all()
    assert (some.categorical != sample_rows(mixed, "train", 40, 2).categorical).any()
    places = [next(i for i in range(len(whole)) if _same(whole, i, some, place)) for place in range(len(some))]
    assert sorted(set(places)) == places


def _same(rows: EncodedRows, i: int, others: EncodedRows, j: int) -> bool:
    alike = np.array_equal(rows.dense[i], others.dense[j], equal_nan=True)
    return alike and np.array_equal(rows.categorical[i], others.categorical[j])


def test_only_the_named_features_are_exchanged(mixed: PreparedSet) -> None:
    rows = sample_rows(mixed, "train", 50, 0)
    given = rows.take(np.roll(np.arange(50), 1))
    names = ["shop", "price", "tags"]
    made = switched(rows, given, names)
    one_hot = ["user", "device", "shop", "age", "user_by_shop"]
    for place, name in enumerate(one_hot):
        source = given if name in names else rows
        np.testing.assert_array_equal(made.categorical[:, place], source.categorical[:, place])
    np.testing.assert_array_equal(made.dense, given.dense)
    for mine, theirs in zip(made.lists["tags"], given.lists["tags"], strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert made.label is rows.label
    kept = switched(rows, given, ["user"])
    np.testing.assert_array_equal(kept.dense, rows.dense)
    np.testing.assert_array_equal(kept.lists["tags"][0], rows.lists["tags"][0])


def test_an_entity_has_its_features_and_the_crosses_with_one_of_them(mixed: PreparedSet) -> None:
    assert entity_features(mixed.fitted.schema) == {
        "user": ("user", "age", "user_by_shop"),
        "item": ("shop", "price", "tags", "user_by_shop"),
        "context": ("device",),
    }


def test_values_are_told_as_far_as_they_can_be(mixed: PreparedSet) -> None:
    single = single_rows(mixed, "train", sorted(next(mixed.shards("train"))["_row"].to_list()))
    raw = pl.read_parquet(mixed.folder.parent / "log.parquet")[single["_row"].to_list()]
    texts = value_texts(single, mixed.fitted)
    assert texts["user"] == raw["user"].to_list()
    assert texts["shop"] == raw["shop"].to_list()
    for price, text in zip(raw["price"], texts["price"], strict=True):
        assert text == "missing" if price is None else float(text) == pytest.approx(price, rel=1e-5)
    for device, text in zip(raw["device"], texts["device"], strict=True):
        assert text == "missing" if device is None else text.startswith("token ")
    for age, text in zip(raw["age"], texts["age"], strict=True):
        assert text == ("below 20" if age < 20 else "20 to 40" if age < 40 else "40 and above")
    assert {text.count("token ") for text in texts["tags"]} == {0, 1, 2, 3}


def test_a_row_that_is_not_there_is_named(mixed: PreparedSet) -> None:
    with pytest.raises(DataError, match="has no row 4000 in its train split; rows are numbered as in the raw input"):
        single_rows(mixed, "train", [4000])
    assert single_rows(mixed, "train", []).height == 0


Explain = Callable[..., ModelExplanation]


@pytest.fixture
def explained(prepared: Path, make_run: MakeRun) -> Explain:
    """Trains a ranker on the log of conftest and explains it."""

    def explain(model: dict[str, Any] | None = None) -> ModelExplanation:
        run = make_run()
        artifact = Artifact.load(train(run if model is None else _with_model(run, model)).artifact)
        rows = sample_rows(PreparedSet(prepared), "valid", 2000, 0)
        told: list[tuple[int, int]] = []
        found = explain_model(
            "model",
            artifact.model,
            rows,
            draw_donors(len(rows), 2, 0),
            level=0.95,
            most=3,
            progress=lambda done, total: told.append((done, total)),
        )
        assert told[-1][0] == told[-1][1]
        probabilities = 1 / (1 + np.exp(-logits(artifact.model, rows).astype(np.float64)))
        np.testing.assert_allclose(probabilities, artifact.score(rows), rtol=1e-6)
        return found

    return explain


def test_what_clicks_depend_on_is_relied_on(explained: Explain) -> None:
    found = explained()
    drops = {some.name: some.auc_drop for some in found.features}
    for name in ("user", "item", "price"):
        interval = drops[name].interval
        assert interval is not None
        assert interval.low > 0
        assert drops[name].value > drops["history"].value
    groups = {some.name: some for some in found.groups}
    assert groups["item"].features == ("item", "price")
    assert groups["item"].auc_drop.value > drops["item"].value
    assert len(found.pairs) == 3
    assert {name for some in found.pairs for name in (some.first, some.second)} == {"user", "item", "price"}


def test_a_sum_of_features_has_no_interactions(explained: Explain) -> None:
    found = explained({"name": "lr"})
    assert [some.strength.value for some in found.pairs] == [0, 0, 0]
    assert found.features[0].logloss_rise.value > 0


def _product(folder: Path) -> Path:
    """A log whose clicks depend on the product of two features, and on a third."""
    draw = np.random.default_rng(0)
    a, b, c = draw.integers(0, 2, (3, 8000))
    logit = 2.5 * np.where(a == b, 1, -1) + np.where(c == 1, 1, -1)
    frame = pl.DataFrame({"click": (draw.random(8000) < 1 / (1 + np.exp(-logit))).astype(int), "a": a, "b": b, "c": c})
    frame.write_parquet(folder / "log.parquet")
    features = [{"name": name, "kind": "categorical", "encoding": "vocabulary"} for name in "abc"]
    schema = parse_schema({"label": "click", "features": features}, source="test")
    prepare(schema, Inputs([str(folder / "log.parquet")]), folder / "product")
    return folder / "product"


def test_a_product_is_found_and_its_factors_are_worth_nothing_alone(tmp_path: Path, make_run: MakeRun) -> None:
    data = _product(tmp_path)
    run = make_run(
        data=str(data),
        embedding={"init_std": 0.1, "rows": None},
        optimizer={"embedding": "adam", "embedding_learning_rate": 0.02},
        training={"epochs": 12, "monitor": "logloss"},
    )
    artifact = Artifact.load(train(_with_model(run, {"name": "fm"})).artifact)
    rows = sample_rows(PreparedSet(data), "valid", 2000, 0)
    found = explain_model("fm", artifact.model, rows, draw_donors(len(rows), 3, 0), level=0.95, most=3)
    strengths = {pair_name(some): some for some in found.pairs}
    product = strengths.pop("a \u00d7 b", None) or strengths.pop("b \u00d7 a")
    # The logit moves by 2.5 up or down with the product, all of which needs both.
    assert 1.5 < product.strength.value < 3.5
    assert all(some.strength.value < 0.2 * product.strength.value for some in strengths.values())
    # Without either, the product says nothing, and without both nothing more is lost.
    assert product.score.interval is not None
    assert product.score.interval.high < 0


AUTOINT = {"name": "autoint", "attention": {"layers": 2, "width": 8, "heads": 2}}


@pytest.mark.parametrize("wide", [False, True])
def test_attention_is_that_of_the_network(prepared: Path, make_run: MakeRun, wide: bool) -> None:
    run = _with_model(make_run(training={"epochs": 1}), {**AUTOINT, "wide": wide})
    artifact = Artifact.load(train(run).artifact)
    data = PreparedSet(prepared)
    rows = sample_rows(data, "valid", 600, 0)
    numbers = next(data.shards("valid"))["_row"].to_list()[:2][::-1]
    single = single_rows(data, "valid", numbers)
    found = attention_of(artifact.model, artifact.fitted, rows, single)
    assert found is not None
    assert found.fields == ("user", "item", "price", "history")
    assert found.mean.shape == (2, 2, 4, 4)
    np.testing.assert_allclose(found.mean.sum(3), 1, rtol=1e-5)
    assert [row.row for row in found.rows] == numbers
    encoded = EncodedRows.of(single, data.fitted.schema)
    for row, probability in zip(found.rows, artifact.score(encoded), strict=True):
        assert row.probability == pytest.approx(probability, rel=1e-5)
        np.testing.assert_allclose(row.weights.sum(3), 1, rtol=1e-5)
    # A mean of one row is that row's.
    alone = attention_of(artifact.model, artifact.fitted, encoded.take(np.array([1])), single[:0])
    assert alone is not None
    np.testing.assert_allclose(alone.mean, found.rows[1].weights, rtol=1e-6)
    assert alone.rows == ()


@pytest.mark.parametrize("model", [{"name": "lr"}, {"name": "autoint", "attention": {"layers": 0}}])
def test_what_does_not_attend_has_no_attention(prepared: Path, make_run: MakeRun, model: dict[str, Any]) -> None:
    artifact = Artifact.load(train(_with_model(make_run(training={"epochs": 1}), model)).artifact)
    data = PreparedSet(prepared)
    rows = sample_rows(data, "valid", 100, 0)
    assert attention_of(artifact.model, artifact.fitted, rows, single_rows(data, "valid", [])) is None


def _with_model(run: RunSettings, model: dict[str, Any]) -> RunSettings:
    return run.model_copy(update={"model": type(run.model)(**model)})


class Told(Observer):
    """Counts the epochs of all trainings."""

    def __init__(self) -> None:
        self.epochs: list[int] = []

    def on_start(self, start: Start) -> None:
        pass

    def on_step(self, epoch: int, step: int, loss: float, samples_per_second: float) -> None:
        pass

    def on_epoch(self, record: Epoch) -> None:
        self.epochs.append(record.epoch)

    def close(self) -> None:
        pass


def test_further_seeds_are_trained_once(prepared: Path, make_run: MakeRun, tmp_path: Path) -> None:
    artifact = train(make_run(training={"epochs": 1})).artifact
    told = Told()
    found = train_seeds(artifact, prepared, tmp_path / "seeds", 2, lambda seed: told)
    assert found == [tmp_path / "seeds" / f"seed-{seed}" / "artifact" for seed in (4, 5)]
    assert told.epochs == [1, 1]
    models = [Artifact.load(path) for path in (artifact, *found)]
    assert [model.manifest["provenance"]["run"]["seed"] for model in models] == [3, 4, 5]
    rows = sample_rows(PreparedSet(prepared), "valid", 50, 0)
    scores = [tuple(model.score(rows)) for model in models]
    assert len(set(scores)) == 3
    train_seeds(artifact, prepared, tmp_path / "seeds", 3, lambda seed: told)
    assert told.epochs == [1, 1, 1]
    assert find_artifacts([str(artifact), str(tmp_path / "seeds"), str(tmp_path / "seeds" / "seed-4")]) == [
        artifact, *found, tmp_path / "seeds" / "seed-6" / "artifact",
    ]  # fmt: skip


def test_seeds_of_another_run_are_left_alone(prepared: Path, make_run: MakeRun, tmp_path: Path) -> None:
    artifact = train(make_run(training={"epochs": 1})).artifact
    other = make_run(training={"epochs": 1}, optimizer={"learning_rate": 0.02}, output=str(tmp_path / "s" / "seed-4"))
    train(other.model_copy(update={"seed": 4}))
    with pytest.raises(ConfigError, match="seed-4/artifact is of another run; choose another --work"):
        train_seeds(artifact, prepared, tmp_path / "s", 1, lambda seed: Told())


def test_candidates_are_what_their_manifests_say(
    prepared: Path, mixed: PreparedSet, make_run: MakeRun, tmp_path: Path
) -> None:
    outcome = train(make_run(training={"epochs": 1}))
    found = read_candidate("m", outcome.artifact, PreparedSet(prepared))
    assert (found.name, found.ranker) == ("m", "finalmlp")
    assert found.logloss == outcome.reports["valid"].metric("logloss").value
    with pytest.raises(ArtifactError, match="ids would not agree"):
        read_candidate("m", outcome.artifact, mixed)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArtifactError, match="empty holds no artifact"):
        find_artifacts([str(tmp_path / "empty")])
