"""Picks the backend. Modules ask for a lookup and never learn which one they got."""

from typing import Literal

from kernels.lookup.interface import Lookup, TableLayout, TableOptimizer

Backend = Literal["auto", "reference", "fbgemm"]


def build_lookup(layout: TableLayout, optimizer: TableOptimizer | None = None, *, backend: Backend = "auto") -> Lookup:
    """Build a lookup, its table zero.

    Args:
        layout: The table and its slots.
        optimizer: The update fused into the backward pass, or None for a dense gradient.
        backend: ``auto`` is fbgemm where an optimiser is fused, else the reference.

    Returns:
        The lookup.

    Raises:
        ConfigError: The backend cannot do what is asked.
    """
    if backend == "reference" or (backend == "auto" and optimizer is None):
        from kernels.lookup.reference import ReferenceLookup

        return ReferenceLookup(layout, optimizer)
    from kernels.lookup.fbgemm import FbgemmLookup

    return FbgemmLookup(layout, optimizer)
