"""The feed: a dataset's batches, epoch after epoch, made ahead of their use, from a position that can be saved."""

import contextlib
import signal
from collections.abc import Generator, Iterable, Iterator, Mapping
from itertools import islice, zip_longest
from multiprocessing import resource_tracker
from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset

from common.errors import ConfigError, PlexrankError
from features._prefetch import prefetched
from features.datasets._parcel import Parcel
from features.datasets.batch import Batch
from features.datasets.dataset import ClickDataset

_AHEAD = 4  # batches that wait where a thread makes them
_PARCELS_AHEAD = 2  # parcels that wait, of each worker
_PARCEL_ROWS = 32_768  # of a parcel, unless a batch has more


class Feed:
    """Gives the batches of a dataset.

    Iterating gives the rest of the present epoch; the next iteration gives the next epoch. Batches are made ahead in a
    thread, or in the dataset's worker processes, which live as long as the feed.

    Args:
        dataset: The dataset.
    """

    def __init__(self, dataset: ClickDataset) -> None:
        self._dataset = dataset
        self._epoch, self._batch = 0, 0
        self._start = torch.zeros(2, dtype=torch.int64)
        self._loader: DataLoader[Parcel | PlexrankError] | None = None
        if dataset.workers:
            self._loader = DataLoader(
                # As many batches in every parcel of every worker, so that turns can be taken batch by batch.
                _Worker(dataset, self._start.share_memory_(), max(1, _PARCEL_ROWS // dataset.batch_size)),
                batch_size=None,
                num_workers=dataset.workers,
                prefetch_factor=_PARCELS_AHEAD,
                persistent_workers=True,
                # Forked, polars would wait for threads that the child does not have.
                multiprocessing_context="spawn",
                # The loader draws a seed that no worker needs; not from the generator that training draws from.
                generator=torch.Generator(),
            )

    def __len__(self) -> int:
        """Batches of an epoch, for this rank."""
        return self._dataset.batches

    def __iter__(self) -> Generator[Batch]:
        if self._loader is None:
            made = prefetched(self._dataset.batches_from(self._epoch, self._batch), _AHEAD)
        else:
            made = self._from_workers(self._loader)
        with contextlib.closing(made):
            for batch in made:
                self._batch += 1
                if self._batch == len(self):
                    self._epoch, self._batch = self._epoch + 1, 0
                yield batch

    def state_dict(self) -> dict[str, Any]:
        """The position after the last batch given, and the order it is a position in; json, the same on every rank."""
        return {"epoch": self._epoch, "batch": self._batch, **self._dataset.settings}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to a position: the next iteration gives what came after it, to the byte.

        Args:
            state: What :meth:`state_dict` gave.

        Raises:
            ConfigError: It is a position in other data, or in another order.
        """
        for name, value in self._dataset.settings.items():
            if state.get(name) != value:
                raise ConfigError(
                    f"the position was saved with {name} {state.get(name)}, here it is {value}; "
                    "resume with the data and the settings it was saved with"
                )
        self._epoch, self._batch = state["epoch"], state["batch"]

    def _from_workers(self, loader: "DataLoader[Parcel | PlexrankError]") -> Generator[Batch]:
        self._start.copy_(torch.tensor([self._epoch, self._batch]))
        # Workers inherit the mask: Ctrl-C is for the main process, which ends them. What tracks their shared memory is
        # a process that must run before, as starting it takes the mask away.
        resource_tracker.ensure_running()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            made = iter(loader)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        parcels = _unwrapped(made)
        while turns := list(islice(parcels, self._dataset.workers)):
            # Workers take turns batch by batch, and the later ones may be the first to have no more.
            for turn in zip_longest(*turns):
                yield from (batch for batch in turn if batch is not None)


class _Worker(IterableDataset[Parcel | PlexrankError]):
    """What a worker process iterates, once an epoch.

    Args:
        dataset: The dataset.
        start: Epoch and batch to start from, in memory that the main process writes to.
        parcel: Batches of a parcel; the last one takes what is left.
    """

    def __init__(self, dataset: ClickDataset, start: torch.Tensor, parcel: int) -> None:
        self._dataset, self._start, self._parcel = dataset, start, parcel

    def __iter__(self) -> Iterator[Parcel | PlexrankError]:
        epoch, batch = self._start.tolist()
        try:
            with contextlib.closing(self._dataset.batches_from(epoch, batch)) as made:
                while batches := list(islice(made, self._parcel)):
                    yield Parcel.of(batches)
        except PlexrankError as problem:
            # As an item: raised, it would reach the user wrapped in traces.
            yield problem


def _unwrapped(items: Iterable[Parcel | PlexrankError]) -> Iterator[Iterator[Batch]]:
    for item in items:
        if isinstance(item, PlexrankError):
            raise item
        yield item.batches()
