"""The rows at or above each score: what ROC and precision-recall curves are made of."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from evaluation.metrics._probabilities import Floats
from evaluation.state.score_distribution import Block, Masses, ScoreDistribution


@dataclass(frozen=True)
class AtOrAbove:
    """A block, and the rows whose scores reach each of its scores; arrays have shape ``(distinct,)``.

    Attributes:
        block: The block.
        negatives: Rows of label 0 at or above each score, or the sum of their weights.
        positives: The same of label 1.
    """

    block: Block
    negatives: Floats
    positives: Floats


def at_or_above(distribution: ScoreDistribution) -> Iterator[AtOrAbove]:
    """Walk the scores in ascending order, in two passes over the blocks and a few numbers of memory a block.

    Counts are added up from the greatest score downwards: sums of weights near the top, which may be tiny beside the
    whole, keep their digits. Up to 2**53 rows the counts are exact.
    """
    sums = [(float(block.negatives.sum()), float(block.positives.sum())) for block in distribution.blocks()]
    above = list(accumulate(reversed(sums), lambda a, b: (a[0] + b[0], a[1] + b[1]), initial=(0.0, 0.0)))[-2::-1]
    for block, (negatives, positives) in zip(distribution.blocks(), above, strict=True):
        yield AtOrAbove(block, negatives + _from_the_end(block.negatives), positives + _from_the_end(block.positives))


def _from_the_end(masses: Masses) -> Floats:
    return np.cumsum(masses[::-1], dtype=np.float64)[::-1]
