"""Small artifacts, trained for a moment."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import ConfigError
from common.settings import validate
from training.loop import train
from training.run import RunSettings


@dataclass(frozen=True)
class Trained:
    """What the tests serve.

    Attributes:
        prepared: The prepared set; its test rows are ``strange_rows()``.
        finalmlp: Artifact over all features.
        lr: Another over the same.
        other: Artifact of a schema without ``device`` and with ``weekday``.
    """

    prepared: Path
    finalmlp: Path
    lr: Path
    other: Path


def train_on(prepared: Path, output: Path, model: dict[str, Any]) -> Path:
    """Train for a moment; returns the artifact."""
    document = {
        "data": str(prepared),
        "output": str(output),
        "model": model,
        # Wide initial rows: after two epochs every feature moves the score by far more than the tests' tolerance.
        "embedding": {"dim": 4, "rows": 2000, "init_std": 1.0},
        "training": {"batch_size": 64, "epochs": 2},
    }
    return train(validate(RunSettings, document, source="run", error=ConfigError)).artifact
