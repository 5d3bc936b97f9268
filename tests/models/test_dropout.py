"""Dropout: what it drops, how often, and that compiled draws are draws too."""

import pytest
import torch
from torch import Tensor, nn

from models.blocks.dropout import Dropout, dropout


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_each_number_is_dropped_at_the_rate_and_the_mean_stays(rate: float) -> None:
    torch.manual_seed(0)
    rows = dropout(torch.ones(4000, 50), rate)
    kept = rows != 0
    assert kept.float().mean().item() == pytest.approx(1 - rate, abs=4 * (rate * (1 - rate) / 200_000) ** 0.5)
    assert kept.float().mean(0).sub(1 - rate).abs().max() < 5 * (rate * (1 - rate) / 4000) ** 0.5
    torch.testing.assert_close(rows[kept], torch.full_like(rows[kept], 1 / (1 - rate)), rtol=1e-3, atol=0)


def test_neighbours_are_dropped_independently() -> None:
    """Four numbers share a draw."""
    torch.manual_seed(1)
    kept = (dropout(torch.ones(40_000, 4), 0.5) != 0).float()
    correlation = torch.corrcoef(kept.T) - torch.eye(4)
    assert correlation.abs().max() < 5 / 40_000**0.5


@pytest.mark.parametrize("shape", [(), (1,), (3, 5), (2, 3, 7), (0, 4)])
def test_any_shape_and_precision(shape: tuple[int, ...]) -> None:
    for dtype in (torch.float32, torch.bfloat16, torch.float64):
        dropped = dropout(torch.ones(shape, dtype=dtype), 0.5)
        assert dropped.shape == shape
        assert dropped.dtype == dtype
        assert bool(((dropped == 0) | (dropped == 2)).all())


def test_it_drops_in_training_only_and_nothing_at_rate_zero() -> None:
    x = torch.randn(64)
    layer = Dropout(0.5)
    assert not torch.equal(layer(x), x)
    assert torch.equal(layer.eval()(x), x)
    assert torch.equal(Dropout(0.0)(x), x)


def test_a_relu_may_stand_before_or_behind() -> None:
    x = torch.randn(200)
    torch.manual_seed(3)
    behind = dropout(x.relu(), 0.5)
    torch.manual_seed(3)
    torch.testing.assert_close(dropout(x, 0.5).relu(), behind)


def test_a_rate_of_nearly_one_stays_finite() -> None:
    assert bool(dropout(torch.ones(1000), 1 - 1e-9).isfinite().all())


def test_draws_follow_the_seed() -> None:
    drawn = []
    for _ in range(2):
        torch.manual_seed(7)
        drawn.append([dropout(torch.ones(100), 0.5) for _ in range(2)])
    assert torch.equal(drawn[0][0], drawn[1][0])
    assert not torch.equal(drawn[0][0], drawn[0][1])


@pytest.mark.parametrize("compiled", [False, True])
def test_gradients_are_dropped_where_the_numbers_were_and_layers_draw_apart(compiled: bool) -> None:
    def twice(x: Tensor) -> tuple[Tensor, Tensor]:
        return dropout(x, 0.5), dropout(x, 0.5)

    call = torch.compile(twice) if compiled else twice
    inputs = [torch.ones(50, 8, requires_grad=True) for _ in range(2)]
    drawn = [call(x) for x in inputs]
    for x, (one, other) in zip(inputs, drawn, strict=True):
        assert not torch.equal(one, other)
        (gradient,) = torch.autograd.grad(one.sum() + 3 * other.sum(), x)
        torch.testing.assert_close(gradient, one.detach() + 3 * other.detach())
    assert not torch.equal(drawn[0][0], drawn[1][0])


def test_compiled_and_eager_perceptrons_draw_alike() -> None:
    layers = nn.Sequential(nn.Linear(6, 8), Dropout(0.3), nn.ReLU(), Dropout(0.5))
    results = []
    for call in (layers, torch.compile(layers)):
        torch.manual_seed(2)
        results.append(call(torch.ones(5, 6)))
    torch.testing.assert_close(results[0], results[1])
