"""Comparison methods: their definitions in NumPy, their memory, and what they refuse."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

from common.errors import ConfigError
from common.mixing import mix64
from common.settings import validate
from features.datasets.dataset import ClickDataset
from features.datasets.feed import Feed
from features.datasets.prepared import PreparedSet
from features.encoding.fitted import FittedSchema
from features.preparation.plan import Inputs
from features.preparation.prepare import prepare
from features.schema import parse_schema
from kernels.addressing import Slot, fastrange32_numpy, rows_numpy
from kernels.lookup.dispatch import build_lookup
from kernels.lookup.layout import TableOptimizer
from kernels.lookup.quantized import QuantizedLookup
from models.comparison import Robe, RobeSettings
from models.embedding import EmbeddingSettings, FeatureEmbedding
from models.layout import lay_out
from models.scope import Scope, all_features
from tests.models.small import SCHEMA, fit, vocabulary_schema
from training.artifact import Artifact
from training.loop import train
from training.run import RunSettings
from training.scoring import judge

SIZES = {"user": 40, "sex": 4, "item": 30}
METHODS: dict[str, dict[str, Any]] = {
    "multihash": {"vocabularies": "hashed", "comparison": {"method": "multihash"}},
    "quotient_remainder": {"vocabularies": "hashed", "comparison": {"method": "quotient_remainder"}},
    "robe": {"vocabularies": "unified", "comparison": {"method": "robe"}},
}
FULL = {"sex": {"rows": "full"}}


def table_settings(method: str, **changes: Any) -> EmbeddingSettings:
    document = {"dim": 4, "init_range": 0.05, "features": FULL, **METHODS[method], **changes}
    return validate(EmbeddingSettings, document, source="embedding", error=ConfigError)


def embed(
    method: str, *, fitted: FittedSchema | None = None, optimizer: TableOptimizer | None = None, **changes: Any
) -> FeatureEmbedding:
    """The embedding of a method, of all features as one scope."""
    fitted = fitted or vocabulary_schema(SIZES)
    scope = Scope(tuple(feature.name for feature in fitted.schema.features))
    torch.manual_seed(0)
    return FeatureEmbedding(
        table_settings(method, **changes), fitted, [scope], lambda layout: build_lookup(layout, optimizer)
    )


def every_id(sizes: dict[str, int] = SIZES) -> NDArray[np.int64]:
    """Ids ``[features, rows]`` in which each feature has each of its ids."""
    rows = np.arange(max(sizes.values()))
    return np.stack([rows % size for size in sizes.values()])


def read(embedding: FeatureEmbedding, ids: NDArray[np.int64]) -> torch.Tensor:
    """Vectors ``[rows, slots, D]`` of ids ``[features, rows]``."""
    (fields,) = embedding.arrange(
        torch.zeros(ids.shape[1], 0), embedding.look_up_plain(torch.from_numpy(ids).flatten())
    )
    vectors: torch.Tensor = fields.unflatten(1, (-1, slots_and_table(embedding)[1].shape[1]))
    return vectors


def slots_and_table(embedding: FeatureEmbedding) -> tuple[tuple[Slot, ...], NDArray[np.float32]]:
    assert embedding.lookup is not None
    return embedding.lookup.layout.slots, embedding.lookup.table.detach().numpy()


def hashes(ids: NDArray[np.int64], slot: Slot) -> NDArray[np.uint64]:
    return mix64(ids.view(np.uint64) ^ np.uint64(slot.seed))


def test_multihash_sums_rows_of_several_hashes_and_reads_one_of_full_rows() -> None:
    embedding = embed("multihash", rows=20, comparison={"method": "multihash", "hashes": 3})
    slots, table = slots_and_table(embedding)
    ids = every_id()
    for position, slot in enumerate(slots):
        expected = table[rows_numpy(ids[position], slot)]
        if slot.mixed:
            first = hashes(ids[position], slot)
            for j in (1, 2):
                expected = expected + table[slot.base + fastrange32_numpy(mix64(first + np.uint64(j)), slot.rows)]
        np.testing.assert_allclose(read(embedding, ids)[:, position].detach(), expected, rtol=1e-6)
    assert [slot.mixed for slot in slots] == [True, False, True]


def test_quotient_remainder_multiplies_two_rows_and_begins_as_the_remainders() -> None:
    embedding = embed("quotient_remainder", rows=40)
    slots, table = slots_and_table(embedding)
    ids = every_id()
    vectors = read(embedding, ids).detach().numpy()
    for position, (slot, size) in enumerate(zip(slots, SIZES.values(), strict=True)):
        if not slot.mixed:
            np.testing.assert_array_equal(vectors[:, position], table[slot.base + ids[position]])
            continue
        m = max(m for m in range(1, slot.rows) if m + math.ceil(size / m) <= slot.rows)
        quotients = table[slot.base + m + ids[position] // m]
        remainders = table[slot.base + ids[position] % m]
        np.testing.assert_allclose(vectors[:, position], quotients * remainders, rtol=1e-6)
        assert np.abs(quotients - 1).max() <= 0.0501
        assert np.abs(remainders).max() <= 0.0501
        assert len(np.unique(vectors[:size, position], axis=0)) == size


@settings(max_examples=30, deadline=None)
@given(st.integers(3, 2_000), st.integers(1, 2_000))
def test_quotient_remainder_tells_all_ids_apart_within_its_rows_or_refuses(size: int, rows: int) -> None:
    fitted = vocabulary_schema({"user": size})
    least = min(m + math.ceil(size / m) for m in range(1, size + 1))
    if rows < least:
        message = f"needs {least} rows to tell the {size:,} ids of 'user' apart, and its range has {rows};"
        with pytest.raises(ConfigError, match=message):
            embed("quotient_remainder", fitted=fitted, rows=rows, features={})
        return
    embedding = embed("quotient_remainder", fitted=fitted, rows=rows, features={}, init_range=None, init_std=1.0)
    vectors = read(embedding, np.arange(size)[None]).detach().numpy()
    assert len(np.unique(vectors, axis=0)) == size


@pytest.mark.parametrize("method", ["multihash", "quotient_remainder", "robe"])
def test_a_method_reads_a_quantized_table_of_any_width(method: str) -> None:
    embedding = embed(method, rows=60, dim=5)
    exact = read(embedding, every_id()).detach()
    assert embedding.lookup is not None
    embedding.lookup = QuantizedLookup(embedding.lookup, "fp16")
    with torch.no_grad():
        rounded = embedding.look_up_plain(torch.from_numpy(every_id()).flatten())
    assert rounded is not None
    torch.testing.assert_close(rounded.flatten(), exact.flatten(), rtol=2e-3, atol=1e-3)


@pytest.mark.parametrize("signed", [False, True])
def test_robe_reads_numbers_in_line_around_a_circle(signed: bool) -> None:
    embedding = embed("robe", rows=5, probes=2, comparison={"method": "robe", "signed": signed})
    slots, table = slots_and_table(embedding)
    ids = every_id()
    vectors = read(embedding, ids).detach().numpy()
    feature_of = [0, 0, 1, 1, 2, 2]
    wrapped = False
    for position, slot in enumerate(slots):
        values = ids[feature_of[position]]
        if not slot.mixed:
            np.testing.assert_array_equal(vectors[:, position], table[slot.base + values])
            continue
        circle = table[slot.base : slot.base + slot.rows].ravel()
        hashed = hashes(values, slot)
        starts = fastrange32_numpy(hashed, len(circle))
        expected = np.take(circle, starts[:, None] + np.arange(4), mode="wrap")
        signs = 1 - 2 * (hashed & np.uint64(1)).astype(int) if signed else np.ones(len(values))
        np.testing.assert_array_equal(vectors[:, position], expected * signs[:, None])
        wrapped = wrapped or bool((starts > len(circle) - 4).any())
        assert not signed or set(signs) == {-1, 1}
        assert len(set(starts % 4)) == 4  # not at rows only
    assert wrapped


def test_a_feature_reads_the_same_numbers_whatever_stands_beside_it() -> None:
    few, many = vocabulary_schema({"item": 30}), vocabulary_schema({"user": 40, "item": 30})
    alone = read(embed("robe", fitted=few, rows=50, features={}), every_id({"item": 30}))
    beside = read(embed("robe", fitted=many, rows=50, features={}), every_id({"user": 40, "item": 30}))
    torch.testing.assert_close(beside[:30, 1], alone[:, 0])


@pytest.mark.parametrize("method", METHODS)
def test_the_table_is_the_largest_that_fits_into_the_memory(method: str) -> None:
    slots, table = slots_and_table(embed(method, memory_mb=45 * 4 * 4 / 1e6 + 1e-6))
    assert table.shape == (45, 4)
    assert max(slot.base + slot.rows for slot in slots) == 45


@pytest.mark.parametrize("method", METHODS)
def test_every_number_of_the_table_that_is_read_gets_its_gradient_and_no_other(method: str) -> None:
    embedding = embed(method, rows=41)
    assert embedding.lookup is not None
    table = embedding.lookup.table
    ids = every_id()[:, :3]
    weights = torch.randn(3, 3, 4)
    (gradient,) = torch.autograd.grad((read(embedding, ids) * weights).sum(), table)
    # The vectors are at most quadratic in the table, so a central difference is exact but for rounding.
    with torch.no_grad():
        numeric = torch.zeros_like(table)
        for i in range(table.numel()):
            saved, step = table.view(-1)[i].item(), 0.25
            ends = []
            for end in (saved + step, saved - step):
                table.view(-1)[i] = end
                ends.append((read(embedding, ids) * weights).sum())
            table.view(-1)[i] = saved
            numeric.view(-1)[i] = (ends[0] - ends[1]) / (2 * step)
    torch.testing.assert_close(gradient, numeric, rtol=1e-4, atol=1e-5)
    assert 0 < gradient.count_nonzero() < gradient.numel()


@pytest.mark.parametrize("method", METHODS)
def test_weights_multiply_the_vectors(method: str) -> None:
    embedding = embed(method, rows=41)
    ids, weights = every_id(), torch.rand(3, 40)
    sparse = KeyedJaggedTensor(
        keys=list(SIZES),
        values=torch.from_numpy(ids).flatten(),
        weights=weights.flatten(),
        lengths=torch.ones(120).long(),
    )
    (weighted,) = embedding(torch.zeros(40, 0), sparse)
    torch.testing.assert_close(weighted.unflatten(1, (3, 4)), read(embedding, ids) * weights.T.unsqueeze(2))


@pytest.mark.parametrize("method", METHODS)
def test_first_order_weights_are_the_last_number_of_wider_vectors(method: str) -> None:
    fitted, ids = vocabulary_schema(SIZES), torch.from_numpy(every_id()).flatten()
    scopes = [all_features(fitted.schema), all_features(fitted.schema, reads="weights")]
    packed = FeatureEmbedding(table_settings(method, rows=41), fitted, scopes, build_lookup)
    wider = embed(method, rows=41, dim=5)
    assert wider.lookup is not None
    assert packed.lookup is not None
    with torch.no_grad():
        packed.lookup.table.copy_(wider.lookup.table)
    vectors, weights = packed.arrange(torch.zeros(40, 0), packed.look_up_plain(ids))
    found = torch.cat([vectors.unflatten(1, (3, 4)), weights.unsqueeze(2)], 2)
    torch.testing.assert_close(found, read(wider, every_id()))


def test_an_id_out_of_range_is_an_unseen_value_to_quotient_remainder() -> None:
    embedding = embed("quotient_remainder", rows=41)
    vectors = read(embedding, np.array([[-1, 40, 1], [-1, 4, 1], [-1, 30, 1]]))
    assert torch.equal(vectors[0], vectors[2])
    assert torch.equal(vectors[1], vectors[2])


TOKENS = {"label": "click", "features": [{"name": "item", "kind": "categorical"}]}


@pytest.mark.parametrize(
    ("method", "changes", "message"),
    [
        ("robe", {"fitted": fit(SCHEMA), "features": {}, "rows": 50}, "embeds one value a feature, and 'history' is a"),
        ("robe", {"optimizer": TableOptimizer(), "rows": 50}, "optimizer.embedding: dense_adam, not rowwise_adagrad"),
        (
            "quotient_remainder",
            {"rows": 60, "probes": 2},
            "the same rows by every probe of 'user'; set its probes to 1",
        ),
        ("quotient_remainder", {"rows": 12}, "needs 13 rows to tell the 40 ids of 'user' apart"),
        (
            "quotient_remainder",
            {"vocabularies": "unified", "rows": 60},
            "give 'user' encoding: vocabulary in the schema",
        ),
        (
            "quotient_remainder",
            {"fitted": fit(TOKENS), "tokens": "hashed", "features": {}, "rows": 60},
            "needs ids and rows of the feature's own; give 'item'",
        ),
        ("multihash", {"comparison": {"method": "multihsh"}}, "method 'multihsh' is unknown; known: 'multihash'"),
        ("multihash", {"memory_mb": 0.00001}, "embedding.memory_mb 1e-05 is too small"),
    ],
)
def test_what_a_method_cannot_do_is_refused(method: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        embed(method, **changes)


def test_a_circle_longer_than_a_hash_can_reach_is_refused() -> None:
    fitted = vocabulary_schema(SIZES)
    fields, layout = lay_out(table_settings("robe", rows=2**30), fitted, [Scope(tuple(SIZES))], 4)
    lookup = build_lookup(layout, device=torch.device("meta"))
    with pytest.raises(ConfigError, match="at most 2,147,483,647 numbers as one circle, not 4,294,967,296"):
        Robe(RobeSettings(method="robe"), fields, fitted, lookup)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of users, items and whether users are odd, who click on odd items."""
    folder = tmp_path_factory.mktemp("log")
    draw = np.random.default_rng(0)
    user, item = draw.integers(0, 60, 4000), draw.integers(0, 50, 4000)
    log = pl.DataFrame({"user": user, "item": item, "sex": user % 2, "click": (user + item) % 2})
    log.write_parquet(folder / "log.parquet")
    features = [{"name": name, "kind": "categorical", "encoding": "vocabulary"} for name in ("user", "sex", "item")]
    schema = parse_schema({"label": "click", "features": features}, source="test")
    prepare(schema, Inputs([str(folder / "log.parquet")]), folder / "prepared")
    return folder / "prepared"


@pytest.mark.parametrize("method", METHODS)
def test_a_method_is_trained_by_a_run_file_and_scores_the_same_from_its_artifact(
    method: str, prepared: Path, tmp_path: Path
) -> None:
    document = {
        "data": str(prepared),
        "output": str(tmp_path / "run"),
        "model": {"name": "dcnv2", "cross_layers": 1, "mlp": {"hidden": [16]}},
        "embedding": {"dim": 4, "init_range": 0.05, "memory_mb": 0.001, "features": FULL, **METHODS[method]},
        "optimizer": {"learning_rate": 0.01, "embedding": "dense_adam"},
        "training": {"batch_size": 128, "epochs": 8},
        "machine": {"compile": False, "precision": "fp32", "threads": 1},
    }
    outcome = train(validate(RunSettings, document, source="run", error=ConfigError))
    auc = outcome.reports["test"].metric("auc").value
    assert auc is not None
    assert auc > 0.8
    loaded = Artifact.load(outcome.artifact)
    assert loaded.model.embedding.lookup is not None
    assert 4 * loaded.model.embedding.lookup.table.numel() <= 1000
    test = Feed(ClickDataset(PreparedSet(prepared), "test", batch_size=512, shuffle=False))
    assert judge(loaded.model, test) == outcome.reports["test"]
