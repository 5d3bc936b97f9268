"""The optimisers of a model: one for the table, one for all else."""

import math
from typing import Any

import torch
from torch import nn

from common.errors import ConfigError
from kernels.lookup.interface import Lookup
from kernels.lookup.layout import TableOptimizer
from models.numeric import NumericEmbedding
from models.ranker import Ranker
from training.run import LoopSettings, OptimizerSettings, ScheduleSettings


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
        steps: Steps of the whole run, over which a schedule decays.

    Raises:
        ConfigError: The warm-up is longer than the run.
    """

    def __init__(self, model: Ranker, settings: OptimizerSettings, steps: int) -> None:
        warmup = settings.schedule.warmup_steps
        if warmup >= steps:
            raise ConfigError(
                f"optimizer.schedule.warmup_steps {warmup:,} are not over in the {steps:,} steps of the run; "
                "lower them, or raise training.epochs"
            )
        self._settings, self._steps = settings, steps
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        embeddings = [m for m in model.modules() if isinstance(m, Lookup | NumericEmbedding)]
        self._embeddings: list[nn.Parameter] = [p for m in embeddings for p in m.parameters()]
        known = {id(p) for p in self._embeddings}
        self._matrices = [p for p in self._parameters if p.dim() > 1 and id(p) not in known]
        self._lookups = [m for m in model.modules() if isinstance(m, Lookup) and m.optimizer is not None]
        model.looked_up_l2 = settings.embedding_l2_looked_up
        self._dense = self._build()
        self._scale = 1.0  # what epochs without gain have made of the learning rates
        self._done = 0
        self._set_rates()

    @property
    def dense(self) -> torch.optim.Optimizer:
        """The optimiser of all but what the backward pass updates."""
        return self._dense

    @property
    def learning_rate(self) -> float:
        """The dense learning rate."""
        return float(self._dense.param_groups[0]["lr"])

    def reduce(self, loop: LoopSettings) -> None:
        """Multiply every learning rate by the loop's factor, the dense one not below its floor."""
        base = self._settings.learning_rate
        self._scale = min(self._scale, max(self._scale * loop.learning_rate_factor, loop.min_learning_rate / base))
        self._set_rates()

    def step(self, loss: torch.Tensor) -> None:
        """Backward pass and update.

        Args:
            loss: The mean loss of a batch, without what the optimiser adds.
        """
        self._dense.zero_grad(set_to_none=True)
        loss.backward()
        _add_l2(self._embeddings, self._settings.embedding_l2_all_rows)
        _add_l2(self._matrices, self._settings.network_l2)
        if self._settings.clip_norm is not None:
            nn.utils.clip_grad_norm_(self._parameters, self._settings.clip_norm)
        self._dense.step()
        self._done += 1
        if self._settings.schedule != ScheduleSettings():
            self._set_rates()

    def progress(self) -> dict[str, Any]:
        """Where the learning rates are, to go on from."""
        return {"scale": self._scale, "done": self._done}

    def go_on(self, progress: dict[str, Any]) -> None:
        """Take up what :meth:`progress` gave."""
        self._scale, self._done = progress["scale"], progress["done"]
        self._set_rates()

    def _set_rates(self) -> None:
        factor = self._scale * _scheduled(self._settings.schedule, self._done, self._steps)
        for group in self._dense.param_groups:
            group["lr"] = self._settings.learning_rate * factor
        for lookup in self._lookups:
            lookup.learning_rate = self._settings.embedding_learning_rate * factor

    def _build(self) -> torch.optim.Optimizer:
        rate, decay = self._settings.learning_rate, self._settings.weight_decay
        match self._settings.dense:
            case "adam":
                return torch.optim.Adam(self._parameters, lr=rate, fused=True)
            case "adamw":
                decayed = {id(p) for p in self._matrices}
                others = [p for p in self._parameters if id(p) not in decayed]
                groups = [{"params": others, "weight_decay": 0.0}, {"params": self._matrices, "weight_decay": decay}]
                return torch.optim.AdamW([group for group in groups if group["params"]], lr=rate, fused=True)
            case "adagrad":
                return torch.optim.Adagrad(self._parameters, lr=rate, fused=True)
            case "sgd":
                return torch.optim.SGD(self._parameters, lr=rate, fused=True)


def _add_l2(parameters: list[nn.Parameter], strength: float) -> None:
    """Add the gradient of (l2 / 2) ||W||^2, without a pass over the weights for its value."""
    for parameter in parameters if strength else ():
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        parameter.grad.add_(parameter.detach(), alpha=strength)


def _scheduled(schedule: ScheduleSettings, done: int, steps: int) -> float:
    """The share of the full learning rate at the step after ``done`` of ``steps``."""
    if done < schedule.warmup_steps:
        return (done + 1) / (schedule.warmup_steps + 1)
    part = min(1.0, (done - schedule.warmup_steps) / max(1, steps - schedule.warmup_steps))
    match schedule.decay:
        case "constant":
            return 1.0
        case "linear":
            return 1.0 - part
        case "cosine":
            return (1.0 + math.cos(math.pi * part)) / 2
