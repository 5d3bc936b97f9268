"""One training step: forward, loss, backward, update, as the machine does it best."""

import warnings
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from features.datasets.batch import Batch
from models.ranker import Ranker
from training.machine import Machine
from training.optimizers import Optimizers


class TrainingStep:
    """Trains a model batch by batch.

    Args:
        model: The model, on the machine's device.
        optimizers: Of the model.
        machine: What to use of the machine.
        batch_size: Rows of nearly all batches. Only these run compiled: another size would be compiled anew.
    """

    def __init__(self, model: Ranker, optimizers: Optimizers, machine: Machine, batch_size: int) -> None:
        self._model, self._optimizers, self._machine = model, optimizers, machine
        self._batch_size = batch_size
        self._compiled: Callable[..., Tensor] | None = None
        if machine.compile:
            self._compiled = _quiet_at_first(torch.compile(model.logits, dynamic=False))

    def __call__(self, batch: Batch) -> float:
        """Update the model by a batch with labels.

        Returns:
            The mean loss, without the regulariser, before the update.
        """
        batch = batch.to(self._machine.device)
        assert batch.label is not None
        fields = self._model.embedding(batch.dense, batch.sparse)  # float32: the table is no part of the autocast
        whole = batch.label.numel() == self._batch_size
        dense_part = self._compiled if self._compiled is not None and whole else self._model.logits
        with torch.autocast(self._machine.device.type, torch.bfloat16, enabled=self._machine.precision == "bf16"):
            logits = dense_part(*fields)
        loss = F.binary_cross_entropy_with_logits(logits.float(), batch.label)
        self._optimizers.step(loss)
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
