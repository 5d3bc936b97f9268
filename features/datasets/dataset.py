"""The dataset: a split's rows as batches, in a seeded order, shared out over ranks and workers."""

import contextlib
from collections.abc import Generator

from torch.utils.data import IterableDataset, get_worker_info

from common.errors import ConfigError
from common.files import sha256_json
from features._prefetch import prefetched
from features.datasets.batch import Batch
from features.datasets.order import Order, Window
from features.datasets.prepared import PreparedSet
from features.encoding.encoded import EncodedRows, columns
from features.schema import ListFeature

_MB = 1_000_000


class ClickDataset(IterableDataset[Batch]):
    """Batches of a split for one rank; in a DataLoader's worker process, those of that worker.

    Iterating gives the first epoch; :class:`features.datasets.feed.Feed` gives epoch after epoch.

    Args:
        prepared: The prepared set.
        split: ``train``, ``valid`` or ``test``.
        batch_size: Rows of a batch; the last one takes what is left (:class:`features.datasets.order.Order`).
        seed: Of the order.
        shuffle: Whether to shuffle; else rows come in the order of the shards.
        shuffle_memory_mb: What each process may hold to shuffle, in 10^6 bytes. A split that fits is shuffled as one
            and stays there; of a larger one, chunks of rows are shuffled, and the rows within windows of half of it.
        rank: Which of the ranks this is.
        world_size: How many ranks share the rows.
        workers: Worker processes of each rank; with 0 the process itself reads.

    Attributes:
        batches: The rank's batches in an epoch, the same number on every rank.
        batch_size: As given.
        workers: As given.
        settings: All that the order depends on but the rank, as json.

    Raises:
        ConfigError: The split has no rows, or fewer than there are processes to share them.
        DataError: There is no such split.
    """

    def __init__(
        self,
        prepared: PreparedSet,
        split: str,
        *,
        batch_size: int,
        seed: int = 0,
        shuffle: bool = True,
        shuffle_memory_mb: float = 2048,
        rank: int = 0,
        world_size: int = 1,
        workers: int = 0,
    ) -> None:
        self.batch_size, self.workers = batch_size, workers
        self._turns = max(workers, 1)
        self._shards = prepared.reader(split)
        rows, streams = prepared.rows(split), world_size * self._turns
        if rows == 0:
            raise ConfigError(f"{prepared.folder} has no {split} rows; prepare the data with a {split} split")
        if rows < streams:
            raise ConfigError(f"{prepared.folder} has {rows} {split} rows for {streams} processes to share; use fewer")
        hold = max(int(shuffle_memory_mb * _MB / _row_bytes(prepared)), 1) if shuffle else 0
        self._order = Order(self._shards.rows, streams, batch_size, seed, hold)
        self._first_stream = rank * self._turns
        self.batches = self._order.batches * self._turns
        self.settings = {
            "schema_digest": prepared.fitted.digest,
            "split": split,
            "rows": rows,
            "shards": sha256_json(self._shards.rows),
            "batch_size": batch_size,
            "seed": seed,
            "shuffle": shuffle,
            "window_rows": self._order.window,
            "world_size": world_size,
            "workers": workers,
        }
        self._held: EncodedRows | None = None

    def __iter__(self) -> Generator[Batch]:
        return self.batches_from(0, 0)

    def batches_from(self, epoch: int, batch: int) -> Generator[Batch]:
        """The rest of an epoch, or this worker's share of it.

        Args:
            epoch: The epoch, from 0; each has an order of its own.
            batch: Which of the rank's batches comes first, from 0; what lies before is not read. Workers take turns:
                the first batch is that of worker 0, the next that of worker 1.
        """
        worker = get_worker_info()
        turn, turns = (0, 1) if worker is None else (worker.id, worker.num_workers)
        if turns != self._turns:
            raise ValueError(f"the dataset is made for {self._turns} workers, the loader has {turns}")
        # Streams take turns too, so after a resume a worker may have another stream than before.
        first, stream = divmod(batch + turn, turns)
        windows = prefetched(self._windows(self._first_stream + stream, epoch, first), 1)
        with contextlib.closing(windows):
            for window, rows in windows:
                for positions in window.batches:
                    yield Batch.of(rows.take(positions))

    def _windows(self, stream: int, epoch: int, batch: int) -> Generator[tuple[Window, EncodedRows]]:
        for window in self._order.windows(stream, epoch, batch):
            rows = self._read(window) if self._held is None else self._held
            if self._order.exact:
                self._held = rows
            yield window, rows

    def _read(self, window: Window) -> EncodedRows:
        schema = self._shards.schema
        wanted = columns(schema)
        frames = (self._shards.read(*span, wanted) for span in window.spans)
        return EncodedRows.joined(frames, sum(span.rows for span in window.spans), schema)


def _row_bytes(prepared: PreparedSet) -> float:
    """Memory of a row: its arrays (:class:`EncodedRows`), and 8 bytes for its place in the order."""
    schema = prepared.fitted.schema
    lengths = {column["name"]: column["mean_length"] for column in prepared.document.columns if "mean_length" in column}
    sparse = sum(8 + 8 * lengths[f.name] if isinstance(f, ListFeature) else 8 for f in schema.sparse)
    return sparse + 4 * len(schema.numeric) + 4 + (8 if schema.group is not None else 0) + 8
