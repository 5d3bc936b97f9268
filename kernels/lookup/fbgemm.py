"""The fbgemm backend: one table-batched embedding, its optimiser fused into the backward pass.

fbgemm wants rows whose width is a multiple of four, so a table of another width is padded with columns that stay zero.
Row-wise Adagrad averages the squared gradient over the padded width P instead of D: every accumulator is D/P of what it
should be. With both lr and eps scaled by sqrt(D/P) the update comes out the same, and ``state`` scales back.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from common.errors import ConfigError
from common.quiet import quiet_import
from kernels.lookup.interface import Lookup, TableLayout, TableOptimizer
from kernels.lookup.reference import gather


class FbgemmLookup(Lookup):
    """Lookup by fbgemm's table-batched embedding, on the CPU."""

    def __init__(self, layout: TableLayout, optimizer: TableOptimizer | None) -> None:
        super().__init__(layout, optimizer)
        rows, dim = layout.rows, layout.dim
        if optimizer is None:
            raise ConfigError(
                "backend fbgemm updates the table in its backward pass and gives no dense gradient; "
                "use backend reference, or a fused optimizer.embedding such as rowwise_adagrad"
            )
        with quiet_import():
            from fbgemm_gpu.split_embedding_configs import EmbOptimType
            from fbgemm_gpu.split_table_batched_embeddings_ops_common import EmbeddingLocation
            from fbgemm_gpu.split_table_batched_embeddings_ops_training import (
                ComputeDevice,
                SplitTableBatchedEmbeddingBagsCodegen,
            )

        kinds = {
            "rowwise_adagrad": EmbOptimType.EXACT_ROWWISE_ADAGRAD,
            "adagrad": EmbOptimType.EXACT_ADAGRAD,
            "sgd": EmbOptimType.EXACT_SGD,
        }
        self.padded = -(-dim // 4) * 4
        self._scale = math.sqrt(dim / self.padded) if optimizer.kind == "rowwise_adagrad" else 1.0
        embedding = SplitTableBatchedEmbeddingBagsCodegen(
            [(rows, self.padded, EmbeddingLocation.HOST, ComputeDevice.CPU)],
            feature_table_map=[0] * len(layout.slots),
            optimizer=kinds[optimizer.kind],
            learning_rate=optimizer.learning_rate * self._scale,
            eps=optimizer.eps * self._scale,
        )
        # Kept out of the module tree: its own state names are not ours.
        self._tbe = (embedding,)
        self._padded_table: Tensor = embedding.split_embedding_weights()[0].view(rows, self.padded)
        self._padded_table.zero_()

    @property
    def table(self) -> Tensor:
        """The table ``[rows, D]``: the first D columns of fbgemm's."""
        return self._padded_table[:, : self.layout.dim]

    @property
    def state(self) -> Mapping[str, Tensor]:
        """The fused optimiser's state, as an unpadded table would have it."""
        states = self._tbe[0].split_optimizer_states()
        if not states:
            return {}
        total: Tensor = states[0][0]
        return {"sum": total[:, : self.layout.dim] if total.dim() == 2 else total / self._scale**2}

    def _pool(self, rows: Tensor, offsets: Tensor | None) -> Tensor:
        slots, dim = len(self.layout.slots), self.layout.dim
        if not torch.is_grad_enabled():
            # fbgemm's operator exists for autograd only; without gradients there is nothing to fuse.
            summed = gather(self._padded_table, rows, offsets)
            return summed.view(slots, -1, self.padded).transpose(0, 1)[:, :, :dim]
        if offsets is None:
            offsets = torch.arange(rows.numel() + 1, device=rows.device)
        embedding = self._tbe[0]
        embedding.set_learning_rate(self.learning_rate * self._scale)
        pooled: Tensor = embedding(rows, offsets)
        return pooled.view(-1, slots, self.padded)[:, :, :dim]
