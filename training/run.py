"""Run files: everything a training run depends on, in one strict yaml.

data: data/frappe-prepared        # a prepared set
output: runs/frappe_finalmlp      # the run's folder; the artifact lands in OUTPUT/artifact
seed: 2021
model: {name: finalmlp, heads: 5, ...}
embedding: {dim: 10, rows: 1000000}
optimizer: {learning_rate: 0.001, embedding: rowwise_adagrad, embedding_learning_rate: 0.05}
training: {batch_size: 4096, epochs: 20}
machine: {precision: auto, compile: auto}
search: {optimizer.learning_rate: {log_uniform: [1e-4, 1e-2]}}    # for plexrank tune alone
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, model_validator

from common.errors import ConfigError
from common.settings import Settings, parse_yaml, read_mapping, validate
from kernels.lookup.dispatch import Backend
from models.catalogue import NetworkSettings, checked_settings
from models.embedding import EmbeddingSettings
from models.registry import Architecture
from training.machine import MachineSettings
from training.tuning.domain import Domain


class ScheduleSettings(Settings):
    """How learning rates change from step to step, besides what epochs without gain make of them.

    Attributes:
        warmup_steps: Steps over which they rise from almost 0 to their full value.
        decay: How they fall afterwards, to 0 at the end of the last of ``training.epochs``.
    """

    warmup_steps: int = Field(default=0, ge=0)
    decay: Literal["constant", "linear", "cosine"] = "constant"


class OptimizerSettings(Settings):
    """Settings of the optimisers.

    Attributes:
        learning_rate: Of all but the table.
        dense: The rule of all but the table.
        weight_decay: Decoupled decay of weight matrices by ``dense: adamw``; not of the table's rows.
        network_l2: Adds (l2 / 2) times the squared norm of the network's weight matrices to the loss.
        embedding: The table's rule. ``rowwise_adagrad``, ``adagrad``, ``adam`` and ``sgd`` are fused into the backward
            pass and cost what the touched rows cost; ``adam`` is lazy: it leaves the averages of untouched rows as they
            are. ``dense_adam`` updates every row at every step, as the published recipes do, and suits small tables.
        embedding_learning_rate: Of a fused rule; ``dense_adam`` shares ``learning_rate``.
        embedding_l2_all_rows: The L2 of the published recipes, there called embedding_regularizer: adds (l2 / 2) times
            the squared norm of every row of the table, and of the numeric features' vectors, at every step, whether a
            batch touched them or not. Needs ``dense_adam``.
        embedding_l2_looked_up: A sparse L2, for any rule: adds (l2 / 2) times the squared norm of what a sample looks
            up in the table, on average over the batch. Rows that no batch touches stay as they are, and frequent values
            are pulled harder than rare ones: another regulariser than that of all rows, with other best strengths.
        clip_norm: Largest global norm of the gradients that the dense optimiser sees; null for no clipping.
        schedule: How learning rates change from step to step.
    """

    learning_rate: float = Field(default=1e-3, gt=0)
    dense: Literal["adam", "adamw", "adagrad", "sgd"] = "adam"
    weight_decay: float = Field(default=0.0, ge=0)
    network_l2: float = Field(default=0.0, ge=0)
    embedding: Literal["rowwise_adagrad", "adagrad", "adam", "sgd", "dense_adam"] = "rowwise_adagrad"
    embedding_learning_rate: float = Field(default=0.05, gt=0)
    embedding_l2_all_rows: float = Field(default=0.0, ge=0)
    embedding_l2_looked_up: float = Field(default=0.0, ge=0)
    clip_norm: float | None = Field(default=10.0, gt=0)
    schedule: ScheduleSettings = ScheduleSettings()

    @model_validator(mode="after")
    def _rules_agree(self) -> "OptimizerSettings":
        if self.embedding_l2_all_rows and self.embedding != "dense_adam":
            raise ValueError(
                f"embedding_l2_all_rows reaches every row at every step, which {self.embedding} does not; "
                "set embedding: dense_adam, or use embedding_l2_looked_up"
            )
        if self.embedding == "dense_adam" and self.dense not in ("adam", "adamw"):
            raise ValueError(f"embedding: dense_adam needs dense: adam or adamw, not {self.dense}; set one of the two")
        if self.weight_decay and self.dense != "adamw":
            raise ValueError(f"weight_decay is adamw's, not {self.dense}'s; set dense: adamw, or use network_l2")
        return self


class LoopSettings(Settings):
    """Settings of the training loop.

    Attributes:
        batch_size: Rows a step.
        epochs: At most.
        monitor: What an epoch is judged by, on the valid split.
        patience: Epochs in a row without gain after which training stops.
        learning_rate_factor: What every epoch without gain multiplies the learning rates by.
        min_learning_rate: What an epoch without gain does not lower the dense learning rate below.
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
        search: What ``plexrank tune`` may vary, by dotted key; training takes no notice of it.
    """

    data: Path
    output: Path
    seed: int = Field(default=0, ge=0, lt=2**63)
    model: NetworkSettings
    embedding: EmbeddingSettings = EmbeddingSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    training: LoopSettings = LoopSettings()
    machine: MachineSettings = MachineSettings()
    backend: Backend = "auto"
    search: dict[str, Domain] = Field(default_factory=dict)

    @property
    def itself(self) -> dict[str, Any]:
        """What is trained, as json: all but the search section."""
        return self.model_dump(mode="json", exclude={"search"})

    @property
    def architecture(self) -> Architecture:
        """What the model is built from."""
        return Architecture(name=self.model.name, settings=self.model.own, embedding=self.embedding)


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
    return run_settings(run_document(path, overrides), source=str(path))


def run_document(path: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """A run file as it is written, with what overrides replace; :func:`load_run` says what these are.

    Raises:
        ConfigError: It is no yaml mapping, or an override is no ``key=value`` pair.
    """
    document = read_mapping(path, ConfigError)
    for override in overrides:
        _override(document, override)
    return document


def run_settings(document: Mapping[str, Any], *, source: str) -> RunSettings:
    """The settings a run file's document comes to.

    Args:
        document: The document.
        source: Where it came from, for messages.

    Raises:
        ConfigError: It is wrong; the message names the key.
    """
    run = validate(RunSettings, document, source=source, error=ConfigError)
    checked_settings(run.model.name, run.model.own)
    return run


def place(document: dict[str, Any], key: str, value: Any) -> None:
    """Set a value of a document.

    Args:
        document: Changed in place.
        key: Dotted; sections that are not there are made.
        value: The value.

    Raises:
        ConfigError: A part of the key before its last is no section.
    """
    *parents, last = key.split(".")
    section = document
    for parent in parents:
        section = section.setdefault(parent, {})
        if not isinstance(section, dict):
            raise ConfigError(f"{key}: {parent} is a value, not a section")
    section[last] = value


def _override(document: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {override!r} is no key=value pair; write, for example, --set training.epochs=3")
    try:
        place(document, key, parse_yaml(value))
    except (yaml.YAMLError, ValueError):
        raise ConfigError(f"--set {override!r}: the value is not yaml; quote it") from None
    except ConfigError as problem:
        raise ConfigError(f"--set {override!r}: {problem}") from None
