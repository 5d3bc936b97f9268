"""Means and covariances of columns that grow chunk by chunk and merge."""

from typing import Any

import numpy as np
import numpy.typing as npt


class Moments:
    """The number of rows, the means of some columns, and the sums of products of their deviations.

    Deviations are taken from each chunk's own means and chunks are joined by Chan, Golub and LeVeque's (1979) rule, so
    that nothing is lost by subtracting sums of squares. Another order of chunks changes only the last digits.

    Args:
        columns: How many columns.

    Attributes:
        rows: Rows seen.
        means: Shape ``(columns,)``.
        products: Sums over rows of deviation times deviation, shape ``(columns, columns)``.
    """

    def __init__(self, columns: int) -> None:
        self.rows = 0
        self.means: npt.NDArray[np.float64] = np.zeros(columns)
        self.products: npt.NDArray[np.float64] = np.zeros((columns, columns))

    def update(self, values: npt.NDArray[np.float64]) -> None:
        """Add rows, shape ``(columns, rows)``."""
        means = values.mean(axis=1)
        deviations = values - means[:, None]
        self._join(values.shape[1], means, deviations @ deviations.T)

    def merge(self, other: "Moments") -> None:
        """Add the rows of another, which stays as it is."""
        self._join(other.rows, other.means, other.products)

    def covariance(self, left: npt.ArrayLike, right: npt.ArrayLike) -> float:
        """The sample covariance of two linear combinations of the columns, of at least two rows.

        Args:
            left: A factor for each column, shape ``(columns,)``.
            right: The same of the other combination.
        """
        return float(np.asarray(left) @ self.products @ np.asarray(right)) / (self.rows - 1)

    def _join(self, rows: int, means: npt.NDArray[np.float64], products: npt.NDArray[Any]) -> None:
        total = self.rows + rows
        if not rows:
            return
        apart = means - self.means
        self.products = self.products + products + np.outer(apart, apart) * (self.rows * rows / total)
        self.means = self.means + apart * (rows / total)
        self.rows = total
