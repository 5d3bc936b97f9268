"""fbgemm's table-batched embedding: the reference's numbers for padded widths, and a cache that hides nothing."""

import pytest
import torch

from common.errors import ConfigError
from kernels.addressing import Slot
from kernels.lookup.dispatch import build_lookup, choose
from kernels.lookup.layout import OptimizerKind, TableLayout, TableOptimizer
from kernels.lookup.tbe import TbeLookup

SLOTS = (
    Slot(key=0, seed=1, base=0, rows=20, mixed=True),
    Slot(key=0, seed=2, base=0, rows=20, mixed=True),
    Slot(key=1, seed=1, base=0, rows=20, mixed=True, mean=True),
)
VALUES, OFFSETS = torch.tensor([3, 3, 7, 1, 1, 9, 9, 9, 2]), torch.tensor([0, 2, 2, 3, 5, 5, 9])


def compare(dim: int, kind: OptimizerKind, device: torch.device, *, cached: bool) -> None:
    """Five steps of both, with weights, without pooling, at changing learning rates, writing to the table between."""
    optimizer = TableOptimizer(kind=kind, learning_rate=0.1)
    layout = TableLayout(keys=2, slots=SLOTS, rows=20, dim=dim)
    reference = build_lookup(layout, optimizer, backend="reference", device=device)
    tbe = TbeLookup(layout, optimizer, device, cached=cached)
    values, offsets = VALUES.to(device), OFFSETS.to(device)
    draw = torch.Generator().manual_seed(dim)
    for step in range(5):
        if step % 3 == 0:
            rows = torch.randn(20, dim, generator=draw).to(device)
            with torch.no_grad():
                reference.table.copy_(rows)
                tbe.table.copy_(rows)
        weights = torch.rand(9, generator=draw).to(device)
        target = torch.randn(3, 3, dim, generator=draw).to(device)
        for lookup in (reference, tbe):
            lookup.learning_rate = 0.1 / (step + 1)
            (lookup(values, offsets, weights) - target).square().sum().backward()
        torch.testing.assert_close(tbe.table, reference.table, rtol=1e-5, atol=1e-5, check_device=False)
    for lookup in (reference, tbe):
        lookup.unpooled(values, offsets).square().sum().backward()
    torch.testing.assert_close(tbe.table, reference.table, rtol=1e-5, atol=1e-5, check_device=False)
    assert tbe.state.keys() == reference.state.keys()
    for name, state in reference.state.items():
        torch.testing.assert_close(tbe.state[name], state, rtol=1e-5, atol=1e-5, check_device=False)
    with torch.no_grad():
        torch.testing.assert_close(tbe(values, offsets), reference(values, offsets), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["rowwise_adagrad", "adagrad", "sgd"])
@pytest.mark.parametrize("dim", [4, 10, 33])
def test_it_equals_the_reference_on_a_cpu(dim: int, kind: OptimizerKind) -> None:
    compare(dim, kind, torch.device("cpu"), cached=False)


@pytest.mark.gpu
@pytest.mark.parametrize("cached", [False, True], ids=["on the GPU", "cached"])
@pytest.mark.parametrize("kind", ["rowwise_adagrad", "adagrad", "adam", "sgd"])
@pytest.mark.parametrize("dim", [4, 10, 33])
def test_it_equals_the_reference_on_a_gpu(dim: int, kind: OptimizerKind, cached: bool) -> None:
    compare(dim, kind, torch.device("cuda"), cached=cached)


def test_it_is_taken_where_a_table_exceeds_the_gpu() -> None:
    gpu = torch.device("cuda")
    choice = choose(gpu, "rowwise_adagrad", fits=False)
    assert choice.backend == "fbgemm"
    assert "exceeds the GPU's memory" in choice.reason
    assert choose(gpu, "rowwise_adagrad", "fbgemm").reason == "it was asked for"


def test_what_a_cpu_has_not_is_refused() -> None:
    layout = TableLayout(keys=2, slots=SLOTS, rows=20, dim=4)
    for optimizer, cached in ((TableOptimizer(kind="adam"), False), (TableOptimizer(), True)):
        with pytest.raises(ConfigError, match="neither a cache nor Adam on a CPU"):
            TbeLookup(layout, optimizer, torch.device("cpu"), cached=cached)
