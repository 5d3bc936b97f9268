"""Further models of an artifact's own run, with other seeds."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from common.errors import ArtifactError, ConfigError
from training.loop import train
from training.manifest import MANIFEST, read_manifest
from training.records import Observer
from training.run import RunSettings, run_settings

_PLACES = ("data", "output", "machine")  # of a run, which say where rather than what


def train_seeds(artifact: Path, data: Path, work: Path, count: int, observer: Callable[[int], Observer]) -> list[Path]:
    """Train an artifact's run again with the seeds that follow its own.

    What an earlier call finished in the same folder is taken as it is, and what it was killed in goes on.

    Args:
        artifact: The artifact's folder.
        data: The prepared set to train on.
        work: Where the runs go, a folder a seed.
        count: How many models.
        observer: Gives what is told how the training of a seed goes.

    Returns:
        The new artifacts, in the order of their seeds.

    Raises:
        ArtifactError: The artifact is missing, or the run that made it no longer reads.
        ConfigError: The folder of a seed holds a model of another run.
        KeyboardInterrupt: Ctrl-C ended a training; its model is not taken for one of the run.
    """
    document = read_manifest(artifact)["provenance"]["run"]
    found = []
    for seed in range(document["seed"] + 1, document["seed"] + 1 + count):
        output = work / f"seed-{seed}"
        changes = {"seed": seed, "data": str(data), "output": str(output)}
        try:
            settings = run_settings({**document, **changes}, source=f"the run that made {artifact}")
        except ConfigError as problem:
            raise ArtifactError(f"{problem}; without --seeds it can be explained, or train it again") from None
        if not _is_finished(output / "artifact", settings):
            outcome = train(settings, [observer(seed)], overwrite=True)
            if outcome.interrupted:
                raise KeyboardInterrupt
        found.append(output / "artifact")
    return found


def _is_finished(artifact: Path, settings: RunSettings) -> bool:
    """Whether an artifact is there and whole; one of Ctrl-C is to be trained again.

    Raises:
        ConfigError: It is of another run.
    """
    if not (artifact / MANIFEST).exists():
        return False
    provenance = read_manifest(artifact)["provenance"]
    if _itself(provenance["run"]) != _itself(settings.itself):
        raise ConfigError(f"{artifact} is of another run; choose another --work")
    return not provenance["interrupted"]


def _itself(run: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in run.items() if name not in _PLACES}
