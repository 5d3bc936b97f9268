"""The optimisers of a model: one for the table, one for all else."""

import torch
from torch import nn

from kernels.lookup.interface import Lookup
from kernels.lookup.layout import TableOptimizer
from models.embedding import NumericEmbedding
from models.ranker import Ranker
from training.run import LoopSettings, OptimizerSettings


def table_optimizer(settings: OptimizerSettings) -> TableOptimizer | None:
    """The update to fuse into the table's backward pass, or None where a dense optimiser holds the table."""
    if settings.embedding == "dense_adam":
        return None
    return TableOptimizer(kind=settings.embedding, learning_rate=settings.embedding_learning_rate)


class Optimizers:
    """All optimisers of a model, stepped together.

    Fused updates happen in the backward pass; clipping by the global norm reaches only the dense gradients.

    Args:
        model: The model, built with the table's optimiser.
        settings: Of the optimisers.
    """

    def __init__(self, model: Ranker, settings: OptimizerSettings) -> None:
        self._settings = settings
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        self._adam = torch.optim.Adam(self._parameters, lr=settings.learning_rate, fused=True)
        self._lookups = [m for m in model.modules() if isinstance(m, Lookup) and m.optimizer is not None]
        embeddings = [m for m in model.modules() if isinstance(m, Lookup | NumericEmbedding)]
        self._regularised: list[nn.Parameter] = [p for m in embeddings for p in m.parameters()]

    @property
    def dense(self) -> torch.optim.Adam:
        """The optimiser of all but what the backward pass updates."""
        return self._adam

    @property
    def learning_rate(self) -> float:
        """The dense learning rate."""
        return float(self._adam.param_groups[0]["lr"])

    def reduce(self, loop: LoopSettings) -> None:
        """Multiply every learning rate by the loop's factor, not below its floor."""
        lowered = max(self.learning_rate * loop.learning_rate_factor, loop.min_learning_rate)
        factor = lowered / self.learning_rate
        self._adam.param_groups[0]["lr"] = lowered
        for lookup in self._lookups:
            lookup.learning_rate *= factor

    def step(self, loss: torch.Tensor) -> None:
        """Backward pass and update.

        Args:
            loss: The mean loss of a batch, without the regulariser.
        """
        self._adam.zero_grad(set_to_none=True)
        loss.backward()
        if self._settings.embedding_l2:
            for parameter in self._regularised:
                # The gradient of (l2 / 2) ||W||^2, without a pass over the table for its value.
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
                parameter.grad.add_(parameter.detach(), alpha=self._settings.embedding_l2)
        if self._settings.clip_norm is not None:
            nn.utils.clip_grad_norm_(self._parameters, self._settings.clip_norm)
        self._adam.step()
