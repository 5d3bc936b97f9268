"""What every lookup backend is: one table, its slots, and the update its backward applies.

Shapes: B batch, K keys, S slots, D width of a row, N values, M addressed values (each value once a slot of its key).
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from kernels.addressing import Slot, SlotTensors, rows_torch


@dataclass(frozen=True, kw_only=True)
class TableOptimizer:
    """The update that the backward pass applies to the rows a batch touched, and to no other.

    With g the gradient of a row, summed over the batch's duplicates:

        sgd                w -= lr * g
        adagrad            s += g^2;          w -= lr * g / (sqrt(s) + eps)
        rowwise_adagrad    s += mean(g^2);    w -= lr * g / (sqrt(s) + eps)      one s a row

    Attributes:
        kind: The rule.
        learning_rate: lr.
        eps: eps.

    Sources: Duchi, Hazan, Singer 2011 (Adagrad); its row-wise form as in FBGEMM's EXACT_ROWWISE_ADAGRAD.
    """

    kind: Literal["rowwise_adagrad", "adagrad", "sgd"] = "rowwise_adagrad"
    learning_rate: float = 0.01
    eps: float = 1e-8


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


class Lookup(nn.Module, ABC):
    """One table and the slots into it.

    With an optimiser the table is no ``nn.Parameter``: the backward pass updates the touched rows in place. Without
    one it is a parameter with a dense gradient, for an optimiser outside.

    Args:
        layout: The table and its slots.
        optimizer: The fused update, or None for a dense gradient.
    """

    _slot_key: Tensor
    _slot_seed: Tensor
    _slot_base: Tensor
    _slot_rows: Tensor
    _slot_mixed: Tensor
    _slot_mean: Tensor

    def __init__(self, layout: TableLayout, optimizer: TableOptimizer | None) -> None:
        super().__init__()
        self.layout, self.optimizer = layout, optimizer
        self.learning_rate = optimizer.learning_rate if optimizer else 0.0
        tensors = SlotTensors.of(layout.slots)
        for name in ("key", "seed", "base", "rows", "mixed", "mean"):
            self.register_buffer(f"_slot_{name}", getattr(tensors, name), persistent=False)
        self._any_mean = any(slot.mean for slot in layout.slots)

    @property
    @abstractmethod
    def table(self) -> Tensor:
        """The table ``[rows, D]``, the live storage: writing to it changes the lookup."""

    @property
    @abstractmethod
    def state(self) -> Mapping[str, Tensor]:
        """The fused optimiser's state by name: ``sum`` is ``[rows]`` (row-wise) or ``[rows, D]``."""

    @abstractmethod
    def _pool(self, rows: Tensor, offsets: Tensor | None) -> Tensor:
        """Gather rows and sum each bag.

        Args:
            rows: int64 ``[M]``, slot-major, then batch.
            offsets: int64 ``[S * B + 1]`` of the bags, or None where every bag holds one row.

        Returns:
            float32 ``[B, S, D]``.
        """

    def forward(self, values: Tensor, offsets: Tensor | None) -> Tensor:
        """Look up the pooled rows of every slot.

        Args:
            values: int64 tokens ``[N]``, key-major, then batch (the layout of a KeyedJaggedTensor).
            offsets: int64 ``[K * B + 1]`` bounds of each (key, row) bag; None where each holds one value.

        Returns:
            float32 ``[B, S, D]``; an empty bag gives zeros.
        """
        if offsets is None:
            tokens_SB = values.view(self.layout.keys, -1)[self._slot_key]
            return self._pool(self._rows(tokens_SB, slice(None)).flatten(), None)
        lengths_SB = offsets.diff().view(self.layout.keys, -1)[self._slot_key]
        totals_S = lengths_SB.sum(1)
        slot_M = torch.repeat_interleave(totals_S)
        # Each slot reads its key's run of values: the position within the run, shifted to where the run starts.
        starts_S = offsets[self._slot_key * lengths_SB.shape[1]]
        shift_S = starts_S - (totals_S.cumsum(0) - totals_S)
        position_M = torch.arange(slot_M.numel(), device=values.device) + shift_S[slot_M]
        rows_M = self._rows(values[position_M], slot_M)
        bounds = torch.cat([lengths_SB.new_zeros(1), lengths_SB.flatten().cumsum(0)])
        pooled_BSD = self._pool(rows_M, bounds)
        if not self._any_mean:
            return pooled_BSD
        divisor_SB = torch.where(self._slot_mean[:, None], lengths_SB.clamp(min=1), 1)
        return pooled_BSD / divisor_SB.T.unsqueeze(2)

    def _rows(self, tokens: Tensor, slot: Tensor | slice) -> Tensor:
        """Table rows of tokens ``[M]`` with their slots ``[M]``, or ``[S, B]`` with all slots."""
        fields = [field[slot] for field in (self._slot_seed, self._slot_base, self._slot_rows, self._slot_mixed)]
        if isinstance(slot, slice):
            fields = [field[:, None] for field in fields]
        return rows_torch(tokens, *fields)

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
