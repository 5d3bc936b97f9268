"""Parquet files of a folder, filled one after the other."""

from pathlib import Path
from types import TracebackType

import polars as pl
import pyarrow.parquet as pq

_FILE_ROWS = 1_000_000
_ROW_GROUP = 65_536


class PartFiles:
    """Writes ``part-00000.parquet`` and so on, each of about a million rows; memory is that of the rows at hand.

    Args:
        folder: Where to write.

    Attributes:
        names: Of the files so far.
        rows: Rows written so far.
    """

    def __init__(self, folder: Path) -> None:
        self.names: list[str] = []
        self.rows = 0
        self._folder = folder
        self._writer: pq.ParquetWriter | None = None
        self._room = 0

    def __enter__(self) -> "PartFiles":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def write(self, rows: pl.DataFrame) -> None:
        """Add rows, all of one schema.

        Raises:
            OSError: They cannot be written.
        """
        if not rows.height:
            return
        table = rows.to_arrow(compat_level=pl.CompatLevel.oldest())
        if self._writer is None:
            self.names.append(f"part-{len(self.names):05d}.parquet")
            # Statistics would take a third of the time, and the log is read whole.
            self._writer = pq.ParquetWriter(
                self._folder / self.names[-1], table.schema, compression="zstd", write_statistics=False
            )
            self._room = _FILE_ROWS
        self._writer.write_table(table, row_group_size=_ROW_GROUP)
        self.rows += rows.height
        self._room -= rows.height
        if self._room <= 0:
            self._close()

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
