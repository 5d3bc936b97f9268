"""Sorted runs of rows, in memory or in a file without a name, and one walk over all of them in ascending order."""

import os
import tempfile
import weakref
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias, overload

import numpy as np
import numpy.typing as npt

from common.errors import DiskError

Array: TypeAlias = npt.NDArray[Any]
Slice: TypeAlias = tuple[Array, ...]
"""A stretch of a run: columns of one length."""

MIB = 2**20


class FileColumn:
    """An array in a file, of which parts are read as they are asked for.

    Args:
        file: Where it lies; this keeps it open.
        dtype: Of its values.
        offset: Where it begins, in bytes.
        size: How many values it has.
    """

    def __init__(self, file: "SpillFile", dtype: np.dtype[Any], offset: int, size: int) -> None:
        self.dtype = dtype
        self._file = file
        self._offset = offset
        self._size = size

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, at: int) -> Any: ...
    @overload
    def __getitem__(self, at: slice) -> Array: ...
    def __getitem__(self, at: int | slice) -> Any:
        if isinstance(at, int):
            return self[at : at + 1][0]
        start, stop, _ = at.indices(self._size)
        width = self.dtype.itemsize
        return np.frombuffer(self._file.read((stop - start) * width, self._offset + start * width), self.dtype)


Column: TypeAlias = Array | FileColumn
Run: TypeAlias = tuple[Column, ...]
"""Columns of one length, the first of them ascending: scores, or complex numbers whose real part is the score."""


class SpillFile:
    """A file that has no name, so that the system removes it with the process, however that ends.

    Args:
        folder: Where it takes its space; the system's folder for temporary files where None.

    Raises:
        DiskError: The folder cannot be written.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = Path(tempfile.gettempdir()) if folder is None else folder
        try:
            file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115 - it lives as long as this
        except OSError as problem:
            raise self._error(problem) from problem
        self._handle = file.fileno()
        self.bytes = 0
        weakref.finalize(self, file.close)

    def write(self, columns: Iterable[Array]) -> Run:
        """Write a run behind the others.

        Raises:
            DiskError: There is no space; what was written before stays readable.
        """
        end, made = self.bytes, []
        for column in columns:
            made.append(FileColumn(self, column.dtype, end, column.size))
            rest = memoryview(column.view(np.uint8).data)
            while rest:
                try:
                    written = os.pwrite(self._handle, rest, end)
                except OSError as problem:
                    raise self._error(problem) from problem
                end, rest = end + written, rest[written:]
        self.bytes = end
        return tuple(made)

    def read(self, size: int, offset: int) -> bytearray:
        """Some of its bytes."""
        data = bytearray(size)
        rest = memoryview(data)
        while rest:  # the system reads 2 GiB at once at most
            got = os.preadv(self._handle, [rest], offset)
            assert got, "read beyond what was written"
            offset, rest = offset + got, rest[got:]
        return data

    def _error(self, problem: OSError) -> DiskError:
        mend = "free some space, name another folder for temporary files, or allow more memory"
        return DiskError(self._folder, problem.strerror or str(problem), mend)


def score_of(key: Any) -> float:
    """The score of a key: a number, or the real part of a complex one."""
    return float(key.real)


def walk(runs: Sequence[Run], rows: int) -> Iterator[list[Slice]]:
    """Go through sorted runs side by side, in ascending stretches of the score.

    Args:
        runs: Any number of them.
        rows: About how many a stretch has; equal scores are never in two stretches, so that it may have more.

    Yields:
        A slice of each run, some of them empty: together all rows whose score lies in the stretch.
    """
    starts = [0] * len(runs)
    sizes = [len(run[0]) for run in runs]
    while going := [i for i, start in enumerate(starts) if start < sizes[i]]:
        step = max(rows // len(going), 1)
        # Every run that goes on behind its step has rows up to the least of these, and no run has many more.
        ahead = [score_of(runs[i][0][starts[i] + step - 1]) for i in going if starts[i] + step < sizes[i]]
        ends = sizes
        if ahead:
            last = min(ahead)
            ends = [bisect_right(run[0], last, lo=start, key=score_of) for run, start in zip(runs, starts, strict=True)]
        yield [tuple(column[start:end] for column in run) for run, start, end in zip(runs, starts, ends, strict=True)]
        starts = ends


def even(stretches: Iterable[Slice], size: int) -> Iterator[Slice]:
    """Cut ascending stretches anew, into slices whose borders do not depend on those of the stretches.

    Args:
        stretches: Their first column is ascending, its equal values are never in two of them.
        size: Rows of a slice; a slice has more where equal values would be in two, and the last may have fewer.
    """
    held: Slice = ()
    for stretch in stretches:
        held = tuple(map(np.concatenate, zip(held, stretch, strict=True))) if held else stretch
        start, keys = 0, held[0]
        while start + size <= keys.size:
            end = start + size + int(np.searchsorted(keys[start + size :], keys[start + size - 1], side="right"))
            yield tuple(column[start:end] for column in held)
            start = end
        held = tuple(column[start:] for column in held)
    if held and held[0].size:
        yield held
