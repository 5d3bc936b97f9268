"""A lookup whose table is one plain tensor; kernels of its backend read and update it."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from kernels.lookup import ops  # noqa: F401  registers torch.ops.plexrank
from kernels.lookup.interface import Lookup
from kernels.lookup.kernels import KernelName
from kernels.lookup.layout import TableLayout, TableOptimizer


class TableLookup(Lookup):
    """Lookup in a plain tensor.

    Args:
        layout: The table and its slots.
        optimizer: The fused update, or None for a dense gradient.
        backend: Whose kernels to use.
        device: Where the table lives.
    """

    def __init__(
        self, layout: TableLayout, optimizer: TableOptimizer | None, backend: KernelName, device: torch.device
    ) -> None:
        super().__init__(layout, optimizer)
        self.backend = backend
        table = torch.zeros(layout.rows, layout.dim, device=device)
        if optimizer is None:
            self._table: Tensor = nn.Parameter(table)
        else:
            self.register_buffer("_table", table, persistent=False)
            self._anchor = torch.zeros((), device=device, requires_grad=True)
            for name, shape in optimizer.state_shapes(layout).items():
                self.register_buffer(f"_state_{name}", torch.zeros(shape, device=device), persistent=False)
        self._learning_rate = torch.tensor(optimizer.learning_rate if optimizer else 0.0, dtype=torch.float64)
        self._step = torch.tensor(0)

    @property
    def table(self) -> Tensor:
        """The table ``[R, D]``."""
        return self._table

    @property
    def state(self) -> Mapping[str, Tensor]:
        """The fused optimiser's state."""
        names = self.optimizer.state_shapes(self.layout) if self.optimizer else ()
        return {name: getattr(self, f"_state_{name}") for name in names}

    @property
    def learning_rate(self) -> float:
        """The fused optimiser's learning rate."""
        return float(self._learning_rate)

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self._learning_rate.fill_(value)

    @property
    def updates(self) -> int:
        """How often the fused optimiser has been applied."""
        return int(self._step)

    @updates.setter
    def updates(self, value: int) -> None:
        self._step.fill_(value)

    def _look_up(self, values: Tensor, offsets: Tensor | None, weights: Tensor | None, *, pooled: bool) -> Tensor:
        inputs = (values, offsets, weights, self._slots, self.layout.keys, pooled, self.backend)
        looked_up: Tensor
        if self.optimizer is None or not torch.is_grad_enabled():
            looked_up = torch.ops.plexrank.lookup(self._table, *inputs)
        else:
            rule = self.optimizer
            looked_up = torch.ops.plexrank.lookup_fused(
                self._anchor,
                self._table,
                list(self.state.values()),
                self._learning_rate,
                self._step,
                *inputs,
                rule.kind,
                rule.eps,
                rule.beta1,
                rule.beta2,
            )
        return looked_up
