"""Published figures, and how far the means of entries are from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from common.errors import ConfigError, did_you_mean
from common.settings import Settings, read_mapping, validate
from evaluation.leaderboard.board import Board
from evaluation.leaderboard.summary import Summary
from evaluation.report.names import direction


class Reference(Settings):
    """Published figures of one entry.

    Attributes:
        name: The entry they belong to.
        metrics: Values by the metric's name, such as ``auc``.
        source: Where they come from, in words.
    """

    name: str
    metrics: dict[str, float] = Field(min_length=1)
    source: str = Field(min_length=1)

    @field_validator("metrics")
    @classmethod
    def _are_known(cls, metrics: dict[str, float]) -> dict[str, float]:
        for name in metrics:
            try:
                direction(name)
            except ConfigError as problem:
                raise ValueError(str(problem)) from None
        return metrics


class References(Settings):
    """A file of published figures; several may stand beside one entry."""

    references: tuple[Reference, ...]


@dataclass(frozen=True)
class Beside:
    """An entry's mean beside a published figure.

    Attributes:
        entry: The entry's name.
        metric: The metric's name.
        found: The metric over the entry's runs.
        published: The figure.
        source: Where it comes from.
    """

    entry: str
    metric: str
    found: Summary
    published: float
    source: str

    @property
    def difference(self) -> float | None:
        """The mean less the published figure; None where there is no mean."""
        return None if self.found.mean is None else self.found.mean - self.published

    def to_json_dict(self) -> dict[str, Any]:
        """The comparison in types that strict JSON knows."""
        return {
            "entry": self.entry,
            "metric": self.metric,
            "mean": self.found.mean,
            "published": self.published,
            "difference": self.difference,
            "source": self.source,
        }


def load_references(path: Path) -> tuple[Reference, ...]:
    """Read a file of published figures, yaml or json.

    Raises:
        ConfigError: It is missing, or names an unknown key or metric.
    """
    return validate(References, read_mapping(path, ConfigError), source=str(path), error=ConfigError).references


def unmatched(references: Sequence[Reference], boards: Sequence[Board]) -> list[str]:
    """What to say of references that belong to no entry: a sentence each.

    Raises:
        ConfigError: A reference belongs to entries on different data.
    """
    names = [entry.name for board in boards for entry in board.entries]
    for reference in references:
        if names.count(reference.name) > 1:
            raise ConfigError(
                f"the published figures of {reference.name!r} would stand beside entries on different data; "
                "give the runs on one set of data"
            )
    return [
        f"published figures of {name!r} belong to no entry; {did_you_mean(name, names)}"
        for name in dict.fromkeys(reference.name for reference in references)
        if name not in names
    ]


def beside(board: Board, references: Sequence[Reference], split: str) -> tuple[Beside, ...]:
    """Put published figures beside the entries of a board, in the board's order.

    Raises:
        ConfigError: An entry lacks a metric of its reference.
    """
    return tuple(
        Beside(entry.name, metric, entry.summary(split, metric), published, reference.source)
        for entry in board.entries
        for reference in references
        if reference.name == entry.name
        for metric, published in reference.metrics.items()
    )
