"""The models that may be equally good: where they lie, and what their manifests say they are worth."""

from collections.abc import Sequence
from pathlib import Path

from common.errors import ArtifactError
from evaluation.explanation.rashomon import Candidate
from features.datasets.prepared import PreparedSet
from training.finished import find_runs
from training.manifest import MANIFEST, read_manifest


def find_artifacts(paths: Sequence[str]) -> list[Path]:
    """Find artifacts: those given, those below a folder given, those a glob matches; each once, in this order.

    Raises:
        ArtifactError: There is none at a path.
        ConfigError: There is nothing at a path.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        here = [Path(path)] if (Path(path) / MANIFEST).is_file() else [run / "artifact" for run in find_runs([path])[0]]
        if not here:
            raise ArtifactError(f"{path} holds no artifact; give one, or a folder of runs, that plexrank train wrote")
        for artifact in here:
            found.setdefault(artifact.resolve(), artifact)
    return list(found.values())


def read_candidate(name: str, artifact: Path, prepared: PreparedSet) -> Candidate:
    """Read what an artifact is worth on its valid split, without loading a weight.

    Args:
        name: What to call it.
        artifact: Its folder.
        prepared: The data it is to read.

    Raises:
        ArtifactError: It is missing or damaged, reads rows of another schema, or has no logloss.
    """
    manifest = read_manifest(artifact)
    prepared.check_reader(str(artifact), manifest["schema_digest"])
    logloss = manifest["metrics"]["valid"]["metrics"]["logloss"]["value"]
    if logloss is None:
        raise ArtifactError(f"{artifact} has no logloss on its valid split to be compared by; leave it out")
    return Candidate(name, manifest["model"], manifest["digest"], logloss)
