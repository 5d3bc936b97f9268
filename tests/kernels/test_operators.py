"""The lookup's torch operators: what torch.compile and torch.export ask of them."""

from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn

from kernels.addressing import slot_tensor
from kernels.lookup import ops  # noqa: F401  registers torch.ops.plexrank
from kernels.lookup.dispatch import build_lookup
from kernels.lookup.kernels import kernels
from kernels.lookup.layout import TableOptimizer
from tests.kernels.definition import KEYS, ROWS, SLOTS, Case, layout, one_hot, ragged, ragged_weighted

Fused = Literal["reference", "fbgemm"]
DIM = 6
each_backend = pytest.mark.parametrize("backend", ["reference", "fbgemm"])


class Ranker(nn.Module):
    """A small model on a fused lookup."""

    def __init__(self, backend: Fused) -> None:
        super().__init__()
        self.lookup = build_lookup(layout(DIM), TableOptimizer(learning_rate=0.1), backend=backend)
        self.dense = nn.Linear(len(SLOTS) * DIM, 1)
        draw = torch.Generator().manual_seed(0)
        with torch.no_grad():
            self.lookup.table.normal_(generator=draw)
            self.dense.weight.normal_(generator=draw)
            self.dense.bias.zero_()

    def forward(self, values: Tensor, offsets: Tensor | None, weights: Tensor | None) -> Tensor:
        fields = self.lookup(values, offsets, weights)  # [B, S, D]
        logits: Tensor = self.dense(fields.flatten(1)).squeeze(1)  # [B]
        return logits


def train(model: Ranker, forward: Any) -> list[float]:
    """Six steps on batches of two kinds; the losses."""
    optimizer = torch.optim.SGD(model.dense.parameters(), lr=0.1)
    losses = []
    for step in range(6):
        model.lookup.learning_rate = 0.1 / (step + 1)
        case = (one_hot if step < 3 else ragged_weighted)(step)
        logits = forward(case.values, case.offsets, case.weights)
        loss = nn.functional.binary_cross_entropy_with_logits(logits, torch.tensor([0.0, 1.0, 1.0]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


@pytest.mark.slow
@each_backend
def test_a_compiled_model_trains_as_in_eager_mode_and_its_table_is_not_copied(
    backend: Fused, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, compiled = Ranker(backend), Ranker(backend)
    expected = train(plain, plain)
    # A copied table is one more pass over all rows: what is updated must be the table itself.
    updated = []
    update = type(kernels(backend)).update

    def watched(self: Any, table: Tensor, *arguments: Any, **options: Any) -> None:
        updated.append(table.data_ptr())
        update(self, table, *arguments, **options)

    monkeypatch.setattr(type(kernels(backend)), "update", watched)
    pointer = compiled.lookup.table.data_ptr()
    torch._dynamo.reset()
    losses = train(compiled, torch.compile(compiled, fullgraph=True))
    assert losses == pytest.approx(expected, rel=1e-6)
    torch.testing.assert_close(compiled.lookup.table, plain.lookup.table, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(compiled.lookup.state["sum"], plain.lookup.state["sum"], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(compiled.dense.weight, plain.dense.weight, rtol=1e-6, atol=1e-6)
    assert compiled.lookup.table.data_ptr() == pointer
    assert updated == [pointer] * 6


def inputs(case: Case, backend: Fused, *, pooled: bool) -> tuple[Any, ...]:
    return (case.values, case.offsets, case.weights, slot_tensor(SLOTS), KEYS, pooled, backend)


each_input = pytest.mark.parametrize(
    ("make", "pooled"), [(one_hot, True), (ragged, True), (ragged_weighted, True), (one_hot, False), (ragged, False)]
)


@each_input
@each_backend
def test_the_operators_keep_what_they_promise(backend: Fused, make: Any, pooled: bool) -> None:
    case = make(1)
    asked = inputs(case, backend, pooled=pooled)
    table = torch.randn(ROWS, DIM)
    looked_up = torch.ops.plexrank.lookup(table, *asked)
    grad = torch.randn(looked_up.shape)
    rule = ("rowwise_adagrad", 1e-8, 0.9, 0.999)
    learning_rate, step = torch.tensor(0.1, dtype=torch.float64), torch.tensor(0)
    state = [torch.rand(ROWS)]
    anchor = torch.zeros((), requires_grad=True)
    ops_ = torch.ops.plexrank
    torch.library.opcheck(ops_.lookup.default, (table.requires_grad_(), *asked))
    table = table.detach()
    torch.library.opcheck(ops_.lookup_gradient.default, (grad, ROWS, *asked))
    torch.library.opcheck(ops_.lookup_fused.default, (anchor, table, state, learning_rate, step, *asked, *rule))
    torch.library.opcheck(ops_.lookup_update.default, (table, state, learning_rate, step, grad, *asked, *rule))
