"""An explanation: what a model relies on, and how far equally good models agree with it."""

from dataclasses import dataclass
from typing import Any

from evaluation.explanation.attention import Attention
from evaluation.explanation.rashomon import Range, RashomonSet, ranges
from evaluation.explanation.reliance import Interaction, Reliance


@dataclass(frozen=True)
class ModelExplanation:
    """What one model relies on.

    Attributes:
        name: The model.
        auc: Of the rows as they are.
        logloss: Of the rows as they are.
        spread: Standard deviation of the rows' logits.
        features: The reliance on each feature, the greatest rise of logloss first.
        groups: The reliance on what belongs to one entity, together.
        pairs: The interactions of some features, the strongest first.
    """

    name: str
    auc: float
    logloss: float
    spread: float
    features: tuple[Reliance, ...]
    groups: tuple[Reliance, ...]
    pairs: tuple[Interaction, ...]

    def to_json_dict(self) -> dict[str, Any]:
        """In types that strict JSON knows."""
        return {
            "name": self.name,
            "auc": self.auc,
            "logloss": self.logloss,
            "logit_spread": self.spread,
            "features": [some.to_json_dict() for some in self.features],
            "groups": [some.to_json_dict() for some in self.groups],
            "pairs": [some.to_json_dict() for some in self.pairs],
        }


@dataclass(frozen=True)
class Explanation:
    """A model explained, beside others that are as good.

    Attributes:
        title: What is explained, on which rows.
        rows: Rows looked at.
        label_rate: Share of label 1 among them.
        repeats: Permutations of each feature.
        level: Of the intervals.
        subject: The model.
        others: The other models of the Rashomon set.
        rashomon: Which models were looked at, and which are as good as the best.
        attention: The model's, where it has any.
    """

    title: str
    rows: int
    label_rate: float
    repeats: int
    level: float
    subject: ModelExplanation
    others: tuple[ModelExplanation, ...]
    rashomon: RashomonSet
    attention: Attention | None = None

    @property
    def models(self) -> tuple[ModelExplanation, ...]:
        """The models of the Rashomon set; the subject is the first, where it is among them."""
        among = self.subject.name in [some.name for some in self.rashomon.kept]
        return (self.subject, *self.others) if among else self.others

    @property
    def reliance_ranges(self) -> tuple[Range, ...]:
        """How much logloss rises without each feature, over the Rashomon set."""
        names = [some.name for some in self.subject.features]
        found = [{some.name: some.logloss_rise.value for some in model.features} for model in self.models]
        return ranges(names, [[of[name] for name in names] for of in found])

    @property
    def strength_ranges(self) -> tuple[Range, ...]:
        """The strength of each interaction, over the Rashomon set."""
        names = [pair_name(some) for some in self.subject.pairs]
        found = [{pair_name(some): some.strength.value for some in model.pairs} for model in self.models]
        return ranges(names, [[of[name] for name in names] for of in found])

    @property
    def score_ranges(self) -> tuple[Range, ...]:
        """The feature interaction score of each pair, over the Rashomon set."""
        names = [pair_name(some) for some in self.subject.pairs]
        found = [{pair_name(some): some.score.value for some in model.pairs} for model in self.models]
        return ranges(names, [[of[name] for name in names] for of in found])

    def to_json_dict(self) -> dict[str, Any]:
        """The whole explanation in types that strict JSON knows."""
        return {
            "title": self.title,
            "rows": self.rows,
            "label_rate": self.label_rate,
            "repeats": self.repeats,
            "level": self.level,
            "model": self.subject.to_json_dict(),
            "others": [some.to_json_dict() for some in self.others],
            "rashomon": {
                **self.rashomon.to_json_dict(),
                "reliance": [some.to_json_dict() for some in self.reliance_ranges],
                "strength": [some.to_json_dict() for some in self.strength_ranges],
                "score": [some.to_json_dict() for some in self.score_ranges],
            },
            "attention": None if self.attention is None else self.attention.to_json_dict(),
        }


def pair_name(pair: Interaction) -> str:
    """What a pair of features is called, such as ``user`` times ``item``."""
    return f"{pair.first} \u00d7 {pair.second}"
