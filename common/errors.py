"""The errors plexrank raises for a user's mistake, one tree.

    PlexrankError
    |-- ConfigError      a run file, an option or an argument is wrong
    |-- SchemaError      a schema is wrong, or data does not have the columns it names
    |-- DataError        a file or a value in it is wrong
    |-- DiskError        a file cannot be written
    |-- ArtifactError    an artifact is missing, damaged, or made by something incompatible
    |-- RequestError     a scoring request is wrong (the server answers 4xx)
    `-- InstallError     the installed libraries do not fit together

Each message is one sentence that says what is wrong, where (file, row, column), and how to mend it.
The command line prints it without a traceback and exits with code 2; the server puts it in the body of its answer.
"""

import difflib
from collections.abc import Iterable
from pathlib import Path


class PlexrankError(Exception):
    """Base of every error that a user can mend."""


class ConfigError(PlexrankError):
    """A run file, a command-line option or a model setting is wrong."""


class SchemaError(PlexrankError):
    """A schema is wrong, or the data lacks or mistypes a column it names."""


class DataError(PlexrankError):
    """A data file, or a value inside one, is wrong."""


class DiskError(PlexrankError):
    """A file cannot be written, as on a full disk.

    Args:
        target: The file or folder.
        reason: Why, as the system says it.
        mend: What to do.
    """

    def __init__(self, target: Path, reason: str, mend: str) -> None:
        super().__init__(target, reason, mend)
        self.target = target
        self.reason = reason
        self.mend = mend

    def __str__(self) -> str:
        return f"{self.target} cannot be written: {self.reason}; {self.mend}"


class ArtifactError(PlexrankError):
    """An artifact is missing, damaged, or incompatible."""


class RequestError(PlexrankError):
    """A scoring request is wrong.

    Args:
        message: The sentence for the caller.
        where: Path into the request body, such as ``candidates[3].features.price``.
        status: HTTP status the server answers with.
    """

    def __init__(self, message: str, *, where: str = "", status: int = 422) -> None:
        super().__init__(message)
        self.where = where
        self.status = status


class InstallError(PlexrankError):
    """The installed libraries do not fit together."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Suggest the nearest known name.

    Args:
        word: What the user wrote.
        known: What could have been meant.

    Returns:
        ``"did you mean 'x'?"`` when one name is near, else ``"known: a, b, c"``.
    """
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]!r}?"
    shown = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
    return f"known: {shown or 'none'}"
