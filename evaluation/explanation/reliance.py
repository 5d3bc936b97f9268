"""What a model relies on: how much worse it gets when features say nothing, and where two act together.

Shapes: R repeats, N rows.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from evaluation._inputs import checked_labels, checked_scores
from evaluation.estimate import PairedDifference
from evaluation.explanation.switched import Donors, Floats, switched_mean
from evaluation.interval import LEVEL
from evaluation.undefined import UndefinedMetric

Logits = npt.NDArray[np.floating]

_ROUNDING = 1e-5  # of the largest logit: what float32 arithmetic may leave of a difference that is 0


@dataclass(frozen=True)
class Reliance:
    """How much a model gets worse when the values of some features are exchanged between rows, together.

    Breiman 2001, "Random Forests", Machine Learning 45; Fisher, Rudin and Dominici 2019, "All Models are Wrong, but
    Many are Useful", JMLR 20(177): model reliance, as a difference, e_switch - e_orig.

    Attributes:
        name: The feature, or what the features have in common.
        features: The features.
        auc_drop: AUC before less AUC after.
        logloss_rise: Logloss after less logloss before.
    """

    name: str
    features: tuple[str, ...]
    auc_drop: PairedDifference
    logloss_rise: PairedDifference

    def to_json_dict(self) -> dict[str, Any]:
        """In types that strict JSON knows."""
        return asdict(self)


@dataclass(frozen=True)
class Interaction:
    """How strongly two features act together.

    Attributes:
        first: The one feature.
        second: The other.
        strength: In logits: the root of a quarter of the mean square of f(x) - f(x with i of another row) - f(x with j
            of it) + f(x with both of it), f being the logit. It is 0 exactly where f is a sum of a part without i and a
            part without j, and for independent features its square is the variance of f that needs both: the total
            interaction index (Fruth, Roustant and Kuhnt 2014, J. Statistical Planning and Inference 147), by the
            estimator of Liu and Owen 2006, JASA 101.
        score: In logloss: the reliance on both less that on each, the feature interaction score (Li, Wang, Deng and
            Barnard 2024, "Exploring the Cloud of Feature Interaction Scores in a Rashomon Set", ICLR).
            Above 0 the two stand in for one another: they lose more together than apart. Below 0 each is of use with
            the other only. As logloss is no linear function of the logit, it is not 0 for a model that adds the two.
    """

    first: str
    second: str
    strength: PairedDifference
    score: PairedDifference

    def to_json_dict(self) -> dict[str, Any]:
        """In types that strict JSON knows."""
        return asdict(self)


class ModelRows:
    """A model's logits of some rows, which those of switched rows are held against.

    Args:
        labels: 0 or 1 a row, ``[N]``.
        logits: ``[N]``.
        donors: Whose values each row gets in each repeat, ``[R, N]``.
        level: Of the intervals.

    Attributes:
        auc: Of the rows as they are.
        logloss: Of the rows as they are.
        spread: Standard deviation of their logits.

    Raises:
        UndefinedMetric: All labels are equal.
        DataError: A logit is not finite.
    """

    def __init__(self, labels: npt.ArrayLike, logits: Logits, donors: Donors, *, level: float = LEVEL) -> None:
        self._labels = checked_labels(labels)
        positives = int(self._labels.sum())
        if positives in (0, self._labels.size):
            raise UndefinedMetric(
                f"an explanation needs rows of both classes, but all {self._labels.size} labels are "
                f"{int(positives > 0)}; choose another split, or more rows"
            )
        self._logits = checked_scores(logits, self._labels.size, name="logit").astype(np.float64)
        self._donors = donors
        self._level = level
        self._orders, self._losses = self._places(self._logits), self._log_losses(self._logits)
        self.auc, self.logloss = float(self._orders.mean()), float(self._losses.mean())
        self.spread = float(self._logits.std())

    def reliance(self, name: str, features: tuple[str, ...], switched: Logits) -> Reliance:
        """The reliance on features, from logits ``[R, N]`` of rows with the donors' values of them."""
        orders = np.stack([self._places(logits) for logits in switched])
        return Reliance(
            name,
            features,
            auc_drop=self._mean(self._orders - orders),
            logloss_rise=self._mean(self._log_losses(switched) - self._losses),
        )

    def interaction(self, names: tuple[str, str], first: Logits, second: Logits, both: Logits) -> Interaction:
        """The interaction of two features.

        Args:
            names: Their names.
            first: Logits ``[R, N]`` of rows with the donors' values of the first.
            second: Likewise of the second.
            both: Likewise of both.
        """
        mixed = self._logits - first - second + both.astype(np.float64)
        mixed[np.abs(mixed) <= _ROUNDING * max(float(np.abs(self._logits).max()), 1.0)] = 0.0
        of_both, of_first, of_second = (self._log_losses(some) for some in (both, first, second))
        return Interaction(
            *names,
            strength=_root(self._mean(mixed**2 / 4)),
            score=self._mean(of_both - of_first - of_second + self._losses),
        )

    def _mean(self, differences: Floats) -> PairedDifference:
        return switched_mean(differences, self._donors, self._level)

    def _log_losses(self, logits: Logits) -> Floats:
        losses: Floats = np.logaddexp(0.0, np.where(self._labels, -1.0, 1.0) * logits)
        return losses

    def _places(self, logits: Logits) -> Floats:
        """What each row adds to the AUC ``[N]``: their mean is the AUC, and their variance DeLong's up to O(1 / N)."""
        places = np.empty(logits.size)
        sides = [np.sort(logits[self._labels == label]) for label in (False, True)]
        for label, others in zip((False, True), reversed(sides), strict=True):
            mine = self._labels == label
            below = sum(np.searchsorted(others, logits[mine], side) for side in ("left", "right"))
            share = below / (2 * others.size)
            places[mine] = share if label else 1 - share
        auc = places[self._labels].mean()
        # A class's rows make up the whole AUC; in the mean over all rows they must weigh as much as those of the other.
        weight = np.where(self._labels, self._labels.mean(), 1 - self._labels.mean())
        influence: Floats = auc + (places - auc) / weight
        return influence


def _root(square: PairedDifference) -> PairedDifference:
    """The square root of an estimate and of its interval's ends."""
    found = square.interval
    if found is not None:
        low, high = (max(end, 0.0) ** 0.5 for end in (found.low, found.high))
        found = replace(found, low=low, high=high, method=f"{found.method}, root")
    return PairedDifference(square.value**0.5, found, reason=square.reason)
