"""One training step: forward, loss, backward, update, as the machine does it best."""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from features.datasets.batch import Batch
from training.build import Built
from training.machine import Machine
from training.optimizers import Optimizers
from training.ranks import loss_share, world_size


class TrainingStep:
    """Trains a model batch by batch.

    Args:
        built: The model.
        optimizers: Of the model.
        machine: What to use of the machine.
        batch_size: Rows of nearly all batches. Only these run compiled: another size would be compiled anew.
    """

    def __init__(self, built: Built, optimizers: Optimizers, machine: Machine, batch_size: int) -> None:
        self._built, self._optimizers, self._machine = built, optimizers, machine
        if machine.compile:
            model = built.model
            eager, compiled = model.dense_part, _quiet_at_first(torch.compile(model.dense_part, dynamic=False))

            def dense_part(dense: Tensor, rows: Tensor | None, label: Tensor | None = None) -> Tensor:
                whole = label is not None and dense.shape[0] == batch_size
                return compiled(dense, rows, label) if whole else eager(dense, rows, label)

            model.dense_part = dense_part  # type: ignore[method-assign]

    def __call__(self, batch: Batch) -> float:
        """Update the model by a batch with labels.

        Returns:
            What the network minimises, on average over this rank's rows, before the update: the cross-entropy with what
            the ranker adds to it, but without the L2 of all rows and of the network.
        """
        batch = batch.to(self._machine.device)
        assert batch.label is not None
        bf16 = self._machine.precision == "bf16"
        with torch.autocast(self._machine.device.type, torch.bfloat16, enabled=bf16):
            loss: Tensor = self._built.trained(batch.dense, batch.sparse, batch.label)
        share = loss_share(batch.label.numel()) if world_size() > 1 else 1.0
        self._optimizers.step(loss * share)
        return loss.item()


def _quiet_at_first(compiled: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Silence the first call, in which torch compiles: it warns of inputs that are no leaves, which does not matter."""
    called = False

    def call(*arguments: Tensor) -> Tensor:
        nonlocal called
        if called:
            return compiled(*arguments)
        called = True
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return compiled(*arguments)

    return call
