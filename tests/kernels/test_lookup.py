"""Lookup backends: the same forward, gradient and optimiser step, and the definition itself."""

from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from common.errors import ConfigError
from kernels.addressing import Slot, rows_numpy
from kernels.lookup.dispatch import build_lookup, choose
from kernels.lookup.interface import Lookup
from kernels.lookup.layout import TableLayout, TableOptimizer

ROWS, KEYS, BATCH = 50, 4, 16
Kind = Literal["rowwise_adagrad", "adagrad", "sgd"]
Make = Callable[[int], tuple[Tensor, Tensor | None]]
KINDS: tuple[Kind, ...] = ("rowwise_adagrad", "adagrad", "sgd")
# A shared table: two probes of key 0, a vocabulary range of key 1, a pooled key 2 (mean) that shares key 0's slot.
# No slot reads key 3.
SLOTS = (
    Slot(key=0, seed=11, base=0, rows=40, mixed=True),
    Slot(key=0, seed=12, base=0, rows=40, mixed=True),
    Slot(key=1, seed=0, base=40, rows=10, mixed=False),
    Slot(key=2, seed=11, base=0, rows=40, mixed=True, mean=True),
)


def layout(dim: int) -> TableLayout:
    return TableLayout(keys=KEYS, slots=SLOTS, rows=ROWS, dim=dim)


def ragged(seed: int) -> tuple[Tensor, Tensor]:
    """Values and offsets of bags of 0 to 4 values, duplicates among them, vocabulary ids out of range too."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(0, 5, (KEYS * BATCH,), generator=generator)
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
    return torch.randint(-3, 12, (int(lengths.sum()),), generator=generator), offsets


def one_hot(seed: int) -> tuple[Tensor, None]:
    return torch.randint(-3, 12, (KEYS * BATCH,), generator=torch.Generator().manual_seed(seed)), None


def build(backend: Literal["reference", "fbgemm"], dim: int, kind: Kind | None) -> Lookup:
    optimizer = TableOptimizer(kind=kind, learning_rate=0.1) if kind else None
    lookup = build_lookup(layout(dim), optimizer, backend=backend)
    with torch.no_grad():
        lookup.table.copy_(torch.randn(ROWS, dim, generator=torch.Generator().manual_seed(0)))
    return lookup


def by_definition(table: Tensor, values: Tensor, offsets: Tensor | None) -> Tensor:
    """Forward in plain loops: ``[B, S, D]``."""
    if offsets is None:
        offsets = torch.arange(KEYS * BATCH + 1)
    out = torch.zeros(BATCH, len(SLOTS), table.shape[1])
    for s, slot in enumerate(SLOTS):
        for b in range(BATCH):
            bag = slot.key * BATCH + b
            tokens = values[offsets[bag] : offsets[bag + 1]]
            rows = rows_numpy(tokens.numpy(), slot)
            for row in rows:
                out[b, s] += table[row] / (len(rows) if slot.mean else 1)
    return out


@pytest.mark.parametrize("make", [ragged, one_hot])
@pytest.mark.parametrize("dim", [4, 10, 16])
def test_backends_equal_the_definition(make: Make, dim: int) -> None:
    values, offsets = make(1)
    for lookup in (build("reference", dim, None), build("reference", dim, "sgd"), build("fbgemm", dim, "sgd")):
        expected = by_definition(lookup.table.detach(), values, offsets)
        torch.testing.assert_close(lookup(values, offsets).detach(), expected, rtol=1e-5, atol=1e-5)
        for without_gradient in (torch.no_grad(), torch.inference_mode()):
            with without_gradient:
                torch.testing.assert_close(lookup(values, offsets), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("make", [ragged, one_hot])
@pytest.mark.parametrize("dim", [4, 10, 16])
def test_fused_sgd_applies_the_dense_gradient(make: Make, dim: int) -> None:
    values, offsets = make(2)
    dense = build("reference", dim, None)
    weight = torch.randn(BATCH, len(SLOTS), dim)
    (dense(values, offsets) * weight).sum().backward()
    assert dense.table.grad is not None
    for backend in ("reference", "fbgemm"):
        fused = build(backend, dim, "sgd")
        before = fused.table.clone()
        (fused(values, offsets) * weight).sum().backward()
        torch.testing.assert_close((before - fused.table) / 0.1, dense.table.grad, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dim", [4, 10, 16])
@pytest.mark.parametrize("make", [ragged, one_hot])
def test_fbgemm_equals_the_reference_over_ten_steps(kind: Kind, dim: int, make: Make) -> None:
    reference, fbgemm = build("reference", dim, kind), build("fbgemm", dim, kind)
    for step in range(10):
        values, offsets = make(step)
        target = torch.randn(BATCH, len(SLOTS), dim, generator=torch.Generator().manual_seed(step))
        for lookup in (reference, fbgemm):
            lookup.learning_rate = 0.1 / (step + 1)
            (lookup(values, offsets) - target).square().sum().backward()
        torch.testing.assert_close(fbgemm.table, reference.table, rtol=1e-5, atol=1e-5)
    assert reference.state.keys() == fbgemm.state.keys()
    for name, state in reference.state.items():
        torch.testing.assert_close(fbgemm.state[name], state, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("backend", ["reference", "fbgemm"])
def test_rowwise_adagrad_by_hand(backend: Literal["reference", "fbgemm"]) -> None:
    # One value, width 2 (padded by fbgemm), gradient (3, 4): mean square 12.5, a second time 25.
    slot = Slot(key=0, seed=0, base=0, rows=4, mixed=False)
    optimizer = TableOptimizer(kind="rowwise_adagrad", learning_rate=0.5, eps=0.1)
    lookup = build_lookup(TableLayout(keys=1, slots=(slot,), rows=4, dim=2), optimizer, backend=backend)
    gradient = torch.tensor([3.0, 4.0])
    expected = torch.zeros(2)
    for total in (12.5, 25.0):
        (lookup(torch.tensor([2]), None).view(2) * gradient).sum().backward()
        expected -= 0.5 * gradient / (total**0.5 + 0.1)
        torch.testing.assert_close(lookup.table[2], expected)
        torch.testing.assert_close(lookup.state["sum"], torch.tensor([0.0, 0.0, total, 0.0]))
    assert lookup.table[[0, 1, 3]].count_nonzero() == 0


def test_only_touched_rows_change() -> None:
    for backend in ("reference", "fbgemm"):
        lookup = build(backend, 10, "rowwise_adagrad")
        before = lookup.table.clone()
        lookup(torch.tensor([0, 2, 5, 9]), None).sum().backward()
        changed = (lookup.table != before).any(1).nonzero().flatten().tolist()
        touched = {int(rows_numpy(np.array([token]), slot)[0]) for token, slot in zip([0, 0, 2, 5], SLOTS, strict=True)}
        assert changed == sorted(touched)


def test_the_table_moves_between_backends_by_state_dict() -> None:
    reference, fbgemm = build("reference", 10, "sgd"), build("fbgemm", 10, "sgd")
    with torch.no_grad():
        reference.table.fill_(3.0)
    state = reference.state_dict()
    assert list(state) == ["table"]
    fbgemm.load_state_dict(state)
    assert torch.equal(fbgemm.table, torch.full((ROWS, 10), 3.0))
    with pytest.raises(RuntimeError, match="shape"):
        fbgemm.load_state_dict({"table": torch.zeros(ROWS, 9)})
    with pytest.raises(RuntimeError, match="Missing key"):
        fbgemm.load_state_dict({})


def test_fbgemm_without_an_optimiser_is_refused() -> None:
    with pytest.raises(ConfigError, match="use backend reference"):
        build_lookup(layout(4), backend="fbgemm")


def test_auto_takes_fbgemm_only_where_it_fuses_the_update() -> None:
    cpu = torch.device("cpu")
    chosen = {kind: choose(cpu, kind).backend for kind in (*KINDS, "adam", None)}
    assert chosen == dict.fromkeys(KINDS, "fbgemm") | {"adam": "reference", None: "reference"}
