"""The torchrec backend: one EmbeddingBagCollection, which DistributedModelParallel cuts up among devices.

The collection has one table and a feature a slot. Rows are addressed here, before they are sent to where they live, so
that a weighted sum over each bag is all that the collection does.

fbgemm wants rows whose width is a multiple of four: a table of another width is padded with columns that stay zero.
Row-wise Adagrad then averages the squared gradient over the padded width P instead of D. With the gradient scaled by
sqrt(P / D) and the learning rate by sqrt(D / P), state and update come out as those of a table of width D.

Shapes: B batch, S slots, D width of a row, P padded width, R rows, N values, M addressed values, n bags a slot.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from common.errors import ConfigError
from common.quiet import quiet_import
from kernels.lookup.bags import Bags
from kernels.lookup.interface import Lookup
from kernels.lookup.layout import TableLayout, TableOptimizer
from kernels.lookup.pieces import Piece, Pieces

with quiet_import():
    from fbgemm_gpu.split_embedding_configs import EmbOptimType
    from fbgemm_gpu.split_table_batched_embeddings_ops_training import SplitTableBatchedEmbeddingBagsCodegen
    from torchrec.modules.embedding_configs import EmbeddingBagConfig, PoolingType
    from torchrec.modules.embedding_modules import EmbeddingBagCollection
    from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

TABLE = "table"
"""The table's name in the collection."""

_MULTIPLE = 4
_KINDS = {
    "rowwise_adagrad": EmbOptimType.EXACT_ROWWISE_ADAGRAD,
    "adagrad": EmbOptimType.EXACT_ADAGRAD,
    "adam": EmbOptimType.ADAM,
    "sgd": EmbOptimType.EXACT_SGD,
}


class TorchrecLookup(Lookup):
    """Lookup in a collection, to be sharded by :func:`training.sharding.shard`.

    Before that it is an ordinary collection, without the fused update. On the ``meta`` device it has no memory until
    then, so that a table larger than any one device can be built.

    Both :meth:`forward` and :meth:`unpooled` read the one table; torchrec's EmbeddingCollection, made for the latter,
    would own a second one.

    Args:
        layout: The table and its slots.
        optimizer: The fused update, or None for a dense gradient, which cannot be sharded.
        device: Where the table lives until it is sharded.
        weighted: Whether :meth:`forward` may get weights; they cost the backward pass a pass over the rows.
    """

    def __init__(
        self,
        layout: TableLayout,
        optimizer: TableOptimizer | None,
        device: torch.device | None = None,
        *,
        weighted: bool = False,
    ) -> None:
        super().__init__(layout, optimizer)
        self.width = -(-layout.dim // _MULTIPLE) * _MULTIPLE
        rowwise = optimizer is not None and optimizer.kind == "rowwise_adagrad"
        self._scale = math.sqrt(self.width / layout.dim) if rowwise else 1.0
        self._weighted = weighted or any(slot.mean for slot in layout.slots)
        self._features = [str(slot) for slot in range(len(layout.slots))]
        self._collection = EmbeddingBagCollection(
            tables=[
                EmbeddingBagConfig(
                    name=TABLE,
                    embedding_dim=self.width,
                    num_embeddings=layout.rows,
                    feature_names=self._features,
                    pooling=PoolingType.SUM,
                    init_fn=torch.nn.init.zeros_,
                )
            ],
            is_weighted=self._weighted,
            device=device or torch.device("cpu"),
        )
        self._sharded: tuple[Any, ...] = ()
        self._tables: list[Any] = []
        self._offset = (0, 0)
        self._learning_rate = optimizer.learning_rate if optimizer else 0.0
        self._step = torch.tensor(0)

    @property
    def collection(self) -> EmbeddingBagCollection:
        """The collection; once sharded, torchrec's sharded one."""
        return self._sharded[0] if self._sharded else self._collection

    @property
    def fused_parameters(self) -> dict[str, Any]:
        """The fused update as torchrec's sharder takes it."""
        rule = self.optimizer
        assert rule is not None
        return {
            "optimizer": _KINDS[rule.kind],
            "learning_rate": rule.learning_rate,
            "eps": rule.eps,
            "beta1": rule.beta1,
            "beta2": rule.beta2,
        }

    def settle(self, offset: tuple[int, int]) -> None:
        """Take over the sharded collection that has replaced the plain one; its rows are zero.

        It is kept out of the module tree from now on: the table is updated in the backward pass, and no parameter.

        Args:
            offset: First row and first column of the shard that this process holds, if it holds one.
        """
        self._sharded = (self._collection,)
        del self._collection
        self._offset = offset
        modules = [module for lookup in self.collection._lookups for module in lookup.modules()]
        self._tables = [m for m in modules if isinstance(m, SplitTableBatchedEmbeddingBagsCodegen)]
        for table in self._tables:
            table.split_embedding_weights()[0].zero_()
        self.learning_rate = self._learning_rate

    @property
    def table(self) -> Tensor:
        """The table ``[R, D]``, the live storage; :class:`Pieces` of it where other processes hold the rest."""
        if not self._sharded:
            weight: Tensor = self._collection.embedding_bags[TABLE].weight
            return weight[:, : self.layout.dim]
        return self._whole((self.layout.rows, self.layout.dim), [t.split_embedding_weights()[0] for t in self._tables])

    @property
    def state(self) -> Mapping[str, Tensor]:
        """The fused optimiser's state by name, in whole or as :class:`Pieces`; none until the lookup is sharded."""
        if not self._sharded or self.optimizer is None:
            return {}
        shapes = self.optimizer.state_shapes(self.layout)
        return {
            name: self._whole(shape, [table.split_optimizer_states()[0][i] for table in self._tables])
            for i, (name, shape) in enumerate(shapes.items())
        }

    @property
    def learning_rate(self) -> float:
        """The fused optimiser's learning rate."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self._learning_rate = value
        for table in self._tables:
            table.set_learning_rate(value / self._scale)

    @property
    def updates(self) -> int:
        """How often the fused optimiser has been applied."""
        return int(self._step)

    @updates.setter
    def updates(self, value: int) -> None:
        self._step.fill_(value)

    def _whole(self, shape: tuple[int, ...], shards: Sequence[Tensor]) -> Tensor:
        """A table-shaped or row-shaped tensor of this process's shard, less its padding."""
        offset = self._offset[: len(shape)]
        pieces = [
            Piece(offset, shard[:, : max(0, shape[1] - offset[1])] if len(shape) > 1 else shard) for shard in shards
        ]
        if dist.get_world_size() == 1:
            return pieces[0].tensor
        return Pieces(shape, [piece for piece in pieces if piece.tensor.numel()])

    def _look_up(self, values: Tensor, offsets: Tensor | None, weights: Tensor | None, *, pooled: bool) -> Tensor:
        if weights is not None and not self._weighted:
            raise ConfigError("this torchrec lookup was built without weights; build it with weighted=True")
        bags = Bags(values, offsets, weights, self.layout.keys)
        if torch.is_inference_mode_enabled():
            # fbgemm's operator exists for autograd only.
            with torch.inference_mode(False), torch.no_grad():
                return self._pool(bags, pooled=pooled)
        if torch.is_grad_enabled() and self.optimizer is not None:
            self._begin_update()
        return self._pool(bags, pooled=pooled)

    def _begin_update(self) -> None:
        if not self._sharded:
            raise ConfigError(
                "backend torchrec updates its table only once it is sharded; start the run with torchrun, or take "
                "another backend"
            )
        # fbgemm counts forward passes, those that score among them; Adam's correction is by updates.
        for table in self._tables:
            table.iter.fill_(int(self._step))
            table.iter_cpu.fill_(int(self._step))
        self._step += 1

    def _pool(self, bags: Bags, *, pooled: bool) -> Tensor:
        addressed = bags.address(self._slots)
        slots, dim, count = len(self.layout.slots), self.layout.dim, addressed.rows.numel()
        if pooled:
            lengths_SB = (
                addressed.rows.new_ones(slots, bags.batch)
                if addressed.offsets is None
                else addressed.offsets.diff().view(slots, -1)
            )
            lengths_Sn = F.pad(lengths_SB, (0, self._agreed(bags.batch) - bags.batch))
        else:
            # A bag a value. Which slot's bag makes no difference: all slots read the one table.
            n = self._agreed(-(-count // slots))
            lengths_Sn = F.pad(addressed.rows.new_ones(count), (0, slots * n - count)).view(slots, n)
        weights_M = addressed.weights if pooled else None
        if self._weighted and weights_M is None:
            weights_M = torch.ones(count, device=addressed.rows.device)
        sparse = KeyedJaggedTensor(
            keys=self._features, values=addressed.rows, lengths=lengths_Sn.flatten(), weights=weights_M
        )
        pooled_nSP: Tensor = self.collection(sparse).values().unflatten(1, (slots, self.width))
        if pooled_nSP.requires_grad and self._sharded and self._scale != 1:
            pooled_nSP.register_hook(lambda gradient: gradient * self._scale)
        if pooled:
            return pooled_nSP[: bags.batch, :, :dim]
        return pooled_nSP.transpose(0, 1).flatten(0, 1)[:count, :dim]

    def _agreed(self, bags: int) -> int:
        """The most bags that any process has, all processes being here: gloo moves tensors of one size only."""
        if not self._sharded or dist.get_world_size() == 1:
            return bags
        most = torch.tensor(bags)
        dist.all_reduce(most, dist.ReduceOp.MAX)
        return int(most)
