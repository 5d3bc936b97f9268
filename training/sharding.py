"""Sharding: a ranker's table cut up among ranks, its dense part a copy on each."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from common.errors import ConfigError
from common.quiet import quiet_import
from kernels.lookup.pieces import Piece, Pieces
from kernels.lookup.torchrec import TABLE, TorchrecLookup
from training.machine import Plan
from training.ranks import on_all, rank, world_size

with quiet_import():
    from torchrec.distributed.embeddingbag import EmbeddingBagCollectionSharder
    from torchrec.distributed.model_parallel import DistributedModelParallel
    from torchrec.distributed.sharding_plan import (
        column_wise,
        construct_module_sharding_plan,
        row_wise,
        table_wise,
    )
    from torchrec.distributed.types import ShardingEnv, ShardingPlan

_FUSED = "fused"  # torchrec's name of the kernels that update in the backward pass
_COLUMNS = 4  # fbgemm's shards have a multiple of so many
_DRAWN_ROWS = 65_536  # drawn at a time, from one seed


def shard(
    model: nn.Module, plan: Plan, device: torch.device, *, initialise: Callable[[Tensor], object], seed: int
) -> nn.Module:
    """Cut up a ranker's table and share its training among all ranks; all of them must call this.

    The ranker is changed in place. To train, call what is returned in its stead: it averages the dense gradients over
    the ranks while they are computed. The table's are averaged too, and applied, by the lookup itself, so the ranker
    scores as before, if all ranks score as many batches.

    Rows of a table built on the ``meta`` device are drawn here; they depend on the seed, not on the number of ranks.
    Other tables keep their rows. Dense weights are those of rank 0.

    Args:
        model: A ranker whose lookups are :class:`kernels.lookup.torchrec.TorchrecLookup`.
        plan: How to cut.
        device: This rank's device.
        initialise: Draws the rows of a table, in place, as :meth:`models.embedding.EmbeddingSettings.initialise`.
        seed: Of the draw.

    Returns:
        The model to train with.

    Raises:
        ConfigError: The table's update cannot be sharded so.
    """
    lookups = {name: module for name, module in model.named_modules() if isinstance(module, TorchrecLookup)}
    plans: dict[str, Any] = {}
    sharder = EmbeddingBagCollectionSharder()
    for name, lookup in lookups.items():
        _refuse(lookup, plan, device)
        sharder = EmbeddingBagCollectionSharder(fused_params=lookup.fused_parameters)
        plans[f"{name}._collection"] = construct_module_sharding_plan(
            lookup.collection,
            {TABLE: _cut(lookup, plan)},
            sharder=sharder,
            local_size=world_size(),
            world_size=world_size(),
            device_type=device.type,
        )
    tables = [lookup.table for lookup in lookups.values()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchrec 1.8 calls DistributedDataParallel by an old argument
        sharded: nn.Module = DistributedModelParallel(
            model,
            env=ShardingEnv.from_process_group(dist.group.WORLD),
            device=device,
            plan=ShardingPlan(plans),
            sharders=[sharder],
        )
    for number, (name, lookup) in enumerate(lookups.items()):
        shards = plans[f"{name}._collection"][TABLE].sharding_spec.shards
        own = [tuple(one.shard_offsets) for one in shards if one.placement.rank() == rank()]
        lookup.settle(own[0] if own else (0, 0))
        with torch.no_grad():
            if tables[number].is_meta:
                _draw(lookup, initialise, (seed, number))
            else:
                lookup.table.copy_(tables[number])
    model.to(device)  # what has no dense parameter beside it, torchrec leaves where it was
    return sharded


def gather_weights(model: nn.Module) -> dict[str, Tensor]:
    """Collect a ranker's weights on rank 0, whole, as an unsharded one's ``state_dict`` has them.

    Rank 0 holds the table once besides its shard, on the CPU; the others send blocks. All ranks must call this.

    Returns:
        The weights by name; on other ranks none.
    """
    state = model.state_dict()
    wholes = {
        name: torch.empty(tensor.shape) if rank() == 0 else tensor
        for name, tensor in state.items()
        if isinstance(tensor, Pieces)
    }
    for name, holder, block in _moves(state):
        if rank() == 0:
            received = torch.empty(block.tensor.shape) if holder else block.tensor.cpu()
            if holder:
                dist.recv(received, holder)
            wholes[name][block.span] = received
        elif rank() == holder:
            dist.send(block.tensor.cpu().contiguous(), 0)
    return {**state, **wholes} if rank() == 0 else {}


def scatter_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Give a ranker whole weights that rank 0 holds, the reverse of :func:`gather_weights`; all ranks must call this.

    Args:
        model: The ranker.
        weights: Its weights by name; only rank 0's are read.
    """
    state = model.state_dict()
    for name, tensor in state.items():
        if not isinstance(tensor, Pieces):
            sent = weights[name].to(tensor.device, copy=True) if rank() == 0 else torch.empty_like(tensor)
            if world_size() > 1:
                dist.broadcast(sent, 0)
            tensor.copy_(sent)
    for name, holder, block in _moves(state):
        if rank() == 0:
            part = weights[name][block.span]
            if holder:
                dist.send(part.contiguous(), holder)
            else:
                block.tensor.copy_(part)
        elif rank() == holder:
            received = torch.empty(block.tensor.shape)
            dist.recv(received, 0)
            block.tensor.copy_(received)


def _moves(state: Mapping[str, Tensor]) -> Iterator[tuple[str, int, Piece]]:
    """Every block of every rank, in one order on all ranks: whose tensor, which rank's, and the block.

    A block of another rank has its shape and place only.
    """
    own = [(name, block) for name, tensor in state.items() if isinstance(tensor, Pieces) for block in tensor.blocks()]
    everywhere = on_all(lambda: [(name, block.offset, tuple(block.tensor.shape)) for name, block in own])
    for holder, blocks in enumerate(everywhere):
        for number, (name, offset, shape) in enumerate(blocks):
            yield name, holder, own[number][1] if holder == rank() else Piece(offset, torch.empty(shape, device="meta"))


def _refuse(lookup: TorchrecLookup, plan: Plan, device: torch.device) -> None:
    rule = lookup.optimizer
    if rule is None:
        raise ConfigError(
            "a sharded table is updated in its backward pass and has no dense gradient; "
            "set a fused optimizer.embedding such as rowwise_adagrad"
        )
    if rule.kind == "adam" and device.type == "cpu":
        raise ConfigError(
            "torchrec has no fused adam on a CPU; set optimizer.embedding: rowwise_adagrad, or run on GPUs"
        )
    rows, ranks = lookup.layout.rows, world_size()
    if plan == "row_wise" and -(-rows // ranks) * (ranks - 1) >= rows:
        raise ConfigError(
            f"a table of {rows} rows leaves one of {ranks} processes without any; lower --nproc-per-node, or shard "
            "table_wise"
        )
    if rule.kind == "rowwise_adagrad" and plan == "column_wise":
        raise ConfigError(
            "rowwise_adagrad needs a whole row's gradient, and column_wise sharding splits rows; "
            "shard row_wise, or set optimizer.embedding: adagrad"
        )


def _cut(lookup: TorchrecLookup, plan: Plan) -> Any:
    """The cut as torchrec takes it."""
    if plan == "row_wise":
        return row_wise(compute_kernel=_FUSED)
    if plan == "table_wise":
        return table_wise(rank=0, compute_kernel=_FUSED)
    units = lookup.width // _COLUMNS
    shards = min(units, world_size())
    sizes = [_COLUMNS * (units * (i + 1) // shards - units * i // shards) for i in range(shards)]
    return column_wise(size_per_rank=sizes, compute_kernel=_FUSED)


def _draw(lookup: TorchrecLookup, initialise: Callable[[Tensor], object], seed: tuple[int, int]) -> None:
    """Draw rows, in blocks of a seed each, and keep what belongs to this rank."""
    rows, dim = lookup.layout.rows, lookup.layout.dim
    table = lookup.table
    pieces = table.pieces if isinstance(table, Pieces) else (Piece((0, 0), table),)
    before = torch.get_rng_state()
    for piece in pieces:
        (first, column), (count, columns) = piece.offset, piece.tensor.shape
        for block in range(first // _DRAWN_ROWS, -(-(first + count) // _DRAWN_ROWS)):
            start = block * _DRAWN_ROWS
            entropy = np.random.SeedSequence(seed[0], spawn_key=(seed[1], block)).generate_state(1, np.uint64)
            torch.default_generator.manual_seed(int(entropy[0]))
            drawn = torch.zeros(min(_DRAWN_ROWS, rows - start), dim)
            initialise(drawn)
            low, high = max(first, start), min(first + count, start + drawn.shape[0])
            piece.tensor[low - first : high - first] = drawn[low - start : high - start, column : column + columns]
    torch.set_rng_state(before)
