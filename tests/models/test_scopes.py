"""Scopes: first-order weights in the rows of the vectors, numbers as they are, and scopes that share rows or do not."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from features.datasets.batch import Batch
from features.encoding.fitted import FittedSchema
from kernels.addressing import rows_numpy
from kernels.lookup.dispatch import build_lookup
from kernels.lookup.layout import TableOptimizer
from models.embedding import EmbeddingSettings, FeatureEmbedding, _runs
from models.numeric import NumericEmbedding
from models.scope import Scope, all_features
from tests.models.small import EVERY_KIND, SCHEMA, fit

MakeBatch = Callable[..., Batch]


def build(
    fitted: FittedSchema, scopes: list[Scope], *, optimizer: TableOptimizer | None = None, **settings: Any
) -> FeatureEmbedding:
    torch.manual_seed(0)
    changed = EmbeddingSettings(**({"dim": 4, "rows": 300, "init_std": 0.1} | settings))
    return FeatureEmbedding(changed, fitted, scopes, lambda layout: build_lookup(layout, optimizer))


def table(embedding: FeatureEmbedding) -> Tensor:
    assert embedding.lookup is not None
    return embedding.lookup.table.detach()


def numeric(embedding: FeatureEmbedding, reads: str = "weights") -> NumericEmbedding:
    module = getattr(embedding, reads).numeric
    assert isinstance(module, NumericEmbedding)
    return module


def by_hand(embedding: FeatureEmbedding, batch: Batch, scope: str, feature: str) -> Iterator[Tensor]:
    """For each slot of a sparse feature the pooled rows ``[B, D]`` of the table."""
    (field,) = (f for f in embedding.fields if (f.scope, f.feature) == (scope, feature))
    weights, bags = table(embedding), [bag.numpy() for bag in batch.sparse[feature].to_dense()]
    for slot in field.slots:
        pooled = [weights[rows_numpy(bag, slot)].sum(0) / (max(len(bag), 1) if slot.mean else 1) for bag in bags]
        yield torch.stack(pooled)


@given(st.data())
def test_runs_put_parts_into_any_order(data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.integers(0, 6), min_size=1, max_size=3))
    order = data.draw(st.lists(st.integers(0, sum(sizes) - 1), max_size=15)) if sum(sizes) else []
    split, joined = _runs(order, sizes)
    ends = itertools.accumulate(sizes)
    parts = [np.arange(end - size, end) for size, end in zip(sizes, ends, strict=True) if size]
    assert [sum(each) for each in split] == [len(part) for part in parts]
    assert all(size > 0 for each in split for size in each)
    pieces = [
        piece
        for part, each in zip(parts, split, strict=True)
        for piece in np.split(part, list(itertools.accumulate(each))[:-1])
    ]
    assert [index for at in joined for index in pieces[at]] == order
    if len(set(order)) == len(order):  # then none can be joined of fewer
        part_of = [number for number, size in enumerate(sizes) for _ in range(size)]
        follow = [b == a + 1 and part_of[a] == part_of[b] for a, b in itertools.pairwise(order)]
        assert len(joined) == (1 + follow.count(False) if order else 0)


def test_weights_lie_in_the_rows_of_the_vectors_and_are_what_two_tables_would_give(make_batch: MakeBatch) -> None:
    fitted = fit(EVERY_KIND)
    vectors, weights = all_features(fitted.schema), all_features(fitted.schema, reads="weights")
    packed, first, second = (build(fitted, scopes) for scopes in ([vectors, weights], [vectors], [weights]))
    assert table(packed).shape == (len(table(first)), 5)
    assert table(first).shape[1] == 4
    assert table(second).shape == (len(table(first)), 1)
    with torch.no_grad():
        table(first).copy_(table(packed)[:, :4])
        table(second).copy_(table(packed)[:, 4:])
    first.vectors.load_state_dict(packed.vectors.state_dict())
    second.weights.load_state_dict(packed.weights.state_dict())
    batch = make_batch(40, schema=fitted)
    found = packed(batch.dense, batch.sparse)
    alone = [*first(batch.dense, batch.sparse), *second(batch.dense, batch.sparse)]
    assert [scope.shape for scope in found] == [(40, 44), (40, 11)]
    for one, other in zip(found, alone, strict=True):
        torch.testing.assert_close(one, other)
    pull = [torch.randn_like(scope) for scope in found]
    for scopes in (found, alone):
        sum(((scope * by).sum() for scope, by in zip(scopes, pull, strict=True)), torch.zeros(())).backward()
    gradients = [embedding.lookup.table.grad for embedding in (packed, first, second)]  # type: ignore[union-attr]
    assert all(gradient is not None for gradient in gradients)
    torch.testing.assert_close(gradients[0], torch.cat(gradients[1:], 1))  # type: ignore[arg-type]
    torch.testing.assert_close(numeric(packed).weight.grad, numeric(second).weight.grad)
    torch.testing.assert_close(numeric(packed).missing.grad, numeric(second).missing.grad)  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", ["rowwise_adagrad", "sgd"])
def test_a_fused_update_reaches_vectors_and_weights_in_one_pass(
    fitted: FittedSchema, make_batch: MakeBatch, kind: Any
) -> None:
    scopes = [all_features(fitted.schema), all_features(fitted.schema, reads="weights")]
    rule = TableOptimizer(kind=kind, learning_rate=0.1)
    fused, reference = (build(fitted, scopes, optimizer=each) for each in (rule, None))
    batch = make_batch(20)
    before = table(fused).clone()
    for embedding in (fused, reference):
        vectors, weights = embedding(batch.dense, batch.sparse)
        (vectors.sum() + 3 * weights.square().sum()).backward()
    assert reference.lookup is not None
    gradient = reference.lookup.table.grad
    assert gradient is not None
    rate = torch.full((len(gradient), 1), 0.1)
    if kind == "rowwise_adagrad":  # the row's one step size is of its vector and its weight together
        rate = 0.1 / (gradient.square().mean(1, keepdim=True).sqrt() + 1e-8)
    torch.testing.assert_close(table(fused), before - rate * gradient)
    assert (table(fused) != before)[:, 4].any()


def test_a_weight_is_pooled_as_its_feature_is_and_numbers_have_one_each(make_batch: MakeBatch) -> None:
    fitted = fit(EVERY_KIND)
    names = ("history", "price", "genres", "age", "user")  # a mean, a sum
    embedding = build(fitted, [Scope(names, reads="weights")])
    columns = [
        pl.Series("history", [["i1", "i2"], [], ["i9"]], dtype=pl.List(pl.String)),
        pl.Series("genres", [["g1", "g2"], ["g3"], []], dtype=pl.List(pl.String)),
        pl.Series("age", [2.0, None, 3.0]),
        pl.Series("price", [None, 1.5, -1.0]),
    ]
    batch = make_batch(3, schema=fitted, columns=columns)
    (weights,) = embedding(batch.dense, batch.sparse)
    assert embedding.shapes[0].widths == (1,) * 5
    history, price, genres, age, user = weights.detach().unbind(1)
    for name, found in (("history", history), ("genres", genres), ("user", user)):
        (expected,) = by_hand(embedding, batch, "", name)
        torch.testing.assert_close(found, expected[:, 0])
    w, missing = numeric(embedding).weight.detach(), numeric(embedding).missing
    assert missing is not None
    torch.testing.assert_close(price, torch.tensor([0.0, 1.5, -1.0]) * w[0, 0])
    torch.testing.assert_close(age, torch.stack([2 * w[1, 0], missing.detach()[0, 0], 3 * w[1, 0]]))


def test_weights_alone_take_a_number_a_row(fitted: FittedSchema) -> None:
    embedding = build(fitted, [all_features(fitted.schema, reads="weights")], dim=64, rows=None, memory_mb=0.004)
    assert table(embedding).shape == (1000, 1)


def test_the_memory_counts_the_weights_too(fitted: FittedSchema) -> None:
    scopes = [all_features(fitted.schema), all_features(fitted.schema, reads="weights")]
    assert table(build(fitted, scopes, rows=None, memory_mb=0.004)).shape == (200, 5)


def test_probes_give_a_weight_each(fitted: FittedSchema, make_batch: MakeBatch) -> None:
    scopes = [Scope(("user", "age", "item"), reads=reads) for reads in ("vectors", "weights")]
    embedding = build(fitted, scopes, probes=2, features={"item": {"probes": 3}})
    assert [shape.widths for shape in embedding.shapes] == [(8, 8, 12), (2, 1, 3)]
    batch = make_batch(9)
    vectors, weights = (scope.detach() for scope in embedding(batch.dense, batch.sparse))
    item = list(by_hand(embedding, batch, "", "item"))
    torch.testing.assert_close(vectors[:, 16:], torch.cat([rows[:, :4] for rows in item], 1))
    torch.testing.assert_close(weights[:, 3:], torch.cat([rows[:, 4:] for rows in item], 1))


def test_scopes_of_one_name_share_rows_whatever_they_read_and_others_do_not(
    fitted: FittedSchema, make_batch: MakeBatch
) -> None:
    scopes = [
        Scope(("item", "age")),
        Scope(("user", "item", "price"), reads="weights"),  # a user has no vector here
        Scope(("price", "age"), reads="numbers"),
        Scope(("user", "age"), "gate"),
        Scope(("history", "item"), reads="weights"),
        Scope(("history", "item")),
        Scope(("item",), "wide", reads="weights"),
    ]
    embedding = build(fitted, scopes, rows=100_000)
    batch = make_batch(12)
    found = embedding(batch.dense, batch.sparse)
    owners = {(field.scope, field.owner): field.slots[0] for field in embedding.fields}
    assert sorted(owners) == [("", "item"), ("", "user"), ("gate", "user"), ("wide", "item")]
    assert len({(slot.seed, slot.base) for slot in owners.values()}) == 4
    numerics: dict[str, int] = {"vectors": 0, "weights": 0}
    for scope, shape, tensor in zip(scopes, embedding.shapes, found, strict=True):
        assert tensor.shape == (12, shape.width)
        if scope.reads == "numbers":
            continue
        for name, part in zip(scope.features, tensor.detach().split(shape.widths, dim=1), strict=True):
            if name in ("age", "price"):
                values = batch.dense[:, ["age", "price"].index(name)]
                vector = numeric(embedding, scope.reads).weight[numerics[scope.reads]]
                numerics[scope.reads] += 1
                there = ~values.isnan()
                torch.testing.assert_close(part[there], (values[there, None] * vector).detach())
                continue
            (expected,) = by_hand(embedding, batch, scope.name, name)
            torch.testing.assert_close(part, expected[:, :4] if scope.reads == "vectors" else expected[:, 4:])


def test_a_scope_of_its_own_name_learns_in_rows_of_its_own(fitted: FittedSchema, make_batch: MakeBatch) -> None:
    embedding = build(fitted, [Scope(("item",)), Scope(("item",), "wide", reads="weights")], rows=100_000)
    batch = make_batch(8)
    vectors, weights = embedding(batch.dense, batch.sparse)
    assert embedding.lookup is not None
    touched = []
    for scope in (vectors, weights):
        (gradient,) = torch.autograd.grad(scope.sum(), embedding.lookup.table, retain_graph=True)
        touched.append(gradient != 0)
    assert not touched[0][:, 4].any()
    assert not touched[1][:, :4].any()
    assert not (touched[0].any(1) & touched[1].any(1)).any()


def test_numbers_come_as_they_are_with_an_indicator_where_they_can_be_missing(
    fitted: FittedSchema, make_batch: MakeBatch
) -> None:
    scopes = [Scope(("price", "age"), reads="numbers"), Scope(("age",), reads="numbers")]
    embedding = build(fitted, scopes, rows=None)
    assert embedding.lookup is None
    assert [shape.widths for shape in embedding.shapes] == [(1, 2), (2,)]
    columns = [pl.Series("age", [2.0, None, 0.0]), pl.Series("price", [None, 1.5, -1.0])]
    batch = make_batch(3, columns=columns)
    both, age = embedding(batch.dense, batch.sparse)
    assert both.tolist() == [[0.0, 2.0, 0.0], [1.5, 0.0, 1.0], [-1.0, 0.0, 0.0]]
    assert torch.equal(age, both[:, 1:])
    assert not list(embedding.parameters())


def test_a_scope_without_features_gives_no_columns(fitted: FittedSchema, make_batch: MakeBatch) -> None:
    batch = make_batch(5)
    for others in ([], [Scope(("item",), reads="weights")], [Scope(("age",), reads="numbers")]):
        found = build(fitted, [Scope(()), *others], rows=None if "item" not in str(others) else 300)(
            batch.dense, batch.sparse
        )
        assert found[0].shape == (5, 0)
        assert len(found) == 1 + len(others)


def test_numerics_alone_have_weights_and_vectors_without_a_table(make_batch: MakeBatch) -> None:
    fitted = fit({"label": "click", "features": [f for f in SCHEMA["features"] if f["kind"] == "numeric"]})
    embedding = build(fitted, [all_features(fitted.schema), all_features(fitted.schema, reads="weights")], rows=None)
    assert embedding.lookup is None
    batch = make_batch(6, schema=fitted)
    vectors, weights = embedding(batch.dense, batch.sparse)
    torch.testing.assert_close(vectors, numeric(embedding, "vectors")(batch.dense).flatten(1))
    torch.testing.assert_close(weights, numeric(embedding)(batch.dense).flatten(1))
    assert numeric(embedding, "vectors").weight.shape == (2, 4)
    assert numeric(embedding).weight.shape == (2, 1)
