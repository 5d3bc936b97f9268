"""Run files: everything a training run depends on, in one strict yaml.

data: data/frappe-prepared        # a prepared set
output: runs/frappe_finalmlp      # the run's folder; the artifact lands in OUTPUT/artifact
seed: 2021
model: {name: finalmlp, heads: 5, ...}
embedding: {dim: 10, rows: 1000000}
optimizer: {learning_rate: 0.001, embedding: rowwise_adagrad, embedding_learning_rate: 0.05}
training: {batch_size: 4096, epochs: 20}
machine: {precision: auto, compile: auto}
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import ConfigDict, Field, model_validator

from common.errors import ConfigError
from common.settings import Settings, parse_yaml, read_mapping, validate
from kernels.lookup.dispatch import Backend
from models.embedding import EmbeddingSettings
from models.registry import Architecture, model_settings
from training.machine import MachineSettings


class OptimizerSettings(Settings):
    """Settings of the optimisers.

    Attributes:
        learning_rate: Adam's, for all but the table.
        embedding: The table's rule. ``rowwise_adagrad``, ``adagrad``, ``adam`` and ``sgd`` are fused into the backward
            pass and cost what the touched rows cost; ``adam`` is lazy: it leaves the averages of untouched rows as they
            are. ``dense_adam`` updates every row at every step, as the published recipes do, and suits small tables.
        embedding_learning_rate: Of a fused rule; ``dense_adam`` shares ``learning_rate``.
        embedding_l2: The dense L2 of the published recipes: (l2 / 2) times the squared norm of every row of the table
            at every step, touched or not. Needs ``dense_adam``.
        clip_norm: Largest global norm of the gradients that the dense optimiser sees; null for no clipping.
    """

    learning_rate: float = Field(default=1e-3, gt=0)
    embedding: Literal["rowwise_adagrad", "adagrad", "adam", "sgd", "dense_adam"] = "rowwise_adagrad"
    embedding_learning_rate: float = Field(default=0.05, gt=0)
    embedding_l2: float = Field(default=0.0, ge=0)
    clip_norm: float | None = Field(default=10.0, gt=0)

    @model_validator(mode="after")
    def _l2_is_dense(self) -> "OptimizerSettings":
        if self.embedding_l2 and self.embedding != "dense_adam":
            raise ValueError(
                f"embedding_l2 reaches every row at every step, which {self.embedding} does not; "
                "set embedding: dense_adam, or embedding_l2: 0"
            )
        return self


class LoopSettings(Settings):
    """Settings of the training loop.

    Attributes:
        batch_size: Rows a step.
        epochs: At most.
        monitor: What an epoch is judged by, on the valid split.
        patience: Epochs in a row without gain after which training stops.
        learning_rate_factor: What every epoch without gain multiplies the learning rates by.
        min_learning_rate: Floor of the dense learning rate.
        shuffle_memory_mb: Memory that a process may hold to shuffle the training rows, in 10^6 bytes. Rows that fit are
            shuffled as one; of more, chunks are shuffled, and the rows within windows of half this memory.
        workers: Processes that make batches, each with that memory; with 0 a thread does, which is enough for most.
    """

    batch_size: int = Field(default=4096, ge=2)
    epochs: int = Field(default=20, ge=1)
    monitor: Literal["auc", "logloss", "auc-logloss"] = "auc"
    patience: int = Field(default=2, ge=1)
    learning_rate_factor: float = Field(default=0.1, gt=0, le=1)
    min_learning_rate: float = Field(default=1e-6, ge=0)
    shuffle_memory_mb: float = Field(default=2048, gt=0)
    workers: int = Field(default=0, ge=0, le=64)


class _ModelSection(Settings):
    """The ``model:`` section: the ranker's name; whatever else it holds are the ranker's own settings."""

    model_config = ConfigDict(extra="allow")

    name: str


class RunSettings(Settings):
    """A run file.

    Attributes:
        data: Folder of a prepared set.
        output: Folder of the run.
        seed: Of the initialisation, dropout and the order of rows.
        model: The ranker and its settings.
        embedding: The table.
        optimizer: The optimisers.
        training: The loop.
        machine: What of the machine to use.
        backend: Which lookup backend holds the table.
    """

    data: Path
    output: Path
    seed: int = Field(default=0, ge=0, lt=2**63)
    model: _ModelSection
    embedding: EmbeddingSettings = EmbeddingSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    training: LoopSettings = LoopSettings()
    machine: MachineSettings = MachineSettings()
    backend: Backend = "auto"

    @property
    def architecture(self) -> Architecture:
        """What the model is built from."""
        own = self.model.model_dump(exclude={"name"})
        return Architecture(name=self.model.name, settings=own, embedding=self.embedding)


def load_run(path: Path, overrides: Sequence[str] = ()) -> RunSettings:
    """Read a run file.

    Args:
        path: The yaml file.
        overrides: ``key=value`` pairs that replace what the file says; keys are dotted (``training.epochs=3``), values
            are yaml.

    Returns:
        The settings.

    Raises:
        ConfigError: The file or an override is wrong; the message names the key.
    """
    document = read_mapping(path, ConfigError)
    for override in overrides:
        _override(document, override)
    run = validate(RunSettings, document, source=str(path), error=ConfigError)
    model_settings(run.architecture)
    return run


def _override(document: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {override!r} is no key=value pair; write, for example, --set training.epochs=3")
    *parents, last = key.split(".")
    section = document
    for parent in parents:
        section = section.setdefault(parent, {})
        if not isinstance(section, dict):
            raise ConfigError(f"--set {override!r}: {parent} is a value, not a section")
    try:
        section[last] = parse_yaml(value)
    except (yaml.YAMLError, ValueError):
        raise ConfigError(f"--set {override!r}: the value is not yaml; quote it") from None
