"""How many rows of each class have scores in each of fixed bins: a small state for monitoring."""

import numpy as np
import numpy.typing as npt

from common.errors import ConfigError, DataError
from evaluation._inputs import checked_labels, checked_scores

_BINS = 4096


class ScoreHistogram:
    """Rows by bin of their score; memory does not grow with the rows.

    Bin ``i`` holds the scores from ``edges[i - 1]`` up to, but without, ``edges[i]``; the first and the last bin are
    open, so that every finite score has one. Equal scores share a bin, and a higher score never has a lower one.

    Args:
        edges: Ascending, finite, shape ``(bins - 1,)``; by default 4,097 of them cut 0 to 1 into 4,096 equal widths.

    Attributes:
        edges: The edges, float64.
        negatives: Rows of label 0 in each bin, int64 of shape ``(bins,)``.
        positives: The same of label 1.

    Raises:
        ConfigError: The edges are not ascending or not finite, or there are none.
    """

    def __init__(self, edges: npt.ArrayLike | None = None) -> None:
        self.edges = np.linspace(0, 1, _BINS + 1) if edges is None else np.array(edges, np.float64)
        if self.edges.ndim != 1 or not self.edges.size:
            raise ConfigError(f"edges of bins must be a list of numbers, got shape {self.edges.shape}")
        if not np.isfinite(self.edges).all() or (np.diff(self.edges) <= 0).any():
            raise ConfigError("edges of bins must be finite and each above the one before; sort them, drop repeats")
        self.negatives = np.zeros(self.edges.size + 1, np.int64)
        self.positives = np.zeros(self.edges.size + 1, np.int64)

    def update(self, labels: npt.ArrayLike, scores: npt.ArrayLike) -> None:
        """Add rows.

        Args:
            labels: 0 or 1 a row, shape ``(rows,)``, of any boolean, integer or floating dtype.
            scores: Finite numbers of any range, shape ``(rows,)``, float32 or float64.

        Raises:
            DataError: The inputs break one of the rules above.
        """
        is_positive = checked_labels(labels)
        values = checked_scores(scores, is_positive.size)
        bins = np.searchsorted(self.edges, values, side="right")
        positives = np.bincount(bins[is_positive], minlength=self.positives.size)
        self.negatives += np.bincount(bins, minlength=self.negatives.size) - positives
        self.positives += positives

    def merge(self, other: "ScoreHistogram") -> None:
        """Add the rows of another histogram, which stays as it is.

        Raises:
            DataError: Its bins are others.
        """
        if not np.array_equal(self.edges, other.edges):
            raise DataError("histograms of different bins cannot be merged; make both with the same edges")
        self.negatives += other.negatives
        self.positives += other.positives
