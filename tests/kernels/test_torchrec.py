"""The torchrec lookup in one process: unsharded, and sharded among one rank, which runs the same kernels as many do."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from common.errors import ConfigError
from kernels.addressing import Slot
from kernels.lookup.dispatch import build_lookup
from kernels.lookup.interface import Lookup
from kernels.lookup.layout import OptimizerKind, TableLayout, TableOptimizer
from kernels.lookup.pieces import Piece, Pieces
from kernels.lookup.torchrec import TorchrecLookup
from training.machine import Plan
from training.ranks import ranks
from training.sharding import shard

CPU, META = torch.device("cpu"), torch.device("meta")
ROWS, KEYS, BATCH = 50, 3, 16
# Two probes of key 0 and a vocabulary range of key 1; no slot reads key 2 but where a mean is asked for.
SLOTS = (
    Slot(key=0, seed=11, base=0, rows=40, mixed=True),
    Slot(key=0, seed=12, base=0, rows=40, mixed=True),
    Slot(key=1, seed=0, base=40, rows=10, mixed=False),
)
MEAN = Slot(key=2, seed=11, base=0, rows=40, mixed=True, mean=True)


@pytest.fixture
def process_group() -> Iterator[None]:
    with ranks(CPU):
        yield


def layout(dim: int, *, mean: bool = False) -> TableLayout:
    return TableLayout(keys=KEYS, slots=(*SLOTS, MEAN) if mean else SLOTS, rows=ROWS, dim=dim)


def ragged(seed: int, offsets_type: torch.dtype = torch.int64) -> tuple[Tensor, Tensor]:
    """Values and offsets of bags of 0 to 4 values, duplicates among them."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(0, 5, (KEYS * BATCH,), generator=generator)
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)]).to(offsets_type)
    return torch.randint(0, 10, (int(lengths.sum()),), generator=generator), offsets


def one_hot(seed: int) -> tuple[Tensor, None]:
    return torch.randint(0, 10, (KEYS * BATCH,), generator=torch.Generator().manual_seed(seed)), None


def batch(seed: int) -> tuple[Tensor, Tensor | None]:
    """By turns ragged and one-hot."""
    return (ragged(seed), one_hot(seed), ragged(seed, torch.int32))[seed % 3]


def drawn(dim: int) -> Tensor:
    return torch.randn(ROWS, dim, generator=torch.Generator().manual_seed(0))


def reference(of: TableLayout, kind: OptimizerKind | None, device: torch.device = CPU) -> Lookup:
    optimizer = TableOptimizer(kind=kind, learning_rate=0.1) if kind else None
    lookup = build_lookup(of, optimizer, backend="reference", device=device)
    with torch.no_grad():
        lookup.table.copy_(drawn(of.dim))
    return lookup


def sharded(
    of: TableLayout,
    kind: OptimizerKind,
    plan: Plan = "row_wise",
    device: torch.device = CPU,
    *,
    weighted: bool = False,
) -> TorchrecLookup:
    lookup = TorchrecLookup(of, TableOptimizer(kind=kind, learning_rate=0.1), META, weighted=weighted)
    shard(nn.Sequential(lookup), plan, device, initialise=Tensor.zero_, seed=0)
    assert lookup.table.count_nonzero() == 0
    lookup.table.copy_(drawn(of.dim))
    return lookup


@pytest.mark.usefixtures("process_group")
@pytest.mark.parametrize(
    ("kind", "plan"),
    [("rowwise_adagrad", "row_wise"), ("adagrad", "column_wise"), ("sgd", "table_wise")],
)
@pytest.mark.parametrize("dim", [4, 10, 256])
@pytest.mark.parametrize("mean", [False, True])
@pytest.mark.parametrize("pooled", [True, False])
def test_ten_steps_equal_the_reference(kind: OptimizerKind, plan: Plan, dim: int, mean: bool, pooled: bool) -> None:
    of = layout(dim, mean=mean)
    train_alike((reference(of, kind), sharded(of, kind, plan)), CPU, pooled=pooled)


@pytest.mark.gpu
@pytest.mark.parametrize("kind", ["rowwise_adagrad", "adagrad", "adam", "sgd"])
@pytest.mark.parametrize("pooled", [True, False])
def test_ten_steps_equal_the_reference_on_a_gpu(kind: OptimizerKind, pooled: bool) -> None:
    of = layout(10, mean=True)
    with ranks(torch.device("cuda")) as device:
        train_alike((reference(of, kind, device), sharded(of, kind, device=device)), device, pooled=pooled)


def train_alike(lookups: tuple[Lookup, TorchrecLookup], device: torch.device, *, pooled: bool) -> None:
    """Train both for ten steps and compare their outputs, tables and states."""
    for step in range(10):
        values, offsets = (None if tensor is None else tensor.to(device) for tensor in batch(step))
        assert values is not None
        outputs = []
        for lookup in lookups:
            lookup.learning_rate = 0.1 / (step + 1)
            outputs.append(lookup(values, offsets) if pooled else lookup.unpooled(values, offsets))
        torch.testing.assert_close(outputs[1], outputs[0], rtol=1e-5, atol=1e-5)
        target = torch.randn(outputs[0].shape, generator=torch.Generator().manual_seed(step)).to(device)
        for output in outputs:
            (output - target).square().sum().backward()
        torch.testing.assert_close(lookups[1].table, lookups[0].table, rtol=1e-5, atol=1e-5)
    assert lookups[1].state.keys() == lookups[0].state.keys()
    for name, state in lookups[0].state.items():
        torch.testing.assert_close(lookups[1].state[name], state, rtol=1e-5, atol=1e-5)


@pytest.mark.usefixtures("process_group")
def test_looking_up_without_gradients_changes_nothing() -> None:
    expected, lookup = reference(layout(10), "rowwise_adagrad"), sharded(layout(10), "rowwise_adagrad")
    for context in (torch.no_grad(), torch.inference_mode()):
        with context:
            values, offsets = ragged(1)  # made within, as a scorer does
            torch.testing.assert_close(lookup(values, offsets), expected(values, offsets))
    assert torch.equal(lookup.table, drawn(10))


@pytest.mark.usefixtures("process_group")
def test_weights_multiply_rows() -> None:
    values, offsets = ragged(3)
    weights = torch.rand(values.shape)
    expected, lookup = reference(layout(10, mean=True), "sgd"), sharded(layout(10, mean=True), "sgd")
    for one in (expected, lookup):
        one(values, offsets, weights).square().sum().backward()
    torch.testing.assert_close(lookup.table, expected.table)
    assert lookup.table.ne(drawn(10)).any()
    with pytest.raises(ConfigError, match="weighted=True"):
        sharded(layout(10), "sgd")(values, offsets, weights)
    weighted = sharded(layout(10), "sgd", weighted=True)
    torch.testing.assert_close(
        weighted(values, offsets, weights), reference(layout(10), "sgd")(values, offsets, weights)
    )


@pytest.mark.usefixtures("process_group")
def test_a_sharded_table_is_no_parameter_and_moves_by_state_dict() -> None:
    lookup = sharded(layout(10), "sgd")
    assert not list(lookup.parameters())
    assert list(lookup.state_dict()) == ["table"]
    moved = reference(layout(10), "sgd")
    moved.load_state_dict({"table": torch.full((ROWS, 10), 3.0)})
    lookup.load_state_dict(moved.state_dict())
    assert torch.equal(lookup.table, torch.full((ROWS, 10), 3.0))
    with pytest.raises(RuntimeError, match="shape"):
        lookup.load_state_dict({"table": torch.zeros(ROWS, 12)})


@pytest.mark.usefixtures("process_group")
def test_sharding_keeps_the_rows_of_a_table_that_has_them() -> None:
    lookup = TorchrecLookup(layout(10), TableOptimizer(kind="sgd"))
    with torch.no_grad():
        lookup.table.copy_(drawn(10))
    shard(nn.Sequential(lookup), "row_wise", CPU, initialise=Tensor.zero_, seed=0)
    assert torch.equal(lookup.table, drawn(10))


@pytest.mark.parametrize("pooled", [True, False])
def test_unsharded_it_gives_the_reference_and_its_gradient(pooled: bool) -> None:
    expected, lookup = reference(layout(10), None), TorchrecLookup(layout(10), None)
    assert lookup.table.count_nonzero() == 0
    with torch.no_grad():
        lookup.table.copy_(drawn(10))
    values, offsets = ragged(2)
    gradients = []
    for one in (expected, lookup):
        output = one(values, offsets) if pooled else one.unpooled(values, offsets)
        torch.testing.assert_close(output, expected(values, offsets) if pooled else expected.unpooled(values, offsets))
        output.square().sum().backward()
        gradients.append(next(one.parameters()).grad)
    assert gradients[0] is not None
    assert gradients[1] is not None
    torch.testing.assert_close(gradients[1][:, :10], gradients[0])


def test_unsharded_it_does_not_train_with_a_fused_update() -> None:
    lookup = TorchrecLookup(layout(10), TableOptimizer(kind="sgd"))
    with torch.no_grad():
        lookup(*one_hot(0))
    with pytest.raises(ConfigError, match="start the run with torchrun"):
        lookup(*one_hot(0))


def test_pieces_take_what_is_theirs_and_refuse_what_needs_the_whole() -> None:
    upper, corner = torch.zeros(2, 4), torch.zeros(1, 2)
    pieces = Pieces((5, 4), [Piece((0, 0), upper), Piece((4, 2), corner)])
    whole = torch.arange(20.0).view(5, 4)
    pieces.copy_(whole)
    assert torch.equal(upper, whole[:2])
    assert torch.equal(corner, whole[4:, 2:])
    assert pieces.shape == (5, 4)
    with pytest.raises(NotImplementedError, match="holds pieces"):
        pieces.sum()
