"""The values of a batch, and the table rows that they read.

Shapes: B batch, K keys, S slots, N values, M addressed values (each value once a slot of its key), R rows.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from kernels.addressing import KEY, MEAN, rows_torch


@dataclass(frozen=True)
class Bags:
    """Values by (key, row) bag, as a KeyedJaggedTensor holds them.

    Attributes:
        values: int64 tokens ``[N]``, key-major, then batch.
        offsets: int32 or int64 ``[K * B + 1]`` bounds of the bags; None where each holds one value.
        weights: float32 ``[N]``, one a value; None where all are 1.
        keys: Number K of keys.
    """

    values: Tensor
    offsets: Tensor | None
    weights: Tensor | None
    keys: int

    @property
    def batch(self) -> int:
        """Rows B of the batch."""
        bags = self.values.shape[0] if self.offsets is None else self.offsets.shape[0] - 1
        return bags // self.keys

    def address(self, slots: Tensor) -> "Addressed":
        """The rows that the values read through the slots int64 ``[S, 6]``."""
        key_S, mean_S = slots[:, KEY], slots[:, MEAN].bool()
        if self.offsets is None:
            tokens_SB = self.values.view(self.keys, -1)[key_S]
            rows_SB = rows_torch(tokens_SB, slots[:, None])
            weights = None if self.weights is None else self.weights.view(self.keys, -1)[key_S].flatten()
            return Addressed(rows_SB.flatten(), None, weights)
        offsets = self.offsets.long()
        lengths_SB = offsets.diff().view(self.keys, -1)[key_S]
        totals_S = lengths_SB.sum(1)
        slot_M = torch.repeat_interleave(totals_S)
        # Each slot reads its key's run of values: the position within the run, shifted to where the run starts.
        starts_S = offsets[key_S * lengths_SB.shape[1]]
        shift_S = starts_S - (totals_S.cumsum(0) - totals_S)
        position_M = torch.arange(slot_M.numel(), device=slots.device) + shift_S[slot_M]
        rows_M = rows_torch(self.values[position_M], slots[slot_M])
        bounds = torch.cat([lengths_SB.new_zeros(1), lengths_SB.flatten().cumsum(0)])
        weights_M = None if self.weights is None else self.weights[position_M]
        if mean_S.any():
            share_SB = torch.where(mean_S[:, None], 1 / lengths_SB.clamp(min=1).float(), 1.0)
            share_M = share_SB.flatten().repeat_interleave(lengths_SB.flatten(), output_size=slot_M.numel())
            weights_M = share_M if weights_M is None else weights_M * share_M
        return Addressed(rows_M, bounds, weights_M)


@dataclass(frozen=True)
class Addressed:
    """Values after addressing: a weighted sum over each bag is all that is left to do.

    Attributes:
        rows: int64 ``[M]``, slot-major, then batch.
        offsets: int64 ``[S * B + 1]`` bounds of the bags, or None where each holds one row.
        weights: float32 ``[M]``, a mean's division folded in; None where all are 1.
    """

    rows: Tensor
    offsets: Tensor | None
    weights: Tensor | None
