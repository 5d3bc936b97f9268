"""What a lookup and its update are, in plain loops: the one thing that every backend is compared with.

Shapes: B batch, K keys, S slots, D width of a row, R rows, N values, M addressed values.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

import torch
from torch import Tensor

from kernels.addressing import Slot, rows_numpy
from kernels.lookup.layout import TableLayout, TableOptimizer

ROWS, KEYS, BATCH = 50, 4, 3
# A shared table: two probes of key 0, a vocabulary range of key 1, a pooled key 2 (mean) that shares key 0's slot.
# No slot reads key 3.
SLOTS = (
    Slot(key=0, seed=11, base=0, rows=40, mixed=True),
    Slot(key=0, seed=2**63 + 12, base=0, rows=40, mixed=True),
    Slot(key=1, seed=0, base=40, rows=10, mixed=False),
    Slot(key=2, seed=11, base=0, rows=40, mixed=True, mean=True),
)


def layout(dim: int) -> TableLayout:
    return TableLayout(keys=KEYS, slots=SLOTS, rows=ROWS, dim=dim)


@dataclass(frozen=True)
class Case:
    """A batch: values ``[N]``, offsets ``[K * B + 1]`` or None, weights ``[N]`` or None."""

    values: Tensor
    offsets: Tensor | None = None
    weights: Tensor | None = None

    def on(self, device: torch.device) -> tuple[Tensor, Tensor | None, Tensor | None]:
        offsets, weights = self.offsets, self.weights
        return (
            self.values.to(device),
            None if offsets is None else offsets.to(device),
            None if weights is None else weights.to(device),
        )

    def reads(self) -> Iterator[tuple[int, int, int, float]]:
        """Row of the batch, slot, row of the table and factor of each addressed value, slot-major, then batch."""
        bounds = torch.arange(KEYS * BATCH + 1) if self.offsets is None else self.offsets
        for s, slot in enumerate(SLOTS):
            for b in range(BATCH):
                begin, end = bounds[slot.key * BATCH + b : slot.key * BATCH + b + 2].tolist()
                for n, row in zip(count(begin), rows_numpy(self.values[begin:end].numpy(), slot), strict=False):
                    factor = 1.0 if self.weights is None else float(self.weights[n])
                    yield b, s, int(row), factor / (end - begin) if slot.mean else factor


def _values(number: int, draw: torch.Generator) -> Tensor:
    """Few different tokens, so that there are duplicates; vocabulary ids out of range too."""
    return torch.randint(-3, 12, (number,), generator=draw)


def _ragged(lengths: Tensor, offsets: torch.dtype, draw: torch.Generator, *, weighted: bool) -> Case:
    number = int(lengths.sum())
    bounds = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
    return Case(_values(number, draw), bounds.to(offsets), torch.rand(number, generator=draw) if weighted else None)


def one_hot(seed: int) -> Case:
    return Case(_values(KEYS * BATCH, torch.Generator().manual_seed(seed)))


def one_hot_weighted(seed: int) -> Case:
    draw = torch.Generator().manual_seed(seed)
    return Case(_values(KEYS * BATCH, draw), weights=torch.rand(KEYS * BATCH, generator=draw))


def ragged(seed: int) -> Case:
    """Bags of 0 to 3 values; int32 offsets."""
    draw = torch.Generator().manual_seed(seed)
    return _ragged(torch.randint(0, 4, (KEYS * BATCH,), generator=draw), torch.int32, draw, weighted=False)


def ragged_weighted(seed: int) -> Case:
    """Bags of 0 to 3 values; int64 offsets."""
    draw = torch.Generator().manual_seed(seed)
    return _ragged(torch.randint(0, 4, (KEYS * BATCH,), generator=draw), torch.int64, draw, weighted=True)


def missing_key(seed: int) -> Case:
    """Key 0 has no values at all."""
    draw = torch.Generator().manual_seed(seed)
    lengths = torch.randint(0, 4, (KEYS, BATCH), generator=draw)
    lengths[0] = 0
    return _ragged(lengths.flatten(), torch.int64, draw, weighted=False)


def long_bag(seed: int) -> Case:
    """A sequence among short bags: a table row is read more often than any kernel reads at a time."""
    draw = torch.Generator().manual_seed(seed)
    lengths = torch.ones(KEYS, BATCH, dtype=torch.int64)
    lengths[0, 1], lengths[2, 0] = 0, 30
    return _ragged(lengths.flatten(), torch.int64, draw, weighted=False)


def empty(seed: int) -> Case:
    """Bags, and no value in any."""
    return _ragged(torch.zeros(KEYS * BATCH, dtype=torch.int64), torch.int64, torch.Generator(), weighted=False)


CASES: tuple[Callable[[int], Case], ...] = (
    one_hot,
    one_hot_weighted,
    ragged,
    ragged_weighted,
    missing_key,
    long_bag,
    empty,
)


def pooled(table: Tensor, case: Case) -> Tensor:
    """The forward pass: ``[B, S, D]``."""
    output = torch.zeros(BATCH, len(SLOTS), table.shape[1], dtype=torch.float64)
    for b, s, row, factor in case.reads():
        output[b, s] += factor * table[row].double()
    return output.float()


def unpooled(table: Tensor, case: Case) -> Tensor:
    """The forward pass without pooling: ``[M, D]``."""
    rows = [row for _, _, row, _ in case.reads()]
    return table[torch.tensor(rows, dtype=torch.int64)]


def gradient(grad: Tensor, case: Case) -> Tensor:
    """The gradient of the table, ``[R, D]``, from that of the output, pooled or not."""
    result = torch.zeros(ROWS, grad.shape[-1], dtype=torch.float64)
    for m, (b, s, row, factor) in enumerate(case.reads()):
        result[row] += grad[m].double() if grad.dim() == 2 else factor * grad[b, s].double()
    return result.float()


class Trained:
    """A table and its optimiser's state, trained by the rules as they are written down.

    Args:
        table: Where it begins, ``[R, D]``.
        rule: The optimiser.
    """

    def __init__(self, table: Tensor, rule: TableOptimizer) -> None:
        self.table, self.rule = table.double(), rule
        self.state = {
            name: torch.zeros(shape, dtype=torch.float64)
            for name, shape in rule.state_shapes(layout(table.shape[1])).items()
        }

    def step(self, grad: Tensor, case: Case, learning_rate: float, t: int) -> None:
        """Apply the gradient of the output to each row that the case reads."""
        rule, state, sums = self.rule, self.state, gradient(grad, case).double()
        for row in {row for _, _, row, _ in case.reads()}:
            g = sums[row]
            match rule.kind:
                case "sgd":
                    change = g
                case "adagrad":
                    state["sum"][row] += g**2
                    change = g / (state["sum"][row].sqrt() + rule.eps)
                case "rowwise_adagrad":
                    state["sum"][row] += (g**2).mean()
                    change = g / (state["sum"][row].sqrt() + rule.eps)
                case "adam":
                    state["m"][row] += (1 - rule.beta1) * (g - state["m"][row])
                    state["v"][row] += (1 - rule.beta2) * (g**2 - state["v"][row])
                    m, v = state["m"][row] / (1 - rule.beta1**t), state["v"][row] / (1 - rule.beta2**t)
                    change = m / (v.sqrt() + rule.eps)
            self.table[row] -= learning_rate * change
