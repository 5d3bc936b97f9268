"""Every lookup backend on every device against the definition: forward, gradient, optimiser steps."""

import importlib.util
import math
from collections.abc import Callable
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from kernels.lookup.dispatch import Backend, build_lookup
from kernels.lookup.interface import Lookup
from kernels.lookup.layout import OptimizerKind, TableOptimizer
from tests.kernels import definition
from tests.kernels.definition import BATCH, CASES, ROWS, SLOTS, Case, layout

Make = Callable[[int], Case]
DIMS = (4, 10, 16, 33, 64, 256)
KINDS: tuple[OptimizerKind, ...] = get_args(OptimizerKind)
CPU, GPU = torch.device("cpu"), torch.device("cuda")
CLOSE: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-5, "check_device": False}

each_case = pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
each_dim = pytest.mark.parametrize("dim", DIMS)


def places(*backends: Backend) -> list[Any]:
    """Backends on both devices, as parameters; the GPU's are left out where there is none."""
    missing = {"fbgemm": not importlib.util.find_spec("fbgemm_gpu"), "triton": not importlib.util.find_spec("triton")}
    found = []
    for backend in backends:
        absent = pytest.mark.skipif(missing.get(backend, False), reason=f"{backend} is not installed")
        compiled = backend == "triton" and torch.cuda.is_available()
        on_cpu = pytest.mark.skipif(compiled, reason="triton compiles for the GPU here")
        on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
        found += [
            pytest.param(backend, CPU, marks=[absent, on_cpu], id=f"{backend}-cpu"),
            pytest.param(backend, GPU, marks=[absent, on_gpu, pytest.mark.gpu], id=f"{backend}-cuda"),
        ]
    return found


each_place = pytest.mark.parametrize(("backend", "device"), places("reference", "fbgemm", "triton"))
each_dense_place = pytest.mark.parametrize(("backend", "device"), places("reference", "triton"))
"""fbgemm has no dense gradient."""


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under its interpreter, Triton takes time for each number of a tile; small ones also make the batch span many."""
    if importlib.util.find_spec("triton") and not torch.cuda.is_available():
        from kernels.lookup.triton import forward, update

        monkeypatch.setattr(forward, "TILE", 256)
        monkeypatch.setattr(update, "TILE", 256)
        monkeypatch.setattr(update, "_CHUNKS", 7)


def build(backend: Backend, device: torch.device, dim: int, kind: OptimizerKind | None) -> Lookup:
    if backend == "fbgemm" and device == CPU and kind == "adam":
        pytest.skip("fbgemm has no fused adam on a CPU")
    optimizer = TableOptimizer(kind=kind, learning_rate=0.1) if kind else None
    lookup = build_lookup(layout(dim), optimizer, backend=backend, device=device)
    with torch.no_grad():
        lookup.table.copy_(start(dim))
    return lookup


def start(dim: int) -> Tensor:
    return torch.randn(ROWS, dim, generator=torch.Generator().manual_seed(dim))


def output_gradient(shape: tuple[int, ...], seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@each_case
@each_dim
@each_place
def test_forward(backend: Backend, device: torch.device, dim: int, make: Make) -> None:
    case = make(1)
    lookup = build(backend, device, dim, "sgd")
    values, offsets, weights = case.on(device)
    expected = definition.pooled(start(dim), case)
    for without_gradient in (torch.no_grad(), torch.inference_mode()):
        with without_gradient:
            found = lookup(values, offsets, weights)
            torch.testing.assert_close(found, expected, **CLOSE)
            assert found.is_contiguous()
            if weights is None:
                torch.testing.assert_close(
                    lookup.unpooled(values, offsets), definition.unpooled(start(dim), case), **CLOSE
                )


@pytest.mark.parametrize(
    ("dim", "make"),
    [(dim, make) for dim in DIMS for make in CASES if dim <= 10 or make is definition.ragged_weighted],
    ids=lambda value: getattr(value, "__name__", None),
)
@each_dense_place
def test_dense_gradient(backend: Backend, device: torch.device, dim: int, make: Make) -> None:
    case = make(2)
    lookup = build(backend, device, dim, None)
    values, offsets, weights = case.on(device)
    grad = output_gradient((BATCH, len(SLOTS), dim), dim)
    (found,) = torch.autograd.grad(lookup(values, offsets, weights), lookup.table, grad.to(device))
    torch.testing.assert_close(found, definition.gradient(grad, case), **CLOSE)
    if weights is None:
        output = lookup.unpooled(values, offsets)
        grad = output_gradient(tuple(output.shape), dim)
        (found,) = torch.autograd.grad(output, lookup.table, grad.to(device))
        torch.testing.assert_close(found, definition.gradient(grad, case), **CLOSE)


def compare(lookup: Lookup, trained: definition.Trained, *, rtol: float = 1e-5) -> None:
    torch.testing.assert_close(lookup.table, trained.table.float(), check_device=False, rtol=rtol, atol=1e-5)
    assert lookup.state.keys() == trained.state.keys()
    for name, state in trained.state.items():
        torch.testing.assert_close(lookup.state[name], state.float(), check_device=False, rtol=rtol, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@each_dim
@each_place
def test_one_step(backend: Backend, device: torch.device, dim: int, kind: OptimizerKind) -> None:
    case = definition.ragged_weighted(3)
    lookup = build(backend, device, dim, kind)
    trained = definition.Trained(start(dim), TableOptimizer(kind=kind))
    grad = output_gradient((BATCH, len(SLOTS), dim), dim)
    lookup(*case.on(device)).backward(grad.to(device))
    trained.step(grad, case, 0.1, 1)
    compare(lookup, trained)


@pytest.mark.parametrize("kind", KINDS)
@each_place
def test_ten_steps_at_changing_learning_rates(backend: Backend, device: torch.device, kind: OptimizerKind) -> None:
    dim = 10
    lookup = build(backend, device, dim, kind)
    trained = definition.Trained(start(dim), TableOptimizer(kind=kind))
    for step in range(10):
        case = CASES[step % len(CASES)](step)
        lookup.learning_rate = learning_rate = 0.1 / (step + 1)
        values, offsets, weights = case.on(device)
        output = lookup.unpooled(values, offsets) if step in (0, 4) else lookup(values, offsets, weights)
        grad = output_gradient(tuple(output.shape), step)
        output.backward(grad.to(device))
        trained.step(grad, case, learning_rate, step + 1)
    compare(lookup, trained)


@pytest.mark.parametrize("kind", KINDS)
@each_place
def test_steps_repeat_to_the_bit(backend: Backend, device: torch.device, kind: OptimizerKind) -> None:
    torch.use_deterministic_algorithms(True)
    try:
        tables = []
        for _ in range(2):
            lookup = build(backend, device, 4, kind)
            for make in (definition.long_bag, definition.ragged_weighted):
                lookup(*make(5).on(device)).square().sum().backward()
            tables.append(lookup.table.clone())
    finally:
        torch.use_deterministic_algorithms(False)
    assert torch.equal(*tables)


@each_place
def test_rowwise_adagrad_by_hand(backend: Backend, device: torch.device) -> None:
    # One value, gradient (3, 4, 0, 0): mean square 6.25, a second time 12.5.
    lookup = build(backend, device, 4, "rowwise_adagrad")
    before = lookup.table.clone().cpu()
    tokens = torch.zeros(1, dtype=torch.int64, device=device)
    bounds = torch.tensor([0] * 4 + [1] + [1] * 8, device=device)  # one id 0 in the first bag of key 1: row 40
    grad = torch.zeros(BATCH, len(SLOTS), 4, device=device)
    grad[0, 2, :2] = torch.tensor([3.0, 4.0])
    expected = before[40].clone()
    for total in (6.25, 12.5):
        lookup(tokens, bounds).backward(grad)
        expected -= 0.1 * torch.tensor([3.0, 4.0, 0.0, 0.0]) / (math.sqrt(total) + 1e-8)
        torch.testing.assert_close(lookup.table[40], expected, **CLOSE)
        torch.testing.assert_close(lookup.state["sum"][40], torch.tensor(total), **CLOSE)
    others = torch.arange(ROWS) != 40
    assert torch.equal(lookup.table.cpu()[others], before[others])
