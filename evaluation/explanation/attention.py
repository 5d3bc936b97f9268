"""The attention that fields pay to one another, of all rows and of single ones.

Shapes: L layers, H heads, F fields.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Weights = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RowAttention:
    """The attention in one row.

    Attributes:
        row: The row's position in the raw input.
        label: 0 or 1.
        probability: What the model predicts.
        values: Of each field, its value as text.
        weights: ``[L, H, F, F]``: how much of what a field takes up comes from each field; the last axis sums to 1.
    """

    row: int
    label: int
    probability: float
    values: tuple[str, ...]
    weights: Weights

    def to_json_dict(self) -> dict[str, Any]:
        """In types that strict JSON knows."""
        return {
            "row": self.row,
            "label": self.label,
            "probability": self.probability,
            "values": list(self.values),
            "weights": self.weights.tolist(),
        }


@dataclass(frozen=True)
class Attention:
    """The attention of a model.

    Attributes:
        fields: Names of the F fields.
        mean: Over rows, ``[L, H, F, F]``.
        rows: Of single rows.
    """

    fields: tuple[str, ...]
    mean: Weights
    rows: tuple[RowAttention, ...] = ()

    def to_json_dict(self) -> dict[str, Any]:
        """In types that strict JSON knows."""
        return {
            "fields": list(self.fields),
            "mean": self.mean.tolist(),
            "rows": [row.to_json_dict() for row in self.rows],
        }
