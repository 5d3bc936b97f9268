"""Ranks: the processes of a run that torchrun starts, and how they come to one mind."""

import contextlib
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist

from common.errors import ConfigError

T = TypeVar("T")

_TIMEOUT = timedelta(hours=2)  # of a rank that waits while another writes or judges


@dataclass(frozen=True)
class _Failure:
    """What a rank raised."""

    problem: Exception


def launched() -> bool:
    """Whether torchrun started this process."""
    return dist.is_torchelastic_launched()


def speaks() -> bool:
    """Whether this process is the one of those that torchrun started that tells the user how it goes."""
    return os.environ.get("RANK", "0") == "0"


@contextlib.contextmanager
def ranks(device: torch.device) -> Iterator[torch.device]:
    """Join the other processes: as torchrun says, or none at all.

    Args:
        device: ``cpu``, or ``cuda``, of which each process of a machine takes one.

    Yields:
        This process's device.

    Raises:
        ConfigError: A machine has more processes than GPUs.
    """
    if device.type == "cuda":
        local = int(os.environ.get("LOCAL_RANK", "0"))
        if local >= torch.cuda.device_count():
            raise ConfigError(
                f"process {local} of this machine has no GPU of its own, there are {torch.cuda.device_count()}; "
                "lower --nproc-per-node"
            )
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    if launched():
        dist.init_process_group(backend, timeout=_TIMEOUT)
    else:
        dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)  # type: ignore[attr-defined]
    try:
        with warnings.catch_warnings():
            # torchrec 1.8 calls torch's collectives by names that torch 2.13 wants changed.
            warnings.filterwarnings("ignore", r".torch\.distributed\.\w+. is deprecated", FutureWarning)
            yield device
    finally:
        dist.destroy_process_group()


def rank() -> int:
    """Which of the processes this is; 0 where there is one."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """How many processes there are; 1 where torchrun started none."""
    return dist.get_world_size() if dist.is_initialized() else 1


def on_all(function: Callable[[], T]) -> list[T]:
    """Run a function on every rank.

    Returns:
        What it gave on each, everywhere.

    Raises:
        Exception: What it raised on the first rank where it did, everywhere.
    """
    if world_size() == 1:
        return [function()]
    outcome: T | _Failure
    try:
        outcome = function()
    except Exception as problem:
        outcome = _Failure(problem)
    outcomes = [outcome] * world_size()
    dist.all_gather_object(outcomes, outcome)
    results = []
    for one in outcomes:
        if isinstance(one, _Failure):
            raise one.problem
        results.append(one)
    return results


def on_first(function: Callable[[], T]) -> T:
    """Run a function on rank 0 alone.

    Returns:
        What it gave, everywhere.

    Raises:
        Exception: What it raised, everywhere.
    """
    return on_all(lambda: function() if rank() == 0 else None)[0]  # type: ignore[return-value]


def to_first(value: T) -> list[T]:
    """Give rank 0 the values of all ranks, in their order; the others get none."""
    if world_size() == 1:
        return [value]
    values: list[T] | None = [value] * world_size() if rank() == 0 else None
    dist.gather_object(value, values)
    return values or []


def summed(*values: float) -> list[float]:
    """Each value summed over all ranks."""
    total = torch.tensor(values, dtype=torch.float64)
    if world_size() > 1:
        dist.all_reduce(total)
    return total.tolist()


def loss_share(rows: int) -> float:
    """What the mean loss of a rank's rows is multiplied by before its backward pass.

    Gradients are averaged over ranks. With this factor (1 where all ranks have as many rows) their average is the
    gradient of the mean loss over the rows of all ranks.

    Args:
        rows: Rows of this rank's batch.
    """
    (total,) = summed(rows)
    return rows * world_size() / total
