"""Field vectors: layout of the table, order of the fields, shared slots, missing numbers."""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

from common.errors import ConfigError, DataError
from features.datasets.batch import Batch
from features.encoding.fitted import FittedSchema
from features.encoding.tokens import token
from kernels.addressing import Slot, rows_numpy, slot_seed
from kernels.lookup.dispatch import build_lookup
from models.embedding import EmbeddingSettings, FeatureEmbedding
from models.scope import Scope
from tests.models.small import EVERY_KIND, SCHEMA, fit

MakeBatch = Callable[..., Batch]
ALL = Scope(("user", "age", "item", "history", "price"))


def build(fitted: FittedSchema, scopes: list[Scope], **settings: Any) -> FeatureEmbedding:
    return FeatureEmbedding(EmbeddingSettings(**({"dim": 4, "rows": 100} | settings)), fitted, scopes, build_lookup)


def table(embedding: FeatureEmbedding) -> torch.Tensor:
    assert embedding.lookup is not None
    return embedding.lookup.table.detach()


def test_fields_come_in_the_order_of_the_scope_each_from_its_rows(fitted: FittedSchema, make_batch: MakeBatch) -> None:
    embedding = build(fitted, [ALL])
    vocabulary = fitted.vocabularies["user"]
    weights = table(embedding)
    assert weights.shape == (vocabulary.size + 100, 4)
    columns = [
        pl.Series("user", ["u1", None, "nobody"]),
        pl.Series("item", ["i1", "i2", "i3"]),
        pl.Series("history", [["i1", "i2"], [], ["i9"]], dtype=pl.List(pl.String)),
        pl.Series("age", [2.0, None, 3.0]),
        pl.Series("price", [None, 1.5, -1.0]),
    ]
    batch = make_batch(3, columns=columns)
    (fields,) = embedding(batch.dense, batch.sparse)
    assert fields.shape == (3, 20)
    user, age, item, history, price = fields.detach().split(4, dim=1)

    torch.testing.assert_close(user, weights[[vocabulary.id("u1"), 0, 1]])
    slot = Slot(key=0, seed=slot_seed("item", 0), base=vocabulary.size, rows=100, mixed=True)

    def row(text: str) -> torch.Tensor:
        return weights[int(rows_numpy(np.array([token(text)]), slot)[0])]

    torch.testing.assert_close(item, torch.stack([row("i1"), row("i2"), row("i3")]))
    # Sequence elements read the rows of `item`, averaged; an empty one is zero.
    torch.testing.assert_close(history, torch.stack([(row("i1") + row("i2")) / 2, torch.zeros(4), row("i9")]))
    numeric = embedding.vectors.numeric
    assert numeric is not None
    assert numeric.missing is not None
    torch.testing.assert_close(age, torch.stack([2 * numeric.weight[0], numeric.missing[0], 3 * numeric.weight[0]]))
    torch.testing.assert_close(price, torch.tensor([[0.0], [1.5], [-1.0]]) * numeric.weight[1])


def test_sum_pooling_adds(make_batch: MakeBatch) -> None:
    document = {**SCHEMA, "features": [*SCHEMA["features"][:3], {**SCHEMA["features"][3], "pooling": "sum"}]}
    fitted = fit(document)
    embedding = build(fitted, [Scope(("item", "history"))])
    columns = [
        pl.Series("item", ["i1", "i1"]),
        pl.Series("history", [["i1", "i1", "i1"], ["i1"]], dtype=pl.List(pl.String)),
    ]
    batch = make_batch(2, schema=fitted, columns=columns)
    (fields,) = embedding(batch.dense, batch.sparse)
    item, history = fields.split(4, dim=1)
    torch.testing.assert_close(history[0], 3 * item[0])
    torch.testing.assert_close(history[1], item[1])


def test_buckets_lists_and_crosses_each_read_rows_of_their_own(make_batch: MakeBatch) -> None:
    fitted = fit(EVERY_KIND)
    embedding = build(fitted, [Scope(("level", "genres", "user_by_item", "user_by_level", "income"))])
    genres, crossed = fitted.vocabularies["genres"], fitted.vocabularies["user_by_level"]
    weights = table(embedding)
    assert len(weights) == 4 + genres.size + crossed.size + 100  # a level is missing, unseen, below 0 or not
    columns = [
        pl.Series("level", [-1.0, 0.0, None]),
        pl.Series("genres", [["g1", "g2"], [], ["g1"]], dtype=pl.List(pl.String)),
        pl.Series("user", ["u1", None, "u2"]),
        pl.Series("item", ["i1", "i2", None]),
        pl.Series("income", [-9.0, 9.0, None]),
    ]
    batch = make_batch(3, schema=fitted, columns=columns)
    (fields,) = embedding(batch.dense, batch.sparse)
    level, several, by_item, by_level, income = fields.detach().split(4, dim=1)
    torch.testing.assert_close(level, weights[[2, 3, 0]])
    g1, g2 = (weights[4 + genres.id(name)] for name in ("g1", "g2"))
    torch.testing.assert_close(several, torch.stack([g1 + g2, torch.zeros(4), g1]))
    ids = [crossed.id(text) for text in ("2:u1=0", "-=1", "2:u2")]
    assert ids[0] > 1
    torch.testing.assert_close(by_level, weights[[4 + genres.size + i for i in ids]])

    def rows(feature: str, *texts: str | None) -> torch.Tensor:
        slot = Slot(key=0, seed=slot_seed(feature, 0), base=len(weights) - 100, rows=100, mixed=True)
        return weights[rows_numpy(np.array([token(text) for text in texts]), slot)]

    torch.testing.assert_close(by_item, rows("user_by_item", "2:u1=i1", "-=i2", "2:u2"))
    torch.testing.assert_close(income, rows("income", "0", "3", None))


def test_probes_are_concatenated_and_read_other_rows(fitted: FittedSchema, make_batch: MakeBatch) -> None:
    embedding = build(fitted, [Scope(("user", "item"))], probes=2, rows=100_000)
    assert [shape.width for shape in embedding.shapes] == [16]
    weights = table(embedding)
    size = fitted.vocabularies["user"].size
    assert weights.shape[0] == 2 * size + 100_000
    batch = make_batch(1, columns=[pl.Series("item", ["i7"]), pl.Series("user", ["u1"])])
    (fields,) = embedding(batch.dense, batch.sparse)
    tokens = np.array([token("i7")])
    rows = [
        int(rows_numpy(tokens, Slot(key=0, seed=slot_seed("item", p), base=2 * size, rows=100_000, mixed=True))[0])
        for p in (0, 1)
    ]
    assert rows[0] != rows[1]
    user = fitted.vocabularies["user"].id("u1")
    expected = torch.cat([weights[user], weights[size + user], weights[rows[0]], weights[rows[1]]])
    torch.testing.assert_close(fields[0].detach(), expected)


def test_scopes_have_rows_of_their_own(fitted: FittedSchema, make_batch: MakeBatch) -> None:
    embedding = build(fitted, [ALL, Scope(("user",), "gate")], rows=1_000_000)
    batch = make_batch(5)
    _, gate = embedding(batch.dense, batch.sparse)
    assert gate.shape == (5, 4)
    gate.sum().backward()
    assert embedding.lookup is not None
    assert embedding.lookup.table.grad is not None
    touched = embedding.lookup.table.grad.abs().sum(1).nonzero().flatten().tolist()
    size = fitted.vocabularies["user"].size
    # The main scope's users are rows 0..size, the gate's the next.
    assert touched
    assert all(size <= row < 2 * size for row in touched)


def test_adding_a_feature_leaves_the_rows_of_others(fitted: FittedSchema) -> None:
    few = build(fitted, [Scope(("item",))])
    many = build(fitted, [Scope(("history", "item"))])
    assert few.lookup is not None
    assert many.lookup is not None
    assert few.lookup.layout.slots[0] == many.lookup.layout.slots[1]


def test_the_initial_rows_have_the_given_deviation(fitted: FittedSchema) -> None:
    torch.manual_seed(0)
    embedding = build(fitted, [ALL], rows=10_000, init_std=0.02)
    assert table(embedding).std().item() == pytest.approx(0.02, rel=0.05)
    assert table(embedding).mean().item() == pytest.approx(0, abs=0.001)


def test_the_initial_rows_have_the_given_range(fitted: FittedSchema) -> None:
    torch.manual_seed(0)
    weights = table(build(fitted, [ALL], rows=10_000, init_range=0.02))
    assert weights.abs().max().item() == pytest.approx(0.02, rel=0.01)
    assert weights.std().item() == pytest.approx(0.02 / 3**0.5, rel=0.02)


def test_fields_of_different_probes_keep_their_order_beside_numbers(
    fitted: FittedSchema, make_batch: MakeBatch
) -> None:
    settings = {"probes": 2, "vocabularies": "hashed", "features": {"item": {"probes": 3}, "user": {"probes": 1}}}
    scopes = [ALL, Scope(("price", "user", "history"), "gate")]
    embedding = build(fitted, scopes, **settings)
    # A list is as wide as the feature it is of; numbers are as wide as what is no exception.
    assert [shape.default for shape in embedding.shapes] == [8, 8]
    assert [shape.widths for shape in embedding.shapes] == [(4, 8, 12, 12, 8), (8, 4, 12)]
    assert [shape.width for shape in embedding.shapes] == [44, 24]
    batch = make_batch(9)
    weights, found = table(embedding), embedding(batch.dense, batch.sparse)
    assert embedding.vectors.numeric is not None
    numbers = embedding.vectors.numeric(batch.dense[:, [0, 1, 1]])
    fields = {(field.scope, field.feature): field for field in embedding.fields}
    number_of = {("", "age"): 0, ("", "price"): 1, ("gate", "price"): 2}
    for scope, shape, whole in zip(scopes, embedding.shapes, found, strict=True):
        for name, part in zip(scope.features, whole.split(shape.widths, dim=1), strict=True):
            if (scope.name, name) in number_of:
                torch.testing.assert_close(part, numbers[:, number_of[scope.name, name]])
                continue
            bags = [bag.numpy() for bag in batch.sparse[name].to_dense()]
            by_hand = []
            for slot in fields[scope.name, name].slots:
                rows = [weights[rows_numpy(bag, slot)] for bag in bags]
                by_hand.append(torch.stack([row.sum(0) / max(len(row), 1) for row in rows]))
            torch.testing.assert_close(part, torch.cat(by_hand, 1))


def test_a_ranker_that_needs_equal_widths_is_told_or_given_them(fitted: FittedSchema) -> None:
    probes = {"features": {"item": {"probes": 2}}}
    with pytest.raises(
        ConfigError, match=r"needs fields of one width, and embedding\.features gives 'item', 'history'"
    ):
        build(fitted, [ALL], **probes).shapes[0].equal_width("autoint")
    assert build(fitted, [ALL], probes=3).shapes[0].equal_width("autoint") == 12
    assert build(fitted, [Scope(("history", "item"))], **probes).shapes[0].equal_width("autoint") == 8


def test_settings_survive_being_written_and_read() -> None:
    exceptions = {"item": {"probes": 2}, "user": {"rows": "unified"}}
    settings = EmbeddingSettings.model_validate({"memory_mb": 1.5, "init_range": 0.05, "features": exceptions})
    assert EmbeddingSettings.model_validate_json(settings.model_dump_json()) == settings


def test_keys_in_another_order_or_besides_make_no_difference(fitted: FittedSchema, make_batch: MakeBatch) -> None:
    embedding = build(fitted, [ALL])
    batch = make_batch(6)
    (expected,) = embedding(batch.dense, batch.sparse)
    assert batch.sparse.keys() == ["user", "item", "history"]
    for order in ([2, 0, 1], [1, 0, 2, 1]):
        other = batch.sparse.permute(order)
        keys = [*other.keys()[:3], *(["besides"] if len(order) > 3 else [])]
        renamed = KeyedJaggedTensor(keys, other.values(), lengths=other.lengths(), stride=6)
        assert torch.equal(embedding(batch.dense, renamed)[0], expected)


def test_missing_keys_are_refused_by_name(fitted: FittedSchema, make_batch: MakeBatch) -> None:
    other = fit({"label": "click", "features": [{"name": n, "kind": "categorical"} for n in ("item", "device")]})
    columns = [pl.Series("device", ["d"] * 3)]
    batch = make_batch(3, schema=other, columns=columns)
    with pytest.raises(DataError, match="lacks the keys 'user', 'history' and has 'device' instead; encode it with"):
        build(fitted, [ALL])(batch.dense, batch.sparse)


@pytest.mark.parametrize("features", [("user", "item"), ("user", "item", "history")])
def test_weights_multiply_the_rows_of_their_values(
    fitted: FittedSchema, make_batch: MakeBatch, features: tuple[str, ...]
) -> None:
    # Without a list among the features each value is a bag of its own, and no offsets are read.
    document = {**SCHEMA, "features": [f for f in SCHEMA["features"] if f["name"] in features]}
    schema = fit(document)
    embedding = build(schema, [Scope(features)])
    sparse = make_batch(6, schema=schema).sparse
    plain = embedding(torch.empty(6, 0), sparse)[0]
    doubled = KeyedJaggedTensor(
        sparse.keys(), sparse.values(), torch.full((sparse.values().numel(),), 2.0), lengths=sparse.lengths(), stride=6
    )
    torch.testing.assert_close(embedding(torch.empty(6, 0), doubled)[0], 2 * plain)
    # They stay with their values where the keys come in another order.
    weights = torch.rand(sparse.values().numel())
    weighted = KeyedJaggedTensor(sparse.keys(), sparse.values(), weights, lengths=sparse.lengths(), stride=6)
    turned = weighted.permute(list(reversed(range(len(features)))))
    assert torch.equal(embedding(torch.empty(6, 0), turned)[0], embedding(torch.empty(6, 0), weighted)[0])


def test_plain_tensors_do_as_well(fitted: FittedSchema, make_batch: MakeBatch) -> None:
    embedding = build(fitted, [ALL])
    batch = make_batch(6)
    (expected,) = embedding(batch.dense, batch.sparse)
    (plain,) = embedding.arrange(batch.dense, embedding.look_up_plain(batch.sparse.values(), batch.sparse.offsets()))
    assert torch.equal(plain, expected)


def test_numbers_alone_need_no_table(make_batch: MakeBatch) -> None:
    fitted = fit({"label": "click", "features": [{"name": n, "kind": "numeric"} for n in ("age", "price")]})
    embedding = build(fitted, [Scope(("price", "age"))], rows=None)
    batch = make_batch(5, schema=fitted)
    assert embedding.lookup is None
    (fields,) = embedding(batch.dense, batch.sparse)
    assert embedding.vectors.numeric is not None
    torch.testing.assert_close(fields, embedding.vectors.numeric(batch.dense[:, [1, 0]]).flatten(1))


def test_a_scope_of_an_unknown_feature_is_refused(fitted: FittedSchema) -> None:
    with pytest.raises(ConfigError, match="'usr', which the schema lacks; did you mean 'user'"):
        build(fitted, [Scope(("usr",))])
