"""Memory of a table: told and checked before anything is allocated."""

import pytest
import torch

from common.errors import ConfigError
from kernels.addressing import Slot
from kernels.lookup import memory
from kernels.lookup.dispatch import build_lookup
from kernels.lookup.layout import OptimizerKind, TableLayout, TableOptimizer
from kernels.lookup.memory import Footprint, free_memory

CPU = torch.device("cpu")


def layout(rows: int) -> TableLayout:
    return TableLayout(keys=1, slots=(Slot(key=0, seed=0, base=0, rows=rows, mixed=True),), rows=rows, dim=10)


@pytest.mark.parametrize(
    ("kind", "state"), [("rowwise_adagrad", 400), ("adagrad", 4000), ("adam", 8000), ("sgd", 0), (None, 12000)]
)
def test_it_is_that_of_the_tensors(kind: OptimizerKind | None, state: int) -> None:
    optimizer = TableOptimizer(kind=kind) if kind else None
    footprint = Footprint.of(layout(100), optimizer)
    assert (footprint.table, footprint.state) == (4000, state)
    lookup = build_lookup(layout(100), optimizer)
    assert lookup.table.nbytes == footprint.table
    if optimizer:
        assert sum(tensor.nbytes for tensor in lookup.state.values()) == footprint.state
    assert str(Footprint.of(layout(1_000_000), optimizer)).startswith("table 40.0 MB, optimiser state ")


def test_a_table_that_does_not_fit_is_refused_before_it_is_allocated() -> None:
    rows = 2**31 - 1
    wide = TableLayout(keys=1, slots=layout(rows).slots, rows=rows, dim=1024)  # 8.8 TB
    assert Footprint.of(wide, None).table > free_memory(CPU)
    with pytest.raises(ConfigError, match=r"^a table of 8,796\.1 GB and 8\.6 GB for its optimiser need more than the"):
        build_lookup(wide, TableOptimizer())
    with pytest.raises(ConfigError, match=r"^a table of 8,796\.1 GB need more than the .* free on cpu; lower"):
        build_lookup(wide)


def test_a_dense_optimisers_state_that_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    footprint = Footprint.of(layout(100), None)
    for free, refused in ((footprint.state, False), (footprint.state - 1, True)):
        monkeypatch.setattr(memory, "free_memory", lambda device, free=free: free)
        if refused:
            with pytest.raises(ConfigError, match=r"set a fused optimizer\.embedding"):
                footprint.check_state(CPU)
        else:
            footprint.check_state(CPU)


def test_free_memory_is_between_nothing_and_all_there_is() -> None:
    import os

    assert 0 < free_memory(CPU) <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
