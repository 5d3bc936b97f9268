"""Files that are either whole or not there: atomic files and folders, canonical json, digests."""

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

from common.errors import ConfigError, DiskError, PlexrankError

_PARTIAL = ".partial-"


@contextlib.contextmanager
def atomic_file(target: Path) -> Iterator[Path]:
    """Write a file under a temporary name and rename it into place when the block ends well.

    Whoever reads the target meanwhile finds what it held before. A block that raises leaves that, and nothing else. A
    pipe or a device, which cannot be replaced, is written into.

    Args:
        target: File to create, or to replace.

    Yields:
        The file to write.

    Raises:
        DiskError: It cannot be written.
    """
    with _disk_errors(target, "free some space, or choose another file"):
        if target.exists() and not target.is_file():
            yield target
            return
        partial = target.with_name(f".{target.name}.partial")
        try:
            yield partial
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)


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
        DiskError: A file cannot be written.
    """
    partial, lock = _begin(target, overwrite=overwrite)
    try:
        with _disk_errors(target, "free some space, or choose another folder"):
            yield partial
            _publish(partial, target, overwrite=overwrite)
    finally:
        os.close(lock)
        shutil.rmtree(partial, ignore_errors=True)


@contextlib.contextmanager
def resumable_folder(target: Path, key: str, *, overwrite: bool = False) -> Iterator[Path]:
    """Write a folder as :func:`atomic_folder` does, but such that a later run can go on with a broken-off one.

    A process that is killed or interrupted, or meets a full disk, leaves its temporary folder; the next write to the
    same target with the same key finds it as it was. Any other ending leaves nothing but the target.

    Args:
        target: Folder to create.
        key: Hexadecimal digest of all that the content depends on.
        overwrite: Replace an existing folder.

    Yields:
        The temporary folder to write into, empty or as an earlier run of the same key left it.

    Raises:
        ConfigError: The target exists and ``overwrite`` is off, its parent cannot be written, or another process is
            writing the same at this moment.
        DiskError: A file cannot be written.
    """
    partial, lock = _begin(target, key=key, overwrite=overwrite)
    try:
        with _disk_errors(target, "free some space and run the same again, it goes on with what was finished"):
            yield partial
            _publish(partial, target, overwrite=overwrite)
    except PlexrankError as problem:
        if not isinstance(problem, DiskError):
            shutil.rmtree(partial, ignore_errors=True)
        raise
    finally:
        os.close(lock)


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
    """Write readable json with a final newline, as :func:`atomic_file` does.

    Raises:
        ValueError: The value holds NaN or infinity.
        DiskError: The file cannot be written.
    """
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write utf-8 text as :func:`atomic_file` does.

    Raises:
        DiskError: The file cannot be written.
    """
    with atomic_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def sha256_file(path: Path) -> str:
    """Hexadecimal sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _begin(target: Path, *, overwrite: bool, key: str | None = None) -> tuple[Path, int]:
    """Make, or find, a target's temporary folder; returns it and the handle that locks it."""
    refuse_existing(target, overwrite=overwrite)
    prefix = f".{target.name}{_PARTIAL}"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        kept = target.parent / f"{prefix}{key[:16]}" if key is not None else None
        _remove_abandoned(target, kept)
        while True:
            if kept is not None:
                kept.mkdir(exist_ok=True)
            partial = kept or Path(tempfile.mkdtemp(dir=target.parent, prefix=prefix))
            partial.chmod(0o755)
            lock = _lock(partial)
            if lock is not None:
                return partial, lock
            if kept is not None and kept.exists():
                raise ConfigError(f"another process is writing {target}; wait for it, or name another folder")
            # A cleaner came between the making and the locking of a new folder: once more.
    except OSError as problem:
        raise ConfigError(f"{target} cannot be written: {problem.strerror}; choose another folder") from None


def _lock(folder: Path) -> int | None:
    """Lock a folder; None where another process holds it, or has renamed or removed it meanwhile."""
    try:
        lock = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(lock).st_ino == folder.stat().st_ino:
            return lock
    except OSError:
        pass
    os.close(lock)
    return None


def _publish(partial: Path, target: Path, *, overwrite: bool) -> None:
    """Rename a whole folder into place."""
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


@contextlib.contextmanager
def _disk_errors(target: Path, mend: str) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise DiskError(target, problem.strerror or str(problem), mend) from problem
    except DiskError as problem:  # of a file in the folder that is the target
        raise DiskError(target, problem.reason, mend) from problem


def _remove_abandoned(target: Path, kept: Path | None) -> None:
    """Remove temporary folders of this target, but one, whose writer is gone (its lock went with it)."""
    for folder in target.parent.glob(f".{glob.escape(target.name)}{_PARTIAL}*"):
        lock = _lock(folder) if folder != kept else None
        if lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
