"""Picks the backend. Modules ask for a lookup and never learn which one they got."""

import importlib.util
from dataclasses import dataclass
from typing import Literal

import torch
import torch.distributed as dist

from common.errors import ConfigError
from kernels.lookup.interface import Lookup
from kernels.lookup.layout import OptimizerKind, TableLayout, TableOptimizer
from kernels.lookup.memory import Footprint

Backend = Literal["auto", "reference", "fbgemm", "triton", "torchrec"]


@dataclass(frozen=True)
class Choice:
    """A backend and why it is the one.

    Attributes:
        backend: Its name.
        reason: A clause that follows "because".
    """

    backend: Literal["reference", "fbgemm", "triton", "torchrec"]
    reason: str


def choose(device: torch.device, kind: OptimizerKind | None, backend: Backend = "auto", *, fits: bool = True) -> Choice:
    """Say which backend holds a table.

    Args:
        device: Where lookups are computed.
        kind: The update fused into the backward pass, or None for a dense gradient.
        backend: What was asked for.
        fits: Whether the table and its state fit into the device's memory.

    Returns:
        The choice.

    Raises:
        ConfigError: What was asked for cannot run here, or cannot do this.
    """
    if device.type == "cuda" and not fits and kind is not None and backend in ("auto", "fbgemm"):
        return Choice("fbgemm", "the table exceeds the GPU's memory; it stays in the machine's, its rows in use cached")
    if backend != "auto":
        _refuse_what_cannot_run(device, kind, backend)
        return Choice(backend, "it was asked for")
    if device.type == "cuda":
        if importlib.util.find_spec("triton"):
            return Choice("triton", "one kernel addresses, gathers and pools, one reduces and updates")
        return Choice("reference", "triton is not installed")
    if kind is None:
        return Choice("reference", "a dense gradient leaves nothing to fuse")
    if kind in _FUSED_ON_CPU:
        return Choice("fbgemm", f"it fuses {kind} into the backward pass on a CPU")
    return Choice("reference", f"fbgemm has no fused {kind} on a CPU")


_FUSED_ON_CPU = ("rowwise_adagrad", "adagrad", "sgd")


def _refuse_what_cannot_run(device: torch.device, kind: OptimizerKind | None, backend: Backend) -> None:
    if backend == "fbgemm":
        if kind is None:
            raise ConfigError(
                "backend fbgemm updates the table in its backward pass and gives no dense gradient; "
                "use backend reference, or a fused optimizer.embedding such as rowwise_adagrad"
            )
        if device.type == "cpu" and kind not in _FUSED_ON_CPU:
            raise ConfigError(f"backend fbgemm has no fused {kind} on a CPU; use backend reference")
    if backend == "triton":
        if not importlib.util.find_spec("triton"):
            raise ConfigError("backend triton needs the package triton, which is not installed; use backend auto")
        from kernels.lookup.triton.backend import runs_on

        if not runs_on(device):
            raise ConfigError(
                f"backend triton needs a CUDA device, and the table is on {device.type}; "
                "use backend auto, or set TRITON_INTERPRET=1 to run its kernels slowly for debugging"
            )


def build_lookup(
    layout: TableLayout,
    optimizer: TableOptimizer | None = None,
    *,
    backend: Backend = "auto",
    device: torch.device | None = None,
) -> Lookup:
    """Build a lookup, its table zero.

    Args:
        layout: The table and its slots.
        optimizer: The update fused into the backward pass, or None for a dense gradient.
        backend: ``auto`` picks by device and rule; see :func:`choose`. ``torchrec`` gives a lookup that has no memory
            until :func:`training.sharding.shard` cuts it up among ranks.
        device: Where lookups are computed; the CPU by default.

    Returns:
        The lookup.

    Raises:
        ConfigError: The backend cannot do what is asked, or the table does not fit into memory.
    """
    device = device or torch.device("cpu")
    footprint = Footprint.of(layout, optimizer)
    training = optimizer is not None
    if backend == "torchrec":
        footprint.check(device, training=training, ranks=dist.get_world_size())
        from kernels.lookup.torchrec import TorchrecLookup

        choice = Choice("torchrec", "it cuts the table up among ranks")
        return _chosen(choice, TorchrecLookup(layout, optimizer, torch.device("meta")))
    fits = footprint.fits(device, training=training)
    choice = choose(device, optimizer.kind if optimizer else None, backend, fits=fits)
    if optimizer is not None and device.type == "cuda" and choice.backend == "fbgemm":
        from kernels.lookup.tbe import TbeLookup

        footprint.check(device if fits else torch.device("cpu"), training=training)
        return _chosen(choice, TbeLookup(layout, optimizer, device, cached=not fits))
    from kernels.lookup.table import TableLookup

    footprint.check(device, training=training)
    assert choice.backend != "torchrec"
    return _chosen(choice, TableLookup(layout, optimizer, choice.backend, device))


def _chosen(choice: Choice, lookup: Lookup) -> Lookup:
    lookup.chosen = f"{choice.backend}: {choice.reason}"
    return lookup
