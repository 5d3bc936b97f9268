"""A leaderboard: boards of entries, published figures beside them, and what its order means."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from common.files import sha256_json
from evaluation.leaderboard.board import ORDERS, Board, boards
from evaluation.leaderboard.reference import Beside, Reference, beside
from evaluation.leaderboard.run import Run


@dataclass(frozen=True)
class Leaderboard:
    """Many runs side by side.

    Attributes:
        split: Whose metrics are shown.
        sort: What orders the entries of a board, the best first.
        by: The key of the run file whose values make an entry; None where runs that differ only in seed do.
        boards: One for each set of data, each with the published figures beside its entries.
    """

    split: str
    sort: str
    by: str | None
    boards: tuple[tuple[Board, tuple[Beside, ...]], ...]

    @classmethod
    def of(
        cls,
        runs: Sequence[Run],
        *,
        split: str = "test",
        sort: str = "auc",
        by: str | None = None,
        references: Sequence[Reference] = (),
    ) -> "Leaderboard":
        """Put runs side by side.

        Args:
            runs: At least one, none twice, each with a report of the split.
            split: Whose metrics are shown.
            sort: As :func:`evaluation.leaderboard.board.boards` takes it.
            by: Likewise.
            references: Published figures.

        Raises:
            ConfigError: There is no such order, key or metric.
        """
        found = boards(runs, split=split, sort=sort, by=by)
        return cls(split, sort, by, tuple((board, beside(board, references, split)) for board in found))

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader has to know of the tables, a sentence or two each."""
        runs = [run for board, _ in self.boards for run in board.runs]
        several = any(len(entry.runs) > 1 for board, _ in self.boards for entry in board.entries)
        single = any(len(entry.runs) == 1 for board, _ in self.boards for entry in board.entries)
        notes = []
        if self.split == "test" and self.sort not in ORDERS:
            notes.append(
                f"This order is by {self.sort} on the test split: it describes, and is no choice of a model. Choose by "
                "the valid split (--split valid), or the test figures of what is chosen look better than they are."
            )
        if self.sort not in ORDERS:
            entries = [entry for board, _ in self.boards for entry in board.entries]
            last = [entry.name for entry in entries if entry.summary(self.split, self.sort).mean is None]
            if last:
                notes.append(f"{self.sort} is undefined of {', '.join(last)}: what has none comes last, in no order.")
        if len(self.boards) > 1:
            notes.append(
                "The runs were judged on different data, so there is a table for each: figures of two tables do not "
                "compare."
            )
        if self.by is not None and several:
            notes.append(
                f"Runs with the same {self.by} are one entry and may differ in more than the seed: means and intervals "
                "are over these runs, not over seeds alone."
            )
        elif several:
            notes.append("Intervals of several runs are Student's t of 95 % for the mean over seeds.")
        if single:
            notes.append(
                "The interval of a single run is that of its own report, over the rows of the split: what another seed "
                "would give it does not say."
            )
        if any(not board.one_machine for board, _ in self.boards):
            notes.append(
                "Not all runs used the machine alike (device, precision, compilation, threads): their samples/s and "
                "seconds do not compare the models alone."
            )
        stopped = [str(run.folder) for run in runs if run.interrupted]
        if stopped:
            notes.append(f"Ended by Ctrl-C before their time: {', '.join(stopped)}.")
        return tuple(notes)

    def to_json_dict(self) -> dict[str, Any]:
        """The leaderboard in types that strict JSON knows."""
        return {
            "split": self.split,
            "sort": self.sort,
            "by": self.by,
            "notes": list(self.notes),
            "boards": [
                {**board.to_json_dict(self.split), "published": [some.to_json_dict() for some in published]}
                for board, published in self.boards
            ],
        }


def distinct(runs: Sequence[Run]) -> tuple[list[Run], list[tuple[Run, Run]]]:
    """Leave out runs that repeat another: the same run file and seed say nothing new, and would narrow an interval.

    Returns:
        The runs that are left, and each that is not with the one it repeats.
    """
    kept: dict[tuple[Any, ...], Run] = {}
    repeated = []
    for run in runs:
        key = (sha256_json(run.recipe), run.seed, run.schema_digest)
        if key in kept:
            repeated.append((run, kept[key]))
        else:
            kept[key] = run
    return list(kept.values()), repeated
