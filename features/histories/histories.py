"""Point-in-time histories: what a user had done before each row of a log. The one offline definition of a sequence.

A *log* is rows in the order of time: the time never falls from one row to the next, nor from one file to the next.
Every row has a *user*, an *item* and a *time*. A row is a *behaviour* when it meets every condition of
``History.where`` (it is a click, or a rating of 4 or more) and neither its user nor its item is missing.

The history of a row is the items of the last ``max_length`` of those behaviours that have the row's user and a time
strictly before the row's own, oldest first, most recent last; behaviours of one time stay in the order of the log.

- A row is in no history of its own time, its own included, wherever in the log the others stand.
- Every row has a history, whether it is a behaviour or not; it is empty where nothing came before.
- An item that came twice is there twice.
- A missing user (null or empty text) is nobody: such a row's history is empty, and the row is in none.
- Users and items are compared as text; times as whole numbers or, where they are dates, as microseconds.

Beside the history stands how many behaviours there were before it was cut to ``max_length``.
"""

import json
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from common.errors import ConfigError, DataError, SchemaError
from common.files import atomic_folder, refuse_existing
from features._lists import lists
from features._prefetch import prefetched
from features.encoding.typed import holds_dates, refuse, row_text, timestamps
from features.histories._behaviours import Behaviours
from features.histories._codes import Codes
from features.histories._conditions import Condition
from features.histories._part_files import PartFiles
from features.sources.piece import BadRow, Piece, Read
from features.sources.raw_file import RawFile, expand, read


@dataclass(frozen=True)
class History:
    """Which columns make a history, and what its own are called.

    Attributes:
        user: Column of the user, text or integers.
        item: Column of the item, text or integers.
        time: Column of the time: integers, dates, or ISO 8601 text.
        where: Conditions that make a row a behaviour, such as ``click=1`` or ``rating>=4``; without any, every row is
            one. A missing value meets none. Columns of numbers are compared as float64; text, as every column of a
            csv is, equals the very same text, but ``<``, ``<=``, ``>`` and ``>=`` take it for the number it says.
        name: Column to make: a list of what the item's column holds, never null.
        max_length: The most items of a history, from 1.

    Raises:
        ConfigError: ``max_length`` is less than 1, or a condition cannot be read.
    """

    user: str
    item: str
    time: str
    where: tuple[str, ...] = ()
    name: str = "history"
    max_length: int = 50

    def __post_init__(self) -> None:
        if self.max_length < 1:
            raise ConfigError(f"max_length is {self.max_length}; give a whole number from 1")
        _ = self.conditions

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """``where``, read."""
        return tuple(Condition.parse(text) for text in self.where)

    @property
    def length(self) -> str:
        """Column to make, Int64: how many behaviours there were before the history was cut."""
        return f"{self.name}_length"

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read, each once."""
        return tuple(
            dict.fromkeys((self.user, self.item, self.time, *(condition.column for condition in self.conditions)))
        )


class Histories:
    """Gives the rows of a log their histories, some rows at a time; how they are cut changes nothing.

    Memory: each user and item that was seen, every user's last ``max_length`` behaviours, and the rows at hand.

    Args:
        history: The definition.
        since: Rows before this time are taken in but not given back: a whole number, or ISO 8601 text where the times
            are dates.

    Attributes:
        behaviours: How many behaviours were taken in so far.
    """

    def __init__(self, history: History, *, since: str | None = None) -> None:
        self.behaviours = 0
        self._history = history
        self._since = since
        self._dates: bool | None = None
        self._users, self._items = Codes(), Codes()
        self._store = Behaviours(history.max_length)
        self._newest: tuple[int, object, Path] | None = None  # the last row's time, as a number and as read; its file

    def extend(self, found: Read, file: Path) -> tuple[pl.DataFrame, list[BadRow]]:
        """Take in the next rows of the log.

        Args:
            found: The rows, with at least the columns of the definition.
            file: Where they come from, for messages.

        Returns:
            The good rows from ``since`` on with their histories, and the bad rows: those of ``found``, and those
            whose time is none, or whose text says no number where a condition compares numbers.

        Raises:
            ConfigError: ``since``, or the value of a condition, is not of its column's kind.
            SchemaError: A column has a type that it cannot have.
            DataError: A time falls.
        """
        history = self._history
        times = self._times(found.frame[history.time], file)
        behaviour, faults = _met(history.conditions, found.frame, file)
        good, bad = _sorted_out(found, [(history.time, times.is_null(), "no time"), *faults])
        rows, moments = found.frame.filter(good), times.filter(good).to_numpy()
        self._check_order(moments, rows[history.time], found.positions.filter(good), file)

        users, items = _text(rows, history.user, file), _text(rows, history.item, file)
        acts = (behaviour.filter(good) & (users != "") & (items != "")).to_numpy()
        self.behaviours += int(np.count_nonzero(acts))
        ends = self._store.extend(self._users.of(users), moments, self._items.of(items), acts)
        if self._since is not None and rows.height:
            wanted = moments >= self._start(self._since, rows[history.time], file)
            rows, ends = rows.filter(wanted), ends[wanted]
        counts = pl.Series(history.length, self._store.counts(ends))
        return rows.with_columns(self._column(ends, rows[history.item].dtype), counts), bad

    def _times(self, raw: pl.Series, file: Path) -> pl.Series:
        if self._dates is None and raw.count():
            self._dates = holds_dates(raw)
        return timestamps(raw, self._history.time, file, dates=bool(self._dates))

    def _start(self, since: str, raw: pl.Series, file: Path) -> int:
        name, dates = self._history.time, bool(self._dates) or raw.dtype.is_temporal()
        start = timestamps(pl.Series([since]), name, file, dates=dates)[0]
        if start is None:
            kind = "a date such as 2026-01-05T00:00:00" if dates else "a whole number"
            raise ConfigError(f"since {since!r} is not of the kind of {name!r} in {file}; give {kind}")
        return int(start)

    def _check_order(self, moments: NDArray[np.int64], raw: pl.Series, positions: pl.Series, file: Path) -> None:
        if not len(moments):
            return
        newest = self._newest or (int(moments[0]), raw[0], file)
        fallen = np.flatnonzero(moments < np.append(newest[0], moments[:-1]))
        if fallen.size:
            row, name = int(fallen[0]), self._history.time
            before, source = (raw[row - 1], file) if row else newest[1:]
            if source == file:
                where, mend = "of the row before", f"sort the file by {name!r}"
            else:
                where, mend = f"at the end of {source}", f"give the files in the order of time, or sort all by {name!r}"
            raise DataError(
                f"{file}, row {positions[row] + 1}: {name!r} is {raw[row]!r}, earlier than {before!r} {where}; {mend}"
            )
        self._newest = int(moments[-1]), raw[-1], file

    def _column(self, ends: NDArray[np.int64], kind: pl.DataType) -> pl.Series:
        # Rows of one user and time have one history; it is made once.
        distinct, which = np.unique(ends, return_inverse=True)
        codes, offsets = self._store.items(distinct)
        made = lists(self._values(codes, kind), offsets)
        return made.gather(which).alias(self._history.name)

    def _values(self, codes: NDArray[np.uint32], kind: pl.DataType) -> pl.Series:
        # An item in many histories is made once: numbers would be read from text each time.
        seen = np.zeros(int(codes.max(initial=0)) + 1, np.bool_)
        seen[codes] = True
        texts = self._items.texts(np.flatnonzero(seen).astype(np.uint32))
        values = texts.cast(kind) if kind.is_integer() else texts
        return values.gather((np.cumsum(seen) - 1)[codes])


def _met(
    conditions: Sequence[Condition], raw: pl.DataFrame, file: Path
) -> tuple[pl.Series, list[tuple[str, pl.Series, str]]]:
    """Which rows meet all conditions; and for each condition its column, where that cannot be told, and why."""
    met = pl.repeat(True, raw.height, dtype=pl.Boolean, eager=True)
    faults = []
    for condition in conditions:
        one, unclear = condition.met(raw[condition.column], file)
        met &= one
        faults.append((condition.column, unclear, f"no number, as {condition} needs"))
    return met, faults


def _sorted_out(found: Read, faults: Sequence[tuple[str, pl.Series, str]]) -> tuple[pl.Series, list[BadRow]]:
    """Which rows are without fault, given as column, where, and what it is; and all bad rows."""
    bad: dict[int, BadRow] = {}
    for name, wrong, what in faults:
        for row in wrong.arg_true().to_list():
            reason = f"{name!r} is {found.frame[name][row]!r}, {what}"
            bad.setdefault(row, BadRow(found.positions[row], name, reason, row_text(found.frame, row)))
    good = ~pl.int_range(found.frame.height, eager=True).is_in(list(bad))
    return good, sorted([*found.bad, *bad.values()], key=lambda row: row.position)


def _text(rows: pl.DataFrame, name: str, file: Path) -> pl.Series:
    """A column as text, a missing value as empty text."""
    kind = rows[name].dtype
    if not (kind.is_integer() or kind in (pl.String, pl.Categorical, pl.Enum, pl.Null)):
        raise SchemaError(f"{file}: column {name!r} is {kind}; users and items are text or integers, cast the column")
    return rows[name].cast(pl.String).fill_null("")


@dataclass(frozen=True)
class HistoriesSummary:
    """What was written.

    Attributes:
        files: The Parquet files, in order.
        rows: Rows in them.
        behaviours: Rows of the log that are behaviours.
        bad_rows: Rows of the log that are bad, and left out.
        empty: Rows written that have an empty history.
        cut: Rows written that had more behaviours before them than their history holds.
    """

    files: tuple[Path, ...]
    rows: int
    behaviours: int
    bad_rows: int
    empty: int
    cut: int


def write_histories(
    patterns: Sequence[str],
    output: Path,
    history: History,
    *,
    since: str | None = None,
    on_bad_rows: Literal["error", "skip", "quarantine"] = "error",
    overwrite: bool = False,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> HistoriesSummary:
    """Write a log again as Parquet, every row with all its columns, its history and how long that was before the cut.

    Args:
        patterns: The log in the order of time: csv, tsv or Parquet files, globs, or folders; the files of a glob or a
            folder are taken in the order of their names.
        output: Folder to create; its files are to be read in the order of their names too.
        history: The definition.
        since: Rows before this time feed the histories and are not written.
        on_bad_rows: ``error`` raises at the first; ``skip`` leaves them out and counts them; ``quarantine`` also
            writes them to ``quarantine.jsonl``.
        overwrite: Replace an existing folder.
        progress: Told the phase, ``scan`` (of files) or ``histories`` (of rows), what is done and what there is.

    Returns:
        What was written.

    Raises:
        ConfigError: The output exists, a column to make is there already, or ``since`` or a condition does not fit.
        SchemaError: A column is missing, or files differ in their columns, or one has a type that it cannot have.
        DataError: A file is damaged, a row is bad, a time falls, no row is a behaviour, or none is left to write.
        DiskError: The output cannot be written.
    """
    refuse_existing(output, overwrite=overwrite)
    files = _opened(expand(patterns), history, progress)
    columns = _columns(files, history)
    total = sum(file.rows for file in files)
    progress("histories", 0, total)
    histories = Histories(history, since=since)
    done = bad_rows = empty = cut = 0
    with (
        atomic_folder(output, overwrite=overwrite) as folder,
        PartFiles(folder) as parts,
        closing(prefetched(_reads(files, columns), depth=1)) as reads,
    ):
        for piece, found in reads:
            rows, bad = histories.extend(found, piece.path)
            if bad and on_bad_rows == "error":
                raise refuse(bad[0], piece.path)
            if bad and on_bad_rows == "quarantine":
                with (folder / "quarantine.jsonl").open("a", encoding="utf-8") as lines:
                    for row in bad:
                        lines.write(json.dumps(row.described(piece.path), ensure_ascii=False) + "\n")
            parts.write(rows)
            bad_rows += len(bad)
            empty += int((rows[history.length] == 0).sum())
            cut += int((rows[history.length] > history.max_length).sum())
            done += piece.rows
            progress("histories", done, total)
        log = ", ".join(patterns)
        if not histories.behaviours:
            met = f" with {' and '.join(history.where)}" if history.where else ""
            raise DataError(f"{log}: no row{met} has a user and an item, so no history has any; mend the options")
        if not parts.rows:
            raise DataError(f"{log}: no row has a {history.time!r} from {since} on; give an earlier time")
    return HistoriesSummary(
        files=tuple(output / name for name in parts.names),
        rows=parts.rows,
        behaviours=histories.behaviours,
        bad_rows=bad_rows,
        empty=empty,
        cut=cut,
    )


def _opened(paths: Sequence[Path], history: History, progress: Callable[[str, int, int], None]) -> list[RawFile]:
    """The files, each with the columns that the history needs."""
    files: list[RawFile] = []
    for path in paths:
        progress("scan", len(files), len(paths))
        files.append(RawFile(path, history.columns))
    progress("scan", len(files), len(paths))
    return files


def _columns(files: Sequence[RawFile], history: History) -> list[str]:
    """The columns, in which all files agree."""
    first = files[0]
    for column in (history.name, history.length):
        if column in first.dtypes:
            raise ConfigError(f"{first.path} has a column {column!r} already; give the history another name")
    for file in files[1:]:
        for column in {**first.dtypes, **file.dtypes}:
            here, there = (some.dtypes.get(column, "not there") for some in (file, first))
            if here != there:
                raise SchemaError(
                    f"{file.path}: column {column!r} is {here}, but {there} in {first.path}; write the files alike"
                )
    return list(first.dtypes)


def _reads(files: Sequence[RawFile], columns: Sequence[str]) -> Generator[tuple[Piece, Read]]:
    for file in files:
        for piece in file.pieces:
            yield piece, read(piece, columns)
