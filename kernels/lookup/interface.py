"""What every lookup is to the model that reads it, whichever backend holds the table.

Shapes: B batch, K keys, S slots, D width of a row, R rows, N values, M addressed values (each value once a slot of its
key).
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from common.errors import DataError
from kernels.addressing import slot_tensor
from kernels.lookup.layout import TableLayout, TableOptimizer


class Lookup(nn.Module, ABC):
    """One table and the slots into it.

    With an optimiser the table is no ``nn.Parameter``: the backward pass updates the touched rows in place. Without
    one it is a parameter with a dense gradient, for an optimiser outside.

    Args:
        layout: The table and its slots.
        optimizer: The fused update, or None for a dense gradient.

    Attributes:
        chosen: Which backend holds the table and why, in words; :func:`kernels.lookup.dispatch.build_lookup` says it.
    """

    _slots: Tensor

    def __init__(self, layout: TableLayout, optimizer: TableOptimizer | None) -> None:
        super().__init__()
        self.layout, self.optimizer = layout, optimizer
        self.chosen = ""
        self.register_buffer("_slots", slot_tensor(layout.slots), persistent=False)

    @property
    @abstractmethod
    def table(self) -> Tensor:
        """The table ``[R, D]``, the live storage: writing to it changes the lookup."""

    @property
    @abstractmethod
    def state(self) -> Mapping[str, Tensor]:
        """The fused optimiser's state by name, in the shapes of ``optimizer.state_shapes``."""

    @property
    @abstractmethod
    def learning_rate(self) -> float:
        """The fused optimiser's learning rate; it may be set between steps."""

    @learning_rate.setter
    @abstractmethod
    def learning_rate(self, value: float) -> None: ...

    @property
    @abstractmethod
    def updates(self) -> int:
        """How often the fused optimiser has been applied, which Adam's correction depends on; it may be set."""

    @updates.setter
    @abstractmethod
    def updates(self, value: int) -> None: ...

    @abstractmethod
    def _look_up(self, values: Tensor, offsets: Tensor | None, weights: Tensor | None, *, pooled: bool) -> Tensor:
        """Checked arguments of :meth:`forward` (pooled) or :meth:`unpooled`, and their result."""

    def forward(self, values: Tensor, offsets: Tensor | None = None, weights: Tensor | None = None) -> Tensor:
        """Look up the pooled rows of every slot.

        Args:
            values: int64 tokens ``[N]``, key-major, then batch (the layout of a KeyedJaggedTensor).
            offsets: int32 or int64 ``[K * B + 1]`` bounds of each (key, row) bag; None where each holds one value.
            weights: float32 ``[N]`` that multiply the values' rows before they are summed (a mean still divides by the
                number of values); None for all 1. They get no gradient.

        Returns:
            float32 ``[B, S, D]``; an empty bag gives zeros.

        Raises:
            DataError: A dtype or a length is wrong.
        """
        self._check(values, offsets, weights)
        return self._look_up(values, offsets, weights, pooled=True)

    def unpooled(self, values: Tensor, offsets: Tensor | None = None) -> Tensor:
        """Look up every value's row, for models that pool sequences themselves.

        Args:
            values: As in :meth:`forward`.
            offsets: As in :meth:`forward`.

        Returns:
            float32 ``[M, D]``, slot-major; within a slot in the order of its key's values.

        Raises:
            DataError: A dtype or a length is wrong.
        """
        self._check(values, offsets, None)
        return self._look_up(values, offsets, None, pooled=False)

    def _check(self, values: Tensor, offsets: Tensor | None, weights: Tensor | None) -> None:
        if values.dtype != torch.int64 or values.dim() != 1:
            raise DataError(f"values are {_shown(values)}; tokens and ids are int64 [values]")
        if offsets is not None and (offsets.dtype not in (torch.int32, torch.int64) or offsets.dim() != 1):
            raise DataError(f"offsets are {_shown(offsets)}; they are int32 or int64 [keys * batch + 1]")
        bags = values.shape[0] if offsets is None else offsets.shape[0] - 1
        if bags % self.layout.keys:
            raise DataError(f"{bags} bags cannot be shared out among {self.layout.keys} keys; give each key all rows")
        if weights is not None and (weights.dtype != torch.float32 or weights.shape != values.shape):
            raise DataError(f"weights are {_shown(weights)}; they are float32, one a value")

    def extra_repr(self) -> str:
        """What ``print(model)`` shows of a lookup."""
        update = self.optimizer.kind if self.optimizer else "dense gradient"
        return f"rows={self.layout.rows}, dim={self.layout.dim}, slots={len(self.layout.slots)}, {update}"

    # The artifact's name for the table is the same whichever backend holds it.
    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        destination[prefix + "table"] = self.table if keep_vars else self.table.detach()

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:
        _, _, missing_keys, unexpected_keys, error_messages = args
        loaded = state_dict.get(prefix + "table")
        if loaded is None:
            missing_keys.append(prefix + "table")
        elif loaded.shape != self.table.shape:
            error_messages.append(f"{prefix}table: shape {tuple(loaded.shape)}, not {tuple(self.table.shape)}")
        else:
            with torch.no_grad():
                self.table.copy_(loaded)
        unexpected_keys.extend(k for k in state_dict if k.startswith(prefix) and k != prefix + "table")


def _shown(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
