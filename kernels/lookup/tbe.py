"""A lookup whose table fbgemm's table-batched embedding holds, on a GPU or beyond its memory.

A table larger than the GPU's memory stays in the machine's, and fbgemm caches the rows in use on the GPU (unified
virtual memory). fbgemm wants widths divisible by four: other rows are padded with columns that stay zero. Row-wise
Adagrad then averages the squared gradient over the padded width P instead of D. With the gradient scaled by sqrt(P / D)
and the learning rate by sqrt(D / P), state and update come out as those of a table of width D.

Shapes: B batch, S slots, D width of a row, P padded width, R rows, M addressed values.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from common.errors import ConfigError
from common.quiet import quiet_import
from kernels.lookup.bags import Bags
from kernels.lookup.interface import Lookup
from kernels.lookup.layout import TableLayout, TableOptimizer
from kernels.lookup.reference import ReferenceKernels


class TbeLookup(Lookup):
    """Lookup by fbgemm's SplitTableBatchedEmbeddingBagsCodegen.

    Args:
        layout: The table and its slots.
        optimizer: The fused update.
        device: Where lookups are computed.
        cached: Whether the table stays in the machine's memory, its rows in use cached on the GPU.
    """

    def __init__(
        self, layout: TableLayout, optimizer: TableOptimizer, device: torch.device, *, cached: bool = False
    ) -> None:
        super().__init__(layout, optimizer)
        with quiet_import():
            from fbgemm_gpu.split_embedding_configs import EmbOptimType
            from fbgemm_gpu.split_table_batched_embeddings_ops_common import EmbeddingLocation, PoolingMode
            from fbgemm_gpu.split_table_batched_embeddings_ops_training import (
                ComputeDevice,
                SplitTableBatchedEmbeddingBagsCodegen,
            )

        on_cpu = device.type == "cpu"
        if on_cpu and (cached or optimizer.kind == "adam"):
            raise ConfigError(
                "fbgemm's table-batched embedding has neither a cache nor Adam on a CPU; use backend auto"
            )
        kinds = {
            "rowwise_adagrad": EmbOptimType.EXACT_ROWWISE_ADAGRAD,
            "adagrad": EmbOptimType.EXACT_ADAGRAD,
            "adam": EmbOptimType.ADAM,
            "sgd": EmbOptimType.EXACT_SGD,
        }
        rows, dim = layout.rows, layout.dim
        self.padded = -(-dim // 4) * 4
        self._scale = math.sqrt(self.padded / dim) if optimizer.kind == "rowwise_adagrad" else 1.0
        self._learning_rate, self._cached = optimizer.learning_rate, cached
        location = EmbeddingLocation.MANAGED_CACHING if cached else EmbeddingLocation.DEVICE
        embedding = SplitTableBatchedEmbeddingBagsCodegen(
            # One feature to fbgemm: the slots' bags follow one another, and a value alone is a bag too.
            [(rows, self.padded, EmbeddingLocation.HOST, ComputeDevice.CPU)]
            if on_cpu
            else [(rows, self.padded, location, ComputeDevice.CUDA)],
            pooling_mode=PoolingMode.SUM,
            optimizer=kinds[optimizer.kind],
            learning_rate=optimizer.learning_rate / self._scale,
            eps=optimizer.eps,
            beta1=optimizer.beta1,
            beta2=optimizer.beta2,
            device=device,
        )
        # Kept out of the module tree: its own state names are not ours.
        self._embedding = (embedding,)
        embedding.split_embedding_weights()[0].zero_()

    @property
    def _padded_table(self) -> Tensor:
        embedding = self._embedding[0]
        # What is newer in the cache comes back first, and what the caller writes must not be hidden by it.
        embedding.flush()
        if self._cached:
            embedding.reset_cache_states()
        table: Tensor = embedding.split_embedding_weights()[0].view(self.layout.rows, self.padded)
        return table

    @property
    def table(self) -> Tensor:
        """The table ``[R, D]``: the first D columns of fbgemm's."""
        return self._padded_table[:, : self.layout.dim]

    @property
    def state(self) -> Mapping[str, Tensor]:
        """The fused optimiser's state, as an unpadded table would have it."""
        assert self.optimizer is not None
        self._embedding[0].flush()
        states = self._embedding[0].split_optimizer_states()
        held: tuple[Tensor, ...] = states[0] if states else ()
        found = {}
        for (name, shape), tensor in zip(self.optimizer.state_shapes(self.layout).items(), held, strict=True):
            found[name] = tensor.view(shape[0], -1)[:, : shape[1]] if len(shape) == 2 else tensor.view(shape)
        return found

    @property
    def learning_rate(self) -> float:
        """The fused optimiser's learning rate."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self._learning_rate = value
        self._embedding[0].set_learning_rate(value / self._scale)

    @property
    def updates(self) -> int:
        """How often fbgemm has been called for training."""
        return int(self._embedding[0].iter_cpu)

    @updates.setter
    def updates(self, value: int) -> None:
        self._embedding[0].iter.fill_(value)
        self._embedding[0].iter_cpu.fill_(value)

    def _look_up(self, values: Tensor, offsets: Tensor | None, weights: Tensor | None, *, pooled: bool) -> Tensor:
        bags = Bags(values, offsets, weights, self.layout.keys)
        if not torch.is_grad_enabled():
            # fbgemm's operator exists for autograd only; without gradients there is nothing to fuse.
            padded = ReferenceKernels().forward(self._padded_table, bags, self._slots, pooled=pooled)
            return padded[..., : self.layout.dim]
        addressed = bags.address(self._slots)
        bounds = addressed.offsets
        if bounds is None or not pooled:
            bounds = torch.arange(addressed.rows.numel() + 1, device=values.device)
        found: Tensor = self._embedding[0](addressed.rows, bounds, addressed.weights if pooled else None)  # [bags, P]
        if self._scale != 1:
            found.register_hook(lambda gradient: gradient * self._scale)
        found = found[:, : self.layout.dim]
        if not pooled:
            return found
        pooled_BSD: Tensor = found.reshape(len(self.layout.slots), -1, self.layout.dim).transpose(0, 1).contiguous()
        return pooled_BSD
