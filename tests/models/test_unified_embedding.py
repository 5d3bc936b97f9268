"""Unified embedding: what the sharing of rows between features does, and does not do, to a model.

The laws are those of Coleman et al. 2023, "Unified Embedding", arXiv 2305.12102.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

from common.errors import ConfigError
from common.settings import validate
from features.encoding.fitted import FittedSchema
from kernels.addressing import Slot, rows_numpy, slot_seed
from kernels.collisions import Readers, collisions
from kernels.lookup.dispatch import build_lookup
from kernels.lookup.layout import TableLayout
from models.ranker import Ranker
from models.registry import Architecture, build_model
from tests.models.small import vocabulary_schema

ROOT = Path(__file__).parents[2]
SIZES = {"user": 40, "item": 60, "city": 6}

_ROWS_OF_TOKENS = """
import json
import numpy as np
from features.encoding.tokens import token
from kernels.addressing import rows_numpy
from kernels.lookup.dispatch import build_lookup
from models.embedding import EmbeddingSettings, FeatureEmbedding
from models.scope import Scope
from tests.models.small import SCHEMA, fit

scopes = [Scope(("user", "item", "history")), Scope(("item",), "gate")]
settings = EmbeddingSettings(dim=4, probes=2, rows=100_000, vocabularies="hashed")
layout = FeatureEmbedding(settings, fit(SCHEMA), scopes, build_lookup).lookup.layout
tokens = np.array([token(text) for text in ("", "a", "7", "ü")])
print(json.dumps([rows_numpy(tokens, slot).tolist() for slot in layout.slots]))
"""


def test_every_process_finds_the_same_rows() -> None:
    found = []
    for seed in ("0", "1"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", _ROWS_OF_TOKENS]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        found.append(json.loads(done.stdout))
    assert found[0] == found[1]
    slots = found[0]
    # Two probes of users, items and histories, and of items again in the other scope; a list reads its owner's rows.
    assert len(slots) == 8
    assert slots[2:4] == slots[4:6]
    assert len({tuple(rows) for rows in slots}) == 6


def ranker(schema: FittedSchema, embedding: dict[str, Any]) -> Ranker:
    document = {
        "name": "finalmlp",
        "settings": {"mlp1": {"hidden": [8]}, "mlp2": {"hidden": [8]}, "gates": None},
        "embedding": {"dim": 4, "init_std": 0.1, **embedding},
    }
    torch.manual_seed(0)
    return build_model(validate(Architecture, document, source="test", error=ConfigError), schema)


def losses(model: Ranker, ids: Tensor, label: Tensor, steps: int) -> list[float]:
    sparse = KeyedJaggedTensor(list(SIZES), ids.flatten(), lengths=torch.ones(ids.numel(), dtype=torch.int64))
    descent = torch.optim.SGD(model.parameters(), lr=0.5)
    found = []
    for _ in range(steps):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(model(torch.empty(len(label), 0), sparse), label)
        descent.zero_grad()
        loss.backward()
        descent.step()
        found.append(loss.item())
    return found


def test_in_a_table_without_collisions_the_loss_is_that_of_full_tables() -> None:
    fitted = vocabulary_schema(SIZES)
    full = ranker(fitted, {})
    unified = ranker(fitted, {"vocabularies": "unified", "rows": 2_000_000})
    unified.load_state_dict({k: v for k, v in full.state_dict().items() if "lookup" not in k}, strict=False)
    assert full.embedding.lookup is not None
    assert unified.embedding.lookup is not None
    readers = []
    with torch.no_grad():
        for one, other in zip(full.embedding.fields, unified.embedding.fields, strict=True):
            every = np.arange(SIZES[one.feature])
            rows = rows_numpy(every, other.slots[0])
            unified.embedding.lookup.table[rows] = full.embedding.lookup.table[rows_numpy(every, one.slots[0])]
            readers.append(Readers(other.slots, every))
    _, usage = collisions(readers)
    assert usage.measured == sum(SIZES.values())  # no two values share a row
    draw = torch.Generator().manual_seed(1)
    ids = torch.stack([torch.randint(0, size, (64,), generator=draw) for size in SIZES.values()])
    label = torch.randint(0, 2, (64,), generator=draw).float()
    expected = losses(full, ids, label, steps=20)
    assert losses(unified, ids, label, steps=20) == pytest.approx(expected, rel=1e-5)
    assert expected[-1] < 0.9 * expected[0]


HEADS = torch.tensor([[1.0, 2.0, 0.5], [-1.0, 0.3, 2.0]])  # theta of either feature


def test_the_gradient_of_a_shared_row_is_a_sum_over_the_features_heads() -> None:
    # Every value of two features reads the one row there is.
    slots = tuple(Slot(key=key, seed=slot_seed(name, 0), base=0, rows=1, mixed=True) for key, name in enumerate("ts"))
    lookup = build_lookup(TableLayout(keys=2, slots=slots, rows=1, dim=3))
    with torch.no_grad():
        lookup.table.copy_(torch.tensor([[0.2, -0.1, 0.4]]))
    values = torch.arange(10)
    label = torch.tensor([1.0, 0.0, 0.0, 1.0, 1.0])
    logits = (lookup(values) * HEADS).sum(2)  # [B, S]: what each feature says
    torch.nn.functional.binary_cross_entropy_with_logits(logits.sum(1), label, reduction="sum").backward()
    residuals = (logits.sum(1).sigmoid() - label).detach()
    assert lookup.table.grad is not None
    torch.testing.assert_close(lookup.table.grad[0], HEADS[0] * residuals.sum() + HEADS[1] * residuals.sum())


def _least_error(t: tuple[int, int], s: tuple[int, int], heads: Tensor) -> float:
    """Fit a sum of what two values of t and two of s say, by the rows that each of the four reads."""
    slots = tuple(Slot(key=key, seed=0, base=0, rows=4, mixed=False) for key in (0, 1))
    lookup = build_lookup(TableLayout(keys=2, slots=slots, rows=4, dim=2))
    values = torch.tensor([t[0], t[0], t[1], t[1], s[0], s[1], s[0], s[1]])
    target = torch.tensor([3.5, 1.0, -0.5, -3.0])  # 3 or -1 for t, 0.5 or -2 for s
    descent = torch.optim.SGD([lookup.table], lr=0.05)
    error = torch.zeros(())
    for _ in range(400):
        error = ((lookup(values) * heads).sum((1, 2)) - target).square().sum()
        descent.zero_grad()
        error.backward()
        descent.step()
    return error.item()


def test_with_orthogonal_heads_only_collisions_within_a_feature_cost() -> None:
    orthogonal, parallel = torch.eye(2), torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    for heads in (orthogonal, parallel):
        assert _least_error((0, 1), (2, 3), heads) < 1e-6
    assert _least_error((0, 1), (0, 1), orthogonal) < 1e-6
    assert _least_error((0, 1), (0, 1), parallel) == pytest.approx(1.125, rel=1e-3)
    for heads in (orthogonal, parallel):
        assert _least_error((0, 0), (2, 3), heads) == pytest.approx(16.0, rel=1e-3)
