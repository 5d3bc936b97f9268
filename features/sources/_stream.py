"""The bytes of a csv file, unpacked where it ends in ``.gz``."""

import gzip
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from features.sources._refusals import unreadable


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file at its start.

    Raises:
        DataError: It cannot be opened, or what is read from it inside the block is damaged.
    """
    with _refusing(path), _open(path) as stream:
        yield stream


def span(path: Path, start: int, stop: int) -> bytes:
    """Bytes ``start`` to ``stop``, fewer where the file ends before.

    A packed file cannot be entered in its middle. A thread that reads it span after span goes on where it was, and
    only one that jumps back starts over.

    Raises:
        DataError: The file is gone or damaged.
    """
    with _refusing(path):
        if path.suffix != ".gz":
            with path.open("rb") as stream:
                stream.seek(start)
                return stream.read(stop - start)
        return _reader.span(path, start, stop)


def _open(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.GzipFile(path, "rb")) if path.suffix == ".gz" else path.open("rb")


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, zlib.error) as problem:
        raise unreadable(path, problem) from None


class _PackedReader(threading.local):
    """The packed file that a thread is in the middle of."""

    def __init__(self) -> None:
        self._stream: gzip.GzipFile | None = None
        self._file: tuple[object, ...] = ()

    def span(self, path: Path, start: int, stop: int) -> bytes:
        status = path.stat()
        file = (path, status.st_ino, status.st_size, status.st_mtime_ns)
        if self._stream is None or file != self._file:
            self._close()
            self._stream, self._file = gzip.GzipFile(path, "rb"), file
        try:
            self._stream.seek(start)
            found = self._stream.read(stop - start)
            done = not self._stream.peek(1)
        except BaseException:
            self._close()
            raise
        if done:
            self._close()
        return found

    def _close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None


_reader = _PackedReader()
