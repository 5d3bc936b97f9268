"""The artifact: the one folder that training writes and that evaluation and the server load.

    manifest.json            format, name, digest, sha256 of every other file, metrics, provenance
    schema.json              the fitted schema; vocabulary/NAME.parquet beside it
    model.json               the architecture
    weights.safetensors      every weight

No pickle, no code. A file that is missing, added or changed by one byte is refused.
"""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from common.errors import ArtifactError, PlexrankError
from common.files import atomic_file, sha256_file, sha256_json, write_json
from common.versions import plexrank_version
from features.datasets.batch import batches
from features.encoding.encoded import EncodedRows
from features.encoding.fitted import FittedSchema
from kernels.lookup.quantized import QuantizedLookup, TablePrecision
from models.ranker import Ranker, parameter_count
from models.registry import Architecture, build_model
from training.manifest import FORMAT, MANIFEST, MEND, read_manifest
from training.scoring import SCORING_BATCH, click_probabilities

_MODEL, _WEIGHTS = "model.json", "weights.safetensors"
_ROWS = 65_536  # of a weight that are read at once


@dataclass(frozen=True)
class Artifact:
    """A trained model with all it takes to use it.

    Attributes:
        name: The name it was trained under.
        digest: sha256 of the manifest's content, hence of everything.
        fitted: The fitted schema of its inputs.
        model: The ranker, in evaluation mode.
        manifest: The whole ``manifest.json``.
    """

    name: str
    digest: str
    fitted: FittedSchema
    model: Ranker
    manifest: dict[str, Any]

    def score(self, rows: EncodedRows) -> NDArray[np.float64]:
        """Click probabilities, float64 ``[N]``, of N rows encoded by :attr:`fitted`."""
        return click_probabilities(self.model, batches(rows, SCORING_BATCH))

    @classmethod
    def load(cls, folder: Path, *, table: TablePrecision = "fp32") -> "Artifact":
        """Load and check an artifact.

        Args:
            folder: The artifact.
            table: What the rows of the table are kept in while it scores: as trained, or 2 bytes
                (``fp16``) or 1 (``int8``) a number; scores then differ a little from those of training.

        Raises:
            ArtifactError: It is missing, unfinished, damaged, of another format, or holds files of its own making.
        """
        manifest = read_manifest(folder)
        _check_files(folder, manifest["files"])
        try:
            fitted = FittedSchema.load(folder)
            architecture = Architecture.model_validate_json((folder / _MODEL).read_bytes())
            model = build_model(architecture, fitted)
            load_weights(folder, model)
            if table != "fp32" and model.embedding.lookup is not None:
                model.embedding.lookup = QuantizedLookup(model.embedding.lookup, table)
        except (PlexrankError, ValidationError, SafetensorError, RuntimeError) as problem:
            raise ArtifactError(f"{folder} does not fit this plexrank: {problem}; {MEND}") from None
        return cls(manifest["name"], manifest["digest"], fitted, model.eval(), manifest)


def weights_file(folder: Path) -> Path:
    """The file of an artifact's weights."""
    return folder / _WEIGHTS


def save_weights(folder: Path, weights: Mapping[str, Tensor]) -> None:
    """Write a model's weights by name, replacing earlier ones.

    Raises:
        ArtifactError: A weight is NaN or infinite.
    """
    state = {name: tensor.cpu().contiguous() for name, tensor in weights.items()}
    for name, tensor in state.items():
        if not torch.isfinite(tensor).all():
            raise ArtifactError(f"weight {name} is not finite: training diverged; lower the learning rate")
    with atomic_file(weights_file(folder)) as partial:
        save_file(state, partial)


def load_weights(folder: Path, model: Ranker) -> None:
    """Read back what :func:`save_weights` wrote, piece by piece: no tensor is held twice.

    Raises:
        RuntimeError: The weights are not those of the model.
    """
    with safe_open(folder / _WEIGHTS, framework="pt") as file, torch.no_grad():
        state = model.state_dict()
        if set(file.keys()) != set(state):
            raise RuntimeError(f"the weights are {sorted(file.keys())}, the model has {sorted(state)}")
        for name, tensor in state.items():
            stored = file.get_slice(name)
            if tuple(stored.get_shape()) != tensor.shape:
                raise RuntimeError(f"{name} is {list(stored.get_shape())}, the model has {list(tensor.shape)}")
            if tensor.dim() == 0:
                tensor.copy_(file.get_tensor(name))
            for start in range(0, len(tensor) if tensor.dim() else 0, _ROWS):
                tensor[start : start + _ROWS].copy_(stored[start : start + _ROWS])


def finish(
    folder: Path,
    *,
    name: str,
    architecture: Architecture,
    fitted: FittedSchema,
    model: Ranker,
    metrics: dict[str, Any],
    provenance: dict[str, Any],
) -> None:
    """Complete a folder that holds the weights to a whole artifact; the manifest comes last.

    Args:
        folder: Folder with ``weights.safetensors``.
        name: The model's name.
        architecture: What the model is built from.
        fitted: The fitted schema of its inputs.
        model: The model.
        metrics: Its measured quality, a report a split.
        provenance: Where it comes from: run file, data, versions.
    """
    fitted.save(folder)
    write_json(folder / _MODEL, architecture.model_dump(mode="json"))
    manifest = {
        "format": FORMAT,
        "name": name,
        "model": architecture.name,
        "parameters": parameter_count(model),
        "schema_digest": fitted.digest,
        "metrics": metrics,
        "provenance": {
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "plexrank": plexrank_version(),
            "torch": torch.__version__,
            **provenance,
        },
        "files": {
            str(path.relative_to(folder)): {"sha256": sha256_file(path), "bytes": path.stat().st_size}
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        },
    }
    write_json(folder / MANIFEST, {"digest": sha256_json(manifest), **manifest})


def _check_files(folder: Path, files: dict[str, dict[str, Any]]) -> None:
    """Compare the folder with the manifest: the same files, the same bytes."""
    present = {str(p.relative_to(folder)) for p in folder.rglob("*") if not p.is_dir()} - {MANIFEST}
    for name in sorted(present - set(files)):
        raise ArtifactError(f"{folder / name} does not belong to the artifact; remove it")
    for name, expected in files.items():
        path = folder / name
        if name not in present or path.is_symlink():
            raise ArtifactError(f"{path} is missing; {MEND}")
        if path.stat().st_size != expected["bytes"] or sha256_file(path) != expected["sha256"]:
            raise ArtifactError(f"{path} was changed after it was written: its sha256 differs; {MEND}")
