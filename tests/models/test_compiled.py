"""The part of every ranker that is compiled: its loss and gradients are those of the ranker run eagerly.

And the same part in half precision: what must stay float32 does.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from features.datasets.batch import Batch
from features.encoding.fitted import FittedSchema
from models.catalogue import names
from models.ranker import Ranker
from tests.models.small import EVERY_KIND, build, fit
from tests.models.variants import SMALL
from training.machine import compiler

MakeBatch = Callable[..., Batch]
DensePart = Callable[[Tensor, Tensor | None, Tensor | None], Tensor]


@pytest.fixture(scope="module")
def every_kind() -> FittedSchema:
    return fit(EVERY_KIND)


def undropped(settings: Any) -> Any:
    """Settings without dropout, whose draws tests/models/test_dropout.py compares."""
    if not isinstance(settings, dict):
        return settings
    return {key: 0.0 if key.endswith("dropout") else undropped(value) for key, value in settings.items()}


def ranker(fitted: FittedSchema, name: str) -> Ranker:
    _, settings = SMALL.get(name, SMALL[f"{name} by default"])
    settings = undropped(settings) | ({"dropout": 0.0} if name == "qnn" else {})
    return build(fitted, name, settings, init_std=0.5)


def learnt(model: Ranker, batch: Batch, dense_part: DensePart) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss; the gradients, and the statistics that training counts."""
    loss = dense_part(batch.dense, model.embedding.look_up(batch.sparse), batch.label)
    loss.backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert len(gradients) == len(list(model.parameters()))
    statistics = {name: buffer.clone() for name, buffer in model.named_buffers() if "running" in name}
    return loss.detach(), gradients | statistics


@pytest.mark.filterwarnings("ignore")  # torch's own, while it compiles
@pytest.mark.parametrize(
    "backend",
    [
        "aot_eager",
        pytest.param(
            "inductor",
            marks=[
                pytest.mark.slow,
                pytest.mark.skipif(compiler() is None, reason="no C++ compiler with Python's headers"),
            ],
        ),
    ],
)
@pytest.mark.parametrize("name", names())
def test_compiled_losses_and_gradients_are_the_eager_ones(
    every_kind: FittedSchema, make_batch: MakeBatch, name: str, backend: str
) -> None:
    batch = make_batch(16, schema=every_kind)
    eager, compiled = ranker(every_kind, name), ranker(every_kind, name)
    torch._dynamo.reset()
    graph = torch.compile(compiled.dense_part, dynamic=False, backend=backend)
    loss, others = learnt(eager, batch, eager.dense_part)
    found, ours = learnt(compiled, batch, graph)
    torch.testing.assert_close(found, loss, rtol=1e-5, atol=1e-6)
    for key, tensor in others.items():
        torch.testing.assert_close(ours[key], tensor, rtol=1e-4, atol=1e-5, msg=key)


@pytest.mark.parametrize("name", names())
def test_in_bfloat16_the_loss_gradients_and_statistics_are_float32_and_near(
    every_kind: FittedSchema, make_batch: MakeBatch, name: str
) -> None:
    batch = make_batch(256, schema=every_kind)
    full, half = ranker(every_kind, name), ranker(every_kind, name)
    loss, gradients = learnt(full, batch, full.dense_part)
    with torch.autocast("cpu", torch.bfloat16):
        found, others = learnt(half, batch, half.dense_part)
    assert {tensor.dtype for tensor in (found, *others.values())} == {torch.float32}
    assert found.item() == pytest.approx(loss.item(), abs=3e-3)
    pairs = [(others[key], gradient) for key, gradient in gradients.items()]
    apart = torch.stack([(ours - theirs).square().sum() for ours, theirs in pairs]).sum().sqrt()
    size = torch.stack([theirs.square().sum() for _, theirs in pairs]).sum().sqrt()
    assert apart < 0.2 * size
