"""What a log of shown candidates tells of another policy: sums that grow chunk by chunk and merge."""

import math
from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from common.errors import ConfigError, DataError
from evaluation._inputs import HEAVIEST, LIGHTEST, checked_labels, checked_scores
from evaluation.counterfactual._moments import Moments
from evaluation.estimate import ALIKE, Estimate, is_alike
from evaluation.interval import LEVEL, Interval, normal_interval
from evaluation.undefined import UndefinedMetric

# The columns of the moments.
RAW, WEIGHT, LABEL, WEIGHTED_LABEL, DOUBLY_ROBUST = np.eye(5)

_PREDICTIONS: Final = (
    "give both predictions, of the logged and of the target policy's candidates, with all rows or none"
)


class LoggedRows:
    """Rows of a log, one a shown candidate, weighted by how much likelier the target policy would have shown it.

    A row's weight is ``target probability / logged propensity``; one below 1e-60 counts as 0. Only the number of
    rows, means and covariances are kept, a few hundred bytes; another order of rows, chunks or merges changes only
    their last digits.

    Args:
        clip: Weights above this are cut down to it: less variance, but estimates that tend to be too low. None leaves
            them as they are.

    Attributes:
        clip: As given.
        clipped: Rows whose weight was cut.

    Raises:
        ConfigError: The clip is not above 0.
    """

    def __init__(self, *, clip: float | None = None) -> None:
        if clip is not None and not clip > 0:
            raise ConfigError(f"weights can be clipped to a number above 0, got {clip}; 10 or 100 are common")
        self.clip = clip
        self.clipped = 0
        self._largest = 0.0
        self._predicted: bool | None = None
        self._moments = Moments(5)

    @classmethod
    def of(
        cls,
        labels: npt.ArrayLike,
        propensities: npt.ArrayLike,
        target_probabilities: npt.ArrayLike,
        predicted: npt.ArrayLike | None = None,
        predicted_target: npt.ArrayLike | None = None,
        *,
        clip: float | None = None,
    ) -> "LoggedRows":
        """The state of some rows; the arguments are those of ``update``."""
        made = cls(clip=clip)
        made.update(labels, propensities, target_probabilities, predicted, predicted_target)
        return made

    def update(
        self,
        labels: npt.ArrayLike,
        propensities: npt.ArrayLike,
        target_probabilities: npt.ArrayLike,
        predicted: npt.ArrayLike | None = None,
        predicted_target: npt.ArrayLike | None = None,
    ) -> None:
        """Add rows; every array has shape ``(rows,)``, and all but the labels are float32 or float64.

        Args:
            labels: 1 where the shown candidate was clicked, else 0.
            propensities: Probability, above 0 and up to 1, with which the logging policy showed that candidate.
            target_probabilities: Probability, 0 to 1, with which the target policy would have shown it.
            predicted: A reward model's click probability of the shown candidate, made without this row's label.
            predicted_target: That model's mean click probability over the target policy's choice for this request.

        Raises:
            DataError: The inputs break one of the rules above, a weight or a prediction is beyond 1e60, or predictions
                come with some of the rows only.
        """
        is_positive = checked_labels(labels)
        rows = is_positive.size
        logged = checked_scores(propensities, rows, name="propensity value")
        self._require(
            logged, (logged > 0) & (logged <= 1), "propensity", "is not above 0 and up to 1; log the probability"
        )
        target = checked_scores(target_probabilities, rows, name="target probability value")
        self._require(
            target, (target >= 0) & (target <= 1), "target probability", "is outside 0 to 1; divide by the sum"
        )
        if (predicted is None) != (predicted_target is None) or self._predicted is (predicted is None):
            raise DataError(_PREDICTIONS)

        with np.errstate(over="ignore"):
            raw = target.astype(np.float64) / logged
        self._require(logged, raw <= HEAVIEST, "propensity", "makes a weight too great to compute with; mend the log")
        raw[raw < LIGHTEST] = 0  # their squares would vanish
        weights = raw if self.clip is None else np.minimum(raw, self.clip)
        columns = np.zeros((5, rows))
        columns[:4] = raw, weights, is_positive, weights * is_positive
        if predicted is not None and predicted_target is not None:
            given = ((predicted, "predicted value"), (predicted_target, "predicted target value"))
            shown, chosen = (checked_scores(values, rows, name=name).astype(np.float64) for values, name in given)
            for values, (_, name) in zip((shown, chosen), given, strict=True):
                self._require(values, abs(values) <= HEAVIEST, name, "is too great to compute with; give probabilities")
            columns[4] = chosen + weights * (is_positive - shown)
        self._predicted = predicted is not None
        self.clipped += int((weights < raw).sum())
        self._largest = max(self._largest, float(weights.max()))
        self._moments.update(columns)

    def merge(self, other: "LoggedRows") -> None:
        """Add the rows of another state, which stays as it is.

        Raises:
            ConfigError: The two clip differently.
            DataError: One has predictions and the other has not.
        """
        if self.clip != other.clip:
            raise ConfigError(f"rows clipped to {self.clip} and to {other.clip} cannot be joined; clip both alike")
        if {self._predicted, other._predicted} >= {True, False}:
            raise DataError(_PREDICTIONS)
        if self._predicted is None:
            self._predicted = other._predicted
        self.clipped += other.clipped
        self._largest = max(self._largest, other._largest)
        self._moments.merge(other._moments)

    @property
    def rows(self) -> int:
        """Rows seen."""
        return self._moments.rows

    @property
    def predicted(self) -> bool:
        """Whether the rows came with a reward model's predictions."""
        return bool(self._predicted)

    @property
    def effective_rows(self) -> float:
        """Kish's effective sample size ``(sum w)^2 / sum w^2``: as many rows of equal weight would tell as much."""
        return self._effective(WEIGHT)

    @property
    def effective_clicks(self) -> float:
        """The same of the clicked rows alone; 0 where none has a weight."""
        return self._effective(WEIGHTED_LABEL)

    @property
    def largest_share(self) -> float:
        """The share of all weight that the heaviest row has, of rows that have any."""
        return self._largest / (self.rows * self.mean(WEIGHT))

    def require_support(self, metric: str) -> None:
        """Raise UndefinedMetric where no row has a weight.

        Args:
            metric: Who asks, for messages.
        """
        if not self.rows:
            raise UndefinedMetric(f"{metric} needs a logged row, and there is none")
        if not self.mean(WEIGHT):
            raise UndefinedMetric(
                f"{metric} needs a row that the target policy could have shown, but all {self.rows} target "
                "probabilities are 0 or next to it"
            )

    def mean(self, column: npt.NDArray[np.float64]) -> float:
        """The mean of a column, or of a linear combination of columns."""
        return float(column @ self._moments.means)

    def estimate(
        self,
        value: float,
        deviation: npt.NDArray[np.float64],
        *,
        method: str,
        level: float = LEVEL,
        interval: Callable[[float, float, float, str], Interval] = normal_interval,
    ) -> Estimate:
        """A value with its interval, or with the reason why there is none.

        Args:
            value: A function of the columns' means.
            deviation: Its linearisation: a factor for each column.
            method: What the standard error is, for the interval.
            level: Confidence level.
            interval: Makes it of the value, its standard error, the level and the method.
        """
        # Rounding can leave a variance of 0 a little below it.
        variance = max(self._moments.covariance(deviation, deviation), 0.0) if self.rows > 1 else 0.0
        error = math.sqrt(variance / self.rows)
        if is_alike(value, error):
            return Estimate(value, reason=ALIKE)
        return Estimate(value, interval(value, error, level, method))

    def _effective(self, column: npt.NDArray[np.float64]) -> float:
        total = self.rows * self.mean(column)
        squares = float(column @ self._moments.products @ column) + total * self.mean(column)
        return total**2 / squares if total else 0.0

    def _require(self, values: npt.NDArray[np.floating], good: npt.NDArray[np.bool_], name: str, why: str) -> None:
        """Raise for the first value that is not good, by its row among all that this state was given."""
        row = int(good.argmin())
        if not good[row]:
            raise DataError(f"{name} {values[row]} in row {self.rows + row} (counted from 0) {why}")
