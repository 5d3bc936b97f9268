"""Field vectors: layout of the table, order of the fields, shared slots, missing numbers."""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from common.errors import ConfigError
from features.datasets.batch import Batch
from features.encoding.fitted import FittedSchema
from features.encoding.tokens import token
from kernels.addressing import Slot, rows_numpy, slot_seed
from kernels.lookup.dispatch import build_lookup
from models.embedding import EmbeddingSettings, FeatureEmbedding, Scope
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
    assert embedding.numeric is not None
    assert embedding.numeric.missing is not None
    torch.testing.assert_close(
        age,
        torch.stack([2 * embedding.numeric.weight[0], embedding.numeric.missing[0], 3 * embedding.numeric.weight[0]]),
    )
    torch.testing.assert_close(price, torch.tensor([[0.0], [1.5], [-1.0]]) * embedding.numeric.weight[1])


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
    assert embedding.widths == (16,)
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


def test_hashed_features_keep_to_ranges_of_their_own(make_batch: MakeBatch) -> None:
    document = {"label": "click", "features": [{"name": n, "kind": "categorical"} for n in ("user", "item")]}
    fitted = fit(document)
    embedding = build(fitted, [Scope(("user", "item"))], tokens="hashed", rows=100)
    batch = make_batch(200, schema=fitted)
    (fields,) = embedding(batch.dense, batch.sparse)
    fields[:, :4].sum().backward()
    assert embedding.lookup is not None
    gradient = embedding.lookup.table.grad
    assert gradient is not None
    assert gradient[:50].abs().sum() > 0
    assert gradient[50:].abs().sum() == 0


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


@pytest.mark.parametrize(
    ("scopes", "settings", "message"),
    [
        ([Scope(("usr",))], {}, "'usr', which the schema lacks; did you mean 'user'"),
        ([ALL], {"rows": None}, "embedding.rows is missing; feature 'item' is hashed"),
        ([Scope(("user",))], {"rows": 5}, "embedding.rows is set, but no feature is hashed"),
        ([ALL], {"rows": 2**31 - 1}, "the limit is 2,147,483,647"),
    ],
)
def test_what_cannot_be_laid_out_is_refused(
    fitted: FittedSchema, scopes: list[Scope], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        build(fitted, scopes, **settings)


def test_a_batch_of_other_keys_is_refused(fitted: FittedSchema, make_batch: MakeBatch) -> None:
    other = fit({"label": "click", "features": [{"name": "item", "kind": "categorical"}]})
    batch = make_batch(3, schema=other)
    with pytest.raises(ValueError, match="the model expects"):
        build(fitted, [ALL])(batch.dense, batch.sparse)
