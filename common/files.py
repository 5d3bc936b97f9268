"""Files that are either whole or not there: atomic folders, canonical json, digests."""

import contextlib
import fcntl
import glob
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common.errors import ConfigError

_PARTIAL = ".partial-"


@contextlib.contextmanager
def atomic_folder(target: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Write a folder under a temporary name and rename it into place when the block ends well.

    A block that raises leaves nothing behind. A process that is killed leaves a hidden folder that no command
    reads; the next write to the same target removes it.

    Args:
        target: Folder to create.
        overwrite: Replace an existing folder (until the rename it stays as it was).

    Yields:
        The temporary folder to write into.

    Raises:
        ConfigError: The target exists and ``overwrite`` is off, or its parent cannot be written.
    """
    refuse_existing(target, overwrite=overwrite)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(target)
        partial = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}{_PARTIAL}"))
        partial.chmod(0o755)
    except OSError as problem:
        raise ConfigError(f"{target} cannot be written: {problem.strerror}; choose another folder") from None
    lock = os.open(partial, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield partial
        for path in partial.rglob("*"):
            _fsync(path)
        _fsync(partial)
        # Again: another process may have written it meanwhile.
        refuse_existing(target, overwrite=overwrite)
        if overwrite and target.exists():
            # Two renames: a kill between them leaves no target rather than a mixed one.
            old = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}{_PARTIAL}"))
            target.rename(old / target.name)
            partial.rename(target)
            shutil.rmtree(old)
        else:
            partial.rename(target)
        _fsync(target.parent)
    finally:
        os.close(lock)
        shutil.rmtree(partial, ignore_errors=True)


def refuse_existing(target: Path, *, overwrite: bool) -> None:
    """Refuse a target that holds something, before any work is done.

    Raises:
        ConfigError: The target is a file, or the folder this runs in (which cannot be renamed away under a process),
            or a folder that is not empty while ``overwrite`` is off.
    """
    if Path.cwd().is_relative_to(target.resolve()):
        raise ConfigError(f"{target} is the folder this runs in; name another")
    if target.is_file():
        raise ConfigError(f"{target} is a file; give a folder")
    if target.is_dir() and any(target.iterdir()) and not overwrite:
        raise ConfigError(f"{target} already holds something; choose another folder or add --overwrite")


def canonical_json(value: Any) -> bytes:
    """Serialise to the one json text that equal values share: keys sorted, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def sha256_json(value: Any) -> str:
    """Hexadecimal sha256 of a value's canonical json.

    Raises:
        ValueError: The value holds NaN, infinity or broken unicode.
    """
    return hashlib.sha256(canonical_json(value)).hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Write readable json with a final newline.

    Raises:
        ValueError: The value holds NaN or infinity.
    """
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def sha256_file(path: Path) -> str:
    """Hexadecimal sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remove_abandoned(target: Path) -> None:
    """Remove temporary folders of this target whose writer is gone (its lock went with it)."""
    for folder in target.parent.glob(f".{glob.escape(target.name)}{_PARTIAL}*"):
        with contextlib.suppress(OSError):
            lock = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
