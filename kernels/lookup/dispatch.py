"""Picks the backend. Modules ask for a lookup and never learn which one they got."""

from collections.abc import Sequence
from typing import Literal

from kernels.addressing import Slot
from kernels.lookup.interface import Lookup, TableOptimizer

Backend = Literal["auto", "reference", "fbgemm"]


def build_lookup(
    slots: Sequence[Slot],
    *,
    rows: int,
    dim: int,
    optimizer: TableOptimizer | None = None,
    backend: Backend = "auto",
) -> Lookup:
    """Build a lookup, its table zero.

    Args:
        slots: The slots, in the order of the output.
        rows: Rows of the table.
        dim: Width of a row.
        optimizer: The update fused into the backward pass, or None for a dense gradient.
        backend: ``auto`` is fbgemm where an optimiser is fused, else the reference.

    Returns:
        The lookup.

    Raises:
        ConfigError: The backend cannot do what is asked.
    """
    if backend == "reference" or (backend == "auto" and optimizer is None):
        from kernels.lookup.reference import ReferenceLookup

        return ReferenceLookup(slots, rows=rows, dim=dim, optimizer=optimizer)
    from kernels.lookup.fbgemm import FbgemmLookup

    return FbgemmLookup(slots, rows=rows, dim=dim, optimizer=optimizer)
