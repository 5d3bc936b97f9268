"""Which column of a table of predictions is what."""

from dataclasses import dataclass

from common.errors import ConfigError


@dataclass(frozen=True)
class Columns:
    """The names of the columns that are read.

    Attributes:
        label: 0 or 1 a row.
        score: What a model predicts.
        group: Whose rows are ranked against one another and drawn together, such as the user.
        request: Rows that were candidates for one answer.
        weight: How much a row counts.
        time: When it was.
        slices: Columns whose values are judged apart.
        others: More columns that hold numbers, read as they are.
    """

    label: str = "label"
    score: str = "score"
    group: str | None = None
    request: str | None = None
    weight: str | None = None
    time: str | None = None
    slices: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.label == self.score:
            raise ConfigError(f"column {self.label!r} is both label and score; name another for one of them")

    @property
    def all(self) -> tuple[str, ...]:
        """Every column named, none twice."""
        named = (self.label, self.score, self.group, self.request, self.weight, self.time, *self.slices, *self.others)
        return tuple(dict.fromkeys(name for name in named if name is not None))

    @property
    def scores_only(self) -> "Columns":
        """What is read of a second model: the label, to see that rows match, and its score."""
        return Columns(label=self.label, score=self.score)

    @property
    def numbers(self) -> tuple[str, ...]:
        """Those of which only the numbers are wanted."""
        texts = {self.label, self.group, self.request, self.time, *self.slices}
        wanted = (self.score, self.weight, *self.others)
        return tuple(name for name in wanted if name is not None and name not in texts)
