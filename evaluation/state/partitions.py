"""Rows kept apart by a code, on disk where they are many."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from evaluation.state._runs import MIB, Column, SpillFile

Array: TypeAlias = npt.NDArray[Any]
Columns: TypeAlias = dict[str, Array]
Codes: TypeAlias = npt.NDArray[np.integer[Any]]

_SORTING_BYTES = 24  # a row: its place in the order, and a column before and after


class Partitions:
    """Rows of several columns, each row with a code from 0 upwards, that are given back a code at a time.

    Rows stay in memory up to a budget, which covers sorting them, too. What is more goes to a temporary file, sorted
    by code; the system removes the file with the process, however that ends.

    Giving back takes one stable sort of the codes (a radix sort of up to 65,536 codes) and one gather a column.

    Args:
        memory_mb: Memory that rows may take before they go to the file, in MiB.
        folder: Where that file lies; the system's folder for temporary files where None.

    Attributes:
        rows: Rows taken in.
    """

    def __init__(self, *, memory_mb: float = 1024, folder: Path | None = None) -> None:
        self.rows = 0
        self._budget = memory_mb * MIB
        self._folder = folder
        self._names: tuple[str, ...] = ()
        self._chunks: list[tuple[Codes, Columns]] = []
        self._spilled: list[_Run] = []
        self._file: SpillFile | None = None

    @property
    def spilled(self) -> bool:
        """Whether rows lie in a file."""
        return bool(self._spilled)

    def update(self, codes: Codes, **columns: Array) -> None:
        """Add rows. The arrays are kept, not copied: leave them as they are.

        Args:
            codes: The code of each row, at least 0, shape ``(rows,)``.
            columns: Each column, shape ``(rows,)``; the same names each time. Where dtypes differ from one time to
                another, rows come back in a dtype that holds both.

        Raises:
            ValueError: The arrays break one of these rules.
            DiskError: The temporary file cannot be written; the rows are not added.
        """
        if any(column.shape != codes.shape for column in columns.values()):
            raise ValueError(f"columns of shapes {[c.shape for c in columns.values()]} with codes of {codes.shape}")
        if not codes.size:
            return
        if codes.min() < 0:
            raise ValueError(f"code {codes.min()} is below 0")
        self._require_names(tuple(columns))
        chunk = codes.astype(np.min_scalar_type(codes.max()), copy=False), columns
        self._keep(self._spilled, [*self._chunks, chunk], self._budget)
        self._names = tuple(columns)
        self.rows += codes.size

    def merge(self, other: "Partitions") -> None:
        """Add the rows of another behind those that are here. The other stays as it is.

        Raises:
            ValueError: The columns differ.
            DiskError: As for ``update``.
        """
        if not other.rows:
            return
        self._require_names(other._names)
        if other._spilled:
            self._keep(self._spilled, self._chunks, 0)
        self._keep([*self._spilled, *other._spilled], [*self._chunks, *other._chunks], self._budget)
        self._names = other._names
        self.rows += other.rows

    def each(self, *, most: int | None = None, codes: Collection[int] | None = None) -> Iterator[tuple[int, Columns]]:
        """Give the rows of each code that has any, codes ascending, rows in the order in which they came.

        Args:
            most: Rows to give at once at most; a code with more comes several times in a row. Without it, a code
                comes once, and its rows have to fit in memory.
            codes: The codes wanted; all without it.

        Yields:
            A code and its columns.
        """
        runs = list(self._spilled)
        if self._chunks:
            held, columns = _joined(self._chunks)
            self._chunks = [(held, columns)]
            runs.append(_Run(_starts(held), columns, np.argsort(held, kind="stable")))
        taken = [np.flatnonzero(np.diff(run.starts)) for run in runs]
        for code in np.unique(np.concatenate(taken)).tolist() if taken else ():
            if codes is not None and code not in codes:
                continue
            spans = [(run, *run.starts[code : code + 2].tolist()) for run in runs if code + 1 < run.starts.size]
            if most is None:
                pieces = [[span for span in spans if span[1] < span[2]]]
            else:
                pieces = [[(run, a, min(a + most, end))] for run, start, end in spans for a in range(start, end, most)]
            for piece in filter(None, pieces):
                yield code, {name: _concatenated([run.read(name, a, b) for run, a, b in piece]) for name in self._names}

    def _require_names(self, names: tuple[str, ...]) -> None:
        if self.rows and names != self._names:
            raise ValueError(f"columns {names} after {self._names}")

    def _keep(self, spilled: list["_Run"], chunks: list[tuple[Codes, Columns]], budget: float) -> None:
        """Hold these rows, in the file where those of the chunks take more than so many bytes."""
        held = sum(
            codes.nbytes + sum(column.nbytes for column in columns.values()) + _SORTING_BYTES * codes.size
            for codes, columns in chunks
        )
        if held > budget:
            spilled, chunks = [*spilled, self._written(chunks)], []
        self._spilled, self._chunks = spilled, chunks

    def _written(self, chunks: list[tuple[Codes, Columns]]) -> "_Run":
        self._file = self._file or SpillFile(self._folder)
        codes = _concatenated([codes for codes, _ in chunks])
        order = np.argsort(codes, kind="stable")
        names = tuple(chunks[0][1])
        # A generator, so that one column at a time is in memory twice.
        columns = self._file.write(_concatenated([columns[name] for _, columns in chunks])[order] for name in names)
        return _Run(_starts(codes), dict(zip(names, columns, strict=True)), None)


@dataclass(frozen=True)
class _Run:
    """Rows of which those of ``code`` stand from ``starts[code]`` to ``starts[code + 1]`` of an order.

    Attributes:
        starts: int64, shape ``(codes + 1,)``.
        columns: The rows, in memory or in a file.
        order: Where the rows stand in the columns; None where the columns themselves are in this order.
    """

    starts: npt.NDArray[np.int64]
    columns: Mapping[str, Column]
    order: npt.NDArray[np.int64] | None

    def read(self, name: str, start: int, stop: int) -> Array:
        """Some rows of a column."""
        column = self.columns[name]
        return column[start:stop] if self.order is None else np.asarray(column)[self.order[start:stop]]


def _starts(codes: Codes) -> npt.NDArray[np.int64]:
    return np.append(0, np.cumsum(np.bincount(codes)))


def _joined(chunks: Sequence[tuple[Codes, Columns]]) -> tuple[Codes, Columns]:
    columns = {name: _concatenated([columns[name] for _, columns in chunks]) for name in chunks[0][1]}
    return _concatenated([codes for codes, _ in chunks]), columns


def _concatenated(arrays: Sequence[Array]) -> Array:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
