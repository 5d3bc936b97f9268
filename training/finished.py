"""Finished runs: finding them below folders, and reading what they came to without loading a weight."""

import glob
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from common.errors import ArtifactError, ConfigError
from evaluation.interval import Interval
from evaluation.leaderboard.run import Run
from evaluation.report.metric import Metric
from evaluation.report.report import Report
from training.manifest import MANIFEST, MEND, read_manifest

_ARTIFACT, _RECORDS = "artifact", "metrics.jsonl"


def find_runs(paths: Sequence[str]) -> tuple[list[Path], list[Path]]:
    """Find run folders: those given, those below a folder given, those a glob matches.

    Args:
        paths: Run folders, their artifacts, folders that hold runs at any depth, and globs.

    Returns:
        The finished runs and the unfinished ones, each once, in the order of their paths. A run is finished where it
        has an artifact, and unfinished where it has only records, or the hidden folder of an artifact to be.

    Raises:
        ConfigError: A path does not exist, or a glob matches nothing.
    """
    found: dict[Path, Path] = {}
    for text in paths:
        matches = [Path(text)] if Path(text).exists() else [Path(some) for some in glob.glob(text, recursive=True)]
        if not matches:
            raise ConfigError(f"there is nothing at {text}; give output folders of plexrank train, or one above them")
        for folder in (run for match in matches for run in _below(match)):
            found.setdefault(folder.resolve(), folder)
    runs = sorted(found.values())
    return [run for run in runs if _finished(run)], [run for run in runs if not _finished(run)]


def read_run(folder: Path) -> Run:
    """Read a finished run.

    Its speed is not known where ``metrics.jsonl`` is missing or is of other epochs than the artifact, as when the run
    is being trained anew.

    Args:
        folder: The run's folder, which holds its artifact.

    Raises:
        ArtifactError: The manifest is missing, was changed, or is of another format.
    """
    manifest = read_manifest(folder / _ARTIFACT)
    try:
        provenance = manifest["provenance"]
        pace = _pace(folder / _RECORDS, provenance["epochs"])
        return Run(
            folder=folder,
            model=manifest["model"],
            settings=dict(_flat(provenance["run"])),
            parameters=manifest["parameters"],
            schema_digest=manifest["schema_digest"],
            reports={split: _report(found) for split, found in manifest["metrics"].items()},
            machine=tuple(reason.partition(":")[0] for reason in provenance["machine"]),
            ranks=provenance["ranks"],
            epochs=provenance["epochs"],
            best_epoch=provenance["best_epoch"],
            interrupted=provenance["interrupted"],
            speeds=tuple(speed for speed, _ in pace),
            seconds=sum(seconds for _, seconds in pace) if pace else None,
        )
    except (KeyError, TypeError, AttributeError) as problem:
        raise ArtifactError(f"{folder / _ARTIFACT / MANIFEST} lacks what training writes ({problem}); {MEND}") from None


def _below(path: Path) -> Iterator[Path]:
    """The run folders at and below a path; nothing is looked for inside of a run."""
    if path.name == _ARTIFACT and (path / MANIFEST).is_file():
        yield path.parent
        return
    for parent, folders, files in os.walk(path):
        folder = Path(parent)
        if _finished(folder) or _RECORDS in files or any(name.startswith(f".{_ARTIFACT}.") for name in folders):
            folders.clear()
            yield folder


def _finished(folder: Path) -> bool:
    return (folder / _ARTIFACT / MANIFEST).is_file()


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Settings by dotted key; an empty section is a value."""
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _pace(path: Path, epochs: int) -> list[tuple[float, float]]:
    """Rows a second and seconds of each epoch that the artifact came of; nothing where the records are of others."""
    try:
        records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        if [record["epoch"] for record in records] != list(range(1, epochs + 1)):
            return []
        return [(record["samples_per_second"], record["seconds"]) for record in records]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _report(found: Mapping[str, Any]) -> Report:
    """What ``Report.to_json_dict`` wrote."""
    return Report(**{**found, "metrics": tuple(_metric(name, metric) for name, metric in found["metrics"].items())})


def _metric(name: str, found: Mapping[str, Any]) -> Metric:
    interval = found.get("interval")
    return Metric(name, **{**found, "interval": None if interval is None else Interval(**interval)})
