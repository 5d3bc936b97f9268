"""Lookups as models see them: what an update touches, the state_dict, and which backend is picked."""

from typing import get_args

import pytest
import torch

from common.errors import ConfigError
from kernels.addressing import rows_numpy
from kernels.lookup.dispatch import build_lookup, choose
from kernels.lookup.layout import OptimizerKind, TableOptimizer
from tests.kernels.definition import ROWS, SLOTS, layout


@pytest.mark.parametrize("backend", ["reference", "fbgemm", "triton"])
def test_only_touched_rows_change(backend: str) -> None:
    lookup = build_lookup(layout(10), TableOptimizer(), backend=backend)  # type: ignore[arg-type]
    tokens = torch.tensor([0, 2, 5, 9])
    lookup(tokens, None).sum().backward()
    changed = lookup.table.any(1).nonzero().flatten().tolist()
    assert changed == sorted({int(rows_numpy(tokens[slot.key : slot.key + 1].numpy(), slot)[0]) for slot in SLOTS})


def test_the_table_moves_between_backends_by_state_dict() -> None:
    reference, fbgemm = (build_lookup(layout(10), TableOptimizer(), backend=b) for b in ("reference", "fbgemm"))
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
    chosen = {kind: choose(torch.device("cpu"), kind).backend for kind in (*get_args(OptimizerKind), None)}
    assert chosen == {
        "rowwise_adagrad": "fbgemm",
        "adagrad": "fbgemm",
        "sgd": "fbgemm",
        "adam": "reference",
        None: "reference",
    }
