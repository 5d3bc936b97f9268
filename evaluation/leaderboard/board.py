"""A board: the entries on one set of data, in order."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from common.errors import ConfigError, did_you_mean
from common.files import canonical_json
from evaluation.leaderboard.entry import Entry
from evaluation.leaderboard.run import Run
from evaluation.report.names import direction

ORDERS = ("valid_auc", "name", "parameters", "samples_per_second", "seconds")
"""What entries can be sorted by besides the metrics of the split; none of it looks at a test row."""

_UNSET = "not set"


@dataclass(frozen=True)
class Board:
    """Entries that were judged on the same rows.

    Attributes:
        data: The folder of the prepared set; all of them, where copies of one set were used.
        schema_digest: Of its fitted schema.
        rows: Rows of valid and of the split that is shown.
        entries: In order.
    """

    data: str
    schema_digest: str
    rows: Mapping[str, int]
    entries: tuple[Entry, ...]

    @property
    def runs(self) -> tuple[Run, ...]:
        """The runs of all entries."""
        return tuple(run for entry in self.entries for run in entry.runs)

    @property
    def one_machine(self) -> bool:
        """Whether all runs used the machine alike, so that their speeds can be compared."""
        return len({run.machine for run in self.runs}) == 1

    def to_json_dict(self, split: str) -> dict[str, Any]:
        """The board in types that strict JSON knows, with the metrics of a split."""
        return {
            "data": self.data,
            "schema_digest": self.schema_digest,
            "rows": dict(self.rows),
            "entries": [entry.to_json_dict(split) for entry in self.entries],
        }


def boards(runs: Sequence[Run], *, split: str, sort: str, by: str | None = None) -> tuple[Board, ...]:
    """Sort runs into boards, one for each set of data, and entries.

    Two sets of data are the same where the digest of the fitted schema agrees, and the rows and the rows of label 1 of
    the split and of valid: a search's trial, which was not judged on test, stands beside runs that were.

    Args:
        runs: At least one; none twice.
        split: Whose metrics order the entries; every run has a report of it.
        sort: What orders them, the best first: a metric of the split, or one of ``ORDERS``.
        by: A dotted key of the run file whose equal values make an entry; without it runs that differ only in seed do.

    Raises:
        ConfigError: There is no such order or no such key.
    """
    if by is not None and not any(by in run.settings for run in runs):
        known = {key for run in runs for key in run.settings}
        raise ConfigError(f"no run file here has the key {by!r}; {did_you_mean(by, known)}")
    found: dict[bytes, list[Run]] = {}
    for run in runs:
        sizes = [(run.reports[name].rows, run.reports[name].positives) for name in ("valid", split)]
        found.setdefault(canonical_json([run.schema_digest, sizes]), []).append(run)
    return tuple(_board(some, split, sort, by) for some in found.values())


def _board(runs: Sequence[Run], split: str, sort: str, by: str | None) -> Board:
    groups: dict[bytes, list[Run]] = {}
    for run in runs:
        groups.setdefault(canonical_json(run.recipe if by is None else run.settings.get(by)), []).append(run)
    parts = [sorted(group, key=lambda run: run.seed) for group in groups.values()]
    names = _names(parts) if by is None else [_text(part[0].settings.get(by)) for part in parts]
    entries = [Entry(name, tuple(part)) for name, part in zip(names, parts, strict=True)]
    return Board(
        data=", ".join(dict.fromkeys(str(run.settings["data"]) for run in runs)),
        schema_digest=runs[0].schema_digest,
        rows={name: runs[0].reports[name].rows for name in ("valid", split)},
        entries=tuple(_sorted(entries, split, sort)),
    )


def _names(groups: Sequence[Sequence[Run]]) -> list[str]:
    """The folders' names; where several entries share one, with the settings that tell them apart."""
    bare = [", ".join(dict.fromkeys(run.name for run in group)) for group in groups]
    recipes = [group[0].recipe for group in groups]
    names = []
    for name, own in zip(bare, recipes, strict=True):
        alike = [recipe for other, recipe in zip(bare, recipes, strict=True) if other == name]
        keys = dict.fromkeys(key for recipe in alike for key in recipe)
        telling = [key for key in keys if len({canonical_json(recipe.get(key)) for recipe in alike}) > 1]
        last = [key.rpartition(".")[2] for key in telling]
        apart = ", ".join(
            f"{short if last.count(short) == 1 else key} {_text(own.get(key))}"
            for key, short in zip(telling, last, strict=True)
        )
        names.append(f"{name} ({apart})" if apart else name)
    return names


def _text(value: Any) -> str:
    return _UNSET if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _sorted(entries: Sequence[Entry], split: str, sort: str) -> list[Entry]:
    """The best first; entries without a value last."""
    metrics = set.intersection(*(set(entry.metrics(split)) for entry in entries))
    if sort not in ORDERS and sort not in metrics:
        raise ConfigError(f"entries cannot be sorted by {sort!r}; {did_you_mean(sort, [*ORDERS, *metrics])}")
    places = [_place(entry, split, sort) for entry in entries]
    known = [(place, index) for index, place in enumerate(places) if place is not None]
    unknown = [entry for entry, place in zip(entries, places, strict=True) if place is None]
    return [entries[index] for _, index in sorted(known)] + unknown


def _place(entry: Entry, split: str, sort: str) -> Any:
    """What entries are sorted by, the least first; None where it is not known."""
    match sort:
        case "name":
            return entry.name
        case "parameters":
            return entry.parameters
        case "samples_per_second":
            return None if entry.samples_per_second is None else -entry.samples_per_second
        case "seconds":
            return entry.seconds
        case "valid_auc":
            return _badness("auc", entry.summary("valid", "auc").mean)
        case _:
            return _badness(sort, entry.summary(split, sort).mean)


def _badness(metric: str, value: float | None) -> float | None:
    """How bad a value is: less is better."""
    if value is None:
        return None
    return {"higher": -value, "lower": value, "near 1": abs(value - 1)}[direction(metric)]
