"""Prepared numbers back in the units of the log, where people know them and any two sets compare."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.encoding.numerics import NumericStatistics
from features.schema import NumericFeature

_ROUNDING = 2.0**-23
_FLOAT64_MAX = float(np.finfo(np.float64).max)


@dataclass(frozen=True)
class Unit:
    """Undoes a numeric feature's transforms.

    Attributes:
        feature: The declaration.
        statistics: Where the chain ends in a fitted transform.
    """

    feature: NumericFeature
    statistics: NumericStatistics | None

    @property
    def logged(self) -> bool:
        """Whether the numbers went through ``log1p``."""
        return "log1p" in self.feature.transforms

    def raw(self, encoded: NDArray[np.float32]) -> NDArray[np.float64]:
        """Numbers as they were before the transforms, up to the rounding to float32; missing stays NaN.

        Never falling where ``encoded`` rises. A quantile holds no number beyond those it was fitted on, so those come
        back as the nearest one.
        """
        values = encoded.astype(np.float64)
        transform = self.feature.fitted_transform
        with np.errstate(over="ignore"):
            if transform is not None:
                assert self.statistics is not None
                if transform == "quantile":
                    values = np.interp(values, self.statistics.ranks, self.statistics.values)
                else:
                    shift, scale = self.statistics.shift_and_scale(transform)
                    values = values * scale + shift
                    # Zero in the log is this close to it after its way through float32.
                    values[np.abs(values) <= abs(shift) * _ROUNDING] = 0.0
            for _ in range(self.feature.transforms.count("log1p")):
                values = np.sign(values) * np.expm1(np.abs(values))
        # What rounding has carried past float64 stays its largest number.
        return np.clip(values, -_FLOAT64_MAX, _FLOAT64_MAX)
