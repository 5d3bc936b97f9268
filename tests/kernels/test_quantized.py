"""Tables of fewer bits: close to the trained rows, smaller, and only for scoring."""

import pytest
import torch

from common.errors import ConfigError
from kernels.addressing import Slot
from kernels.lookup.dispatch import build_lookup
from kernels.lookup.interface import Lookup
from kernels.lookup.layout import TableLayout
from kernels.lookup.quantized import QuantizedLookup

SLOTS = (
    Slot(key=0, seed=1, base=0, rows=50, mixed=True),
    Slot(key=0, seed=2, base=0, rows=50, mixed=True),
    Slot(key=1, seed=3, base=50, rows=50, mixed=True, mean=True),
)


def trained(dim: int, std: float = 0.1) -> Lookup:
    lookup = build_lookup(TableLayout(keys=2, slots=SLOTS, rows=100, dim=dim))
    with torch.no_grad():
        lookup.table.normal_(std=std, generator=torch.Generator().manual_seed(dim))
    return lookup


@pytest.mark.parametrize("dim", [4, 10, 33])
def test_int8_rows_are_within_half_a_step_of_the_trained_ones(dim: int) -> None:
    lookup = trained(dim)
    rows = lookup.table.detach()
    span = rows.amax(1, keepdim=True) - rows.amin(1, keepdim=True)
    error = (QuantizedLookup(lookup, "int8").table - rows).abs()
    # Half a 255th of the range, and what scale and offset lose as float16.
    assert (error <= span * (0.5 / 255 + 2**-10) + rows.abs().amax(1, keepdim=True) * 2**-10).all()
    torch.testing.assert_close(QuantizedLookup(lookup, "fp16").table, rows.half().float(), rtol=0, atol=0)


@pytest.mark.parametrize("precision", ["fp16", "int8"])
@pytest.mark.parametrize("std", [1e-4, 1.0])
def test_lookups_read_the_rows_that_the_table_shows(precision: str, std: float) -> None:
    lookup = trained(10, std)
    small = QuantizedLookup(lookup, precision)  # type: ignore[arg-type]
    with torch.no_grad():
        lookup.table.copy_(small.table)
    values, offsets = torch.arange(9), torch.tensor([0, 2, 2, 3, 5, 5, 9])
    weights = torch.linspace(0.5, 2, 9)
    for dtype in (torch.int32, torch.int64):
        bounds = offsets.to(dtype)
        torch.testing.assert_close(small(values, bounds), lookup(values, bounds).detach(), rtol=1e-4, atol=1e-6 * std)
        torch.testing.assert_close(
            small(values, bounds, weights), lookup(values, bounds, weights).detach(), rtol=1e-4, atol=1e-6 * std
        )
        torch.testing.assert_close(
            small.unpooled(values, bounds), lookup.unpooled(values, bounds).detach(), rtol=1e-4, atol=1e-6 * std
        )
    torch.testing.assert_close(small(values[:6]), lookup(values[:6]).detach(), rtol=1e-4, atol=1e-6 * std)


def test_equal_numbers_stay_equal() -> None:
    lookup = trained(4)
    with torch.no_grad():
        lookup.table.fill_(0.25)
    assert torch.equal(QuantizedLookup(lookup, "int8").table, lookup.table.detach())


def test_they_take_a_half_and_about_a_quarter_of_the_memory() -> None:
    full = 100 * 64 * 4
    assert QuantizedLookup(trained(64), "fp16").nbytes == full / 2
    assert QuantizedLookup(trained(64), "int8").nbytes == full / 4 + 100 * 4


def test_they_cannot_be_trained() -> None:
    small = QuantizedLookup(trained(4), "int8")
    assert not list(small.parameters())
    assert not small(torch.arange(4)).requires_grad
    with pytest.raises(ConfigError, match="cannot be trained"):
        small.learning_rate = 0.1
