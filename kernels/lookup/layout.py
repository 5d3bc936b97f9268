"""What a lookup is built from: the table, the slots into it, and the update that its backward pass applies."""

from dataclasses import dataclass
from typing import Literal

from kernels.addressing import Slot

OptimizerKind = Literal["rowwise_adagrad", "adagrad", "adam", "sgd"]


@dataclass(frozen=True, kw_only=True)
class TableLayout:
    """A table and the slots into it.

    Attributes:
        keys: Features K that the sparse input carries, whether or not a slot reads them.
        slots: The slots, in the order of the output.
        rows: Rows of the table.
        dim: Width D of a row.
    """

    keys: int
    slots: tuple[Slot, ...]
    rows: int
    dim: int


@dataclass(frozen=True, kw_only=True)
class TableOptimizer:
    """The update that the backward pass applies to the rows a batch touched, and to no other.

    With g the gradient of a row, summed over the batch's duplicates, and t the number of updates so far, this one
    included:

        sgd                w -= lr g
        adagrad            s += g^2;          w -= lr g / (sqrt(s) + eps)
        rowwise_adagrad    s += mean(g^2);    w -= lr g / (sqrt(s) + eps)      one s a row
        adam               m += (1 - beta1) (g - m);    v += (1 - beta2) (g^2 - v)
                           w -= lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)

    Adam is lazy: a row that a batch does not touch keeps its w, m and v.

    Attributes:
        kind: The rule.
        learning_rate: lr.
        eps: eps.
        beta1: Of Adam.
        beta2: Of Adam.

    Sources: Duchi, Hazan, Singer 2011 (Adagrad); its row-wise form as in FBGEMM's EXACT_ROWWISE_ADAGRAD; Kingma, Ba
    2015 (Adam), applied to touched rows as FBGEMM's EXACT_ADAM and ``torch.optim.SparseAdam`` do.
    """

    kind: OptimizerKind = "rowwise_adagrad"
    learning_rate: float = 0.01
    eps: float = 1e-8
    beta1: float = 0.9
    beta2: float = 0.999

    def state_shapes(self, layout: TableLayout) -> dict[str, tuple[int, ...]]:
        """Shapes of the float32 state by name: ``sum`` of squares, or Adam's ``m`` and ``v``."""
        wide = (layout.rows, layout.dim)
        shapes: dict[OptimizerKind, dict[str, tuple[int, ...]]] = {
            "rowwise_adagrad": {"sum": (layout.rows,)},
            "adagrad": {"sum": wide},
            "adam": {"m": wide, "v": wide},
            "sgd": {},
        }
        return shapes[self.kind]
