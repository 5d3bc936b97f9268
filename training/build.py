"""A model ready to be trained: built on its device, its table cut up among the ranks if there are several."""

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from common.errors import ConfigError
from features.encoding.fitted import FittedSchema
from kernels.lookup.memory import Footprint
from models.ranker import Ranker
from models.registry import build_model
from training.artifact import load_weights, save_weights, weights_file
from training.optimizers import table_optimizer
from training.ranks import launched, on_first, rank, world_size
from training.run import RunSettings


@dataclass(frozen=True)
class Built:
    """A model to train.

    Attributes:
        model: The model; it scores, and its state is the weights.
        trained: What a training step calls in its stead: itself, or what shares its work among ranks.
        backend: Which lookup backend holds the table, and why, in words.
        memory: What the table and its optimiser's state take, in words.
    """

    model: Ranker
    trained: nn.Module
    backend: str
    memory: str

    @property
    def sharded(self) -> bool:
        """Whether the table is cut up among ranks."""
        return self.trained is not self.model

    def save(self, folder: Path) -> None:
        """Write the weights, whole, replacing earlier ones; all ranks must call this."""
        weights = self.model.state_dict()
        if self.sharded:
            from training.sharding import gather_weights

            weights = gather_weights(self.model)
        on_first(lambda: save_weights(folder, weights))

    def restore(self, folder: Path) -> None:
        """Read back what :meth:`save` wrote; all ranks must call this."""
        if self.sharded:
            from training.sharding import scatter_weights

            scatter_weights(self.model, load_file(weights_file(folder)) if rank() == 0 else {})
        else:
            load_weights(folder, self.model)


def build(settings: RunSettings, fitted: FittedSchema, device: torch.device) -> Built:
    """Build a run's model; under torchrun all ranks must call this.

    Args:
        settings: The run.
        fitted: The fitted schema.
        device: This rank's device.

    Raises:
        ConfigError: The model does not fit the schema, the backend cannot run here, or the table does not fit.
    """
    backend = "torchrec" if launched() and settings.backend == "auto" else settings.backend
    if (backend == "torchrec") != launched():
        raise ConfigError(
            f"backend {backend} cannot share a table among the processes of torchrun; set it to auto or torchrec"
            if launched()
            else "backend torchrec cuts the table up among processes; start the run with torchrun, or set it to auto"
        )
    optimizer = table_optimizer(settings.optimizer)
    model = build_model(settings.architecture, fitted, optimizer=optimizer, backend=backend, device=device)
    trained: nn.Module = model
    if backend == "torchrec":
        from training.sharding import shard  # torchrec's distribution takes seconds to import

        initialise = settings.embedding.initialise
        trained = shard(model, settings.machine.sharding, device, initialise=initialise, seed=settings.seed)
    lookup = model.embedding.lookup
    if lookup is None:
        return Built(model, trained, "none: no feature has a table", "no table")
    footprint = Footprint.of(lookup.layout, lookup.optimizer)
    if optimizer is None:
        footprint.check_state(device)
    shared = f", cut {settings.machine.sharding} among {world_size()} ranks" if backend == "torchrec" else ""
    return Built(model, trained, lookup.chosen, f"{footprint}{shared}")
