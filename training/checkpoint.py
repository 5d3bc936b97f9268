"""Checkpoints: all that training needs to go on, written by all ranks, read by any number of them.

    FOLDER/0000001200/            one for the step; the last one whole replaces those before it
        checkpoint.json           format, progress, sha256 of every other file
        .metadata, __*.distcp     tensors, as torch.distributed.checkpoint writes them

Tensors have the names of the ranker's ``state_dict``; beside them ``LOOKUP.state.NAME`` (the table's optimiser),
``optimizer.PARAMETER.NAME`` (the dense one) and ``random.RANK``. Tables are [rows, width] without padding, whoever
wrote them, so a sharded run goes on unsharded and the reverse, where the table's optimiser is the same.

The ranks of several machines need a folder that all of them see. torch's files hold pickles: resume only from a folder
that you trust. An artifact has none.
"""

import contextlib
import json
import shutil
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from common.errors import ArtifactError, DiskError
from common.files import atomic_folder, sha256_file, sha256_json, write_json
from features.datasets.feed import Feed
from kernels.lookup.interface import Lookup
from kernels.lookup.pieces import Piece, Pieces
from training.ranks import on_all, on_first, rank, world_size

FORMAT = 1
_MANIFEST = "checkpoint.json"
_MEND = "remove it to begin anew"


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of a run.

    Attributes:
        folder: Where they are. Nothing else may be in it.
    """

    folder: Path

    def save(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, *, step: int, progress: Mapping[str, Any]
    ) -> None:
        """Write a checkpoint and remove older ones; all ranks must call this.

        A run killed meanwhile leaves the one before.

        Args:
            model: The ranker, sharded or not.
            optimizer: The dense optimiser.
            step: Steps done; larger than at any checkpoint before.
            progress: All else to go on from, as json; rank 0's is kept.

        Raises:
            DiskError: A file cannot be written.
            ConfigError: The folder cannot be written.
        """
        target = self.folder / f"{step:010}"
        tensors = _tensors(model, optimizer)
        if rank() > 0:  # what all ranks have alike, rank 0 writes
            tensors = {n: t for n, t in tensors.items() if isinstance(t, Pieces) or n == _random_name(rank())}
        with contextlib.ExitStack() as whole:
            partial = on_first(lambda: whole.enter_context(atomic_folder(target, overwrite=True)))
            with _as_disk_error(target):
                save(tensors, storage_writer=FileSystemWriter(partial, sync_files=False), no_dist=_alone())
            digests = on_all(lambda: {p.name: sha256_file(p) for p in partial.glob(f"__{rank()}_*")})
            on_first(lambda: _finish(partial, model, digests, progress))
            on_first(whole.close)
        on_first(lambda: self._keep(target))

    def load(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        """Go on from the last checkpoint; all ranks must call this, as many as there may be.

        The state of the random generators is restored where as many ranks wrote it.

        Args:
            model: The ranker, sharded or not.
            optimizer: The dense optimiser.

        Returns:
            The progress that was saved.

        Raises:
            ArtifactError: There is none, it is damaged, or it is another model's; then nothing is changed.
        """
        folder = on_first(self._last)
        manifest = on_first(lambda: _read_manifest(folder))
        files = list(manifest["files"].items())
        on_all(lambda: _check_files(folder, dict(files[rank() :: world_size()])))
        tensors = _tensors(model, optimizer)
        if manifest["world_size"] != world_size():
            del tensors[_random_name(rank())]
        on_all(lambda: _check_tensors(folder, tensors))
        with _quiet():
            load(tensors, storage_reader=FileSystemReader(folder), no_dist=_alone())
        if _random_name(rank()) in tensors:
            _set_random_state(model, tensors[_random_name(rank())])
        for name, lookup in _lookups(model).items():
            lookup.updates = manifest["updates"][name]
        progress: dict[str, Any] = manifest["progress"]
        return progress

    def any(self) -> bool:
        """Whether there is a checkpoint."""
        return bool(self._all())

    def remove(self) -> None:
        """Remove all of them, with their folder; rank 0 calls this."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _keep(self, target: Path) -> None:
        for other in self._all():
            if other != target:
                shutil.rmtree(other)

    def _all(self) -> list[Path]:
        return sorted(path for path in self.folder.glob("[0-9]*") if path.is_dir())

    def _last(self) -> Path:
        found = self._all()
        if not found:
            raise ArtifactError(f"{self.folder} holds no checkpoint to resume from; train without resuming")
        return found[-1]


def resume_feed(feed: Feed, position: Mapping[str, Any]) -> None:
    """Go to a saved position of a feed, though it was saved with another number of ranks if that is an epoch's start.

    Args:
        feed: This rank's feed.
        position: What ``feed.state_dict()`` gave.

    Raises:
        ConfigError: It is a position in other data, in another order, or within an epoch shared out otherwise.
    """
    here = {"world_size": feed.state_dict()["world_size"]} if position["batch"] == 0 else {}
    feed.load_state_dict({**position, **here})


def _tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """All tensors of training by name: the live ones, but for the random generator's."""
    tensors = dict(model.state_dict())
    for name, lookup in _lookups(model).items():
        tensors[f"{name}.table"] = _in_blocks(lookup.table.detach())
        tensors |= {f"{name}.state.{key}": _in_blocks(value) for key, value in lookup.state.items()}
    _begin(optimizer)
    for name, parameter in model.named_parameters():
        tensors |= {f"optimizer.{name}.{key}": value for key, value in optimizer.state.get(parameter, {}).items()}
    return {**tensors, _random_name(rank()): _random_state(model)}


def _in_blocks(tensor: Tensor) -> Tensor:
    """A table, if it is whole too, as what is written and read in blocks."""
    if isinstance(tensor, Pieces):
        return tensor
    return Pieces(tensor.shape, [Piece((0,) * tensor.dim(), tensor)])


def _begin(optimizer: torch.optim.Optimizer) -> None:
    """Let Adam make its state, which it does at its first step, and undo the step."""
    if optimizer.state:
        return
    rates = [group["lr"] for group in optimizer.param_groups]
    for group in optimizer.param_groups:
        group["lr"] = 0.0
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    optimizer.zero_grad()
    for state in optimizer.state.values():
        for value in state.values():
            value.zero_()
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate


def _lookups(model: nn.Module) -> dict[str, Lookup]:
    return {name: module for name, module in model.named_modules() if isinstance(module, Lookup)}


def _random_name(owner: int) -> str:
    return f"random.{owner}"


def _random_state(model: nn.Module) -> Tensor:
    """The state of the generator that dropout draws from: that of the model's device."""
    device = next(model.parameters()).device
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


def _set_random_state(model: nn.Module, state: Tensor) -> None:
    device = next(model.parameters()).device
    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
    else:
        torch.set_rng_state(state)


def _finish(
    partial: Path,
    model: nn.Module,
    digests: list[dict[str, str]],
    progress: Mapping[str, Any],
) -> None:
    content = {
        "format": FORMAT,
        "world_size": world_size(),
        "progress": dict(progress),
        "updates": {name: lookup.updates for name, lookup in _lookups(model).items()},
        "files": {".metadata": sha256_file(partial / ".metadata")} | {k: v for one in digests for k, v in one.items()},
    }
    write_json(partial / _MANIFEST, {"digest": sha256_json(content), **content})


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / _MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(path.read_bytes())
        digest = manifest.pop("digest")
        whole = digest == sha256_json(manifest)
    except (OSError, ValueError, KeyError, AttributeError):
        whole = False
    if not whole:
        raise ArtifactError(f"checkpoint {folder} is damaged: {_MANIFEST} is missing or was changed; {_MEND}")
    if manifest["format"] != FORMAT:
        raise ArtifactError(
            f"checkpoint {folder} has format {manifest['format']}, this plexrank reads {FORMAT}; {_MEND}"
        )
    return manifest


def _check_files(folder: Path, digests: Mapping[str, str]) -> None:
    for name, digest in digests.items():
        path = folder / name
        if not path.is_file() or sha256_file(path) != digest:
            raise ArtifactError(f"checkpoint {folder} is damaged: {name} is missing or was changed; {_MEND}")


def _check_tensors(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """Compare names and shapes with what was saved."""
    saved = {
        name: list(entry.size)
        for name, entry in FileSystemReader(folder).read_metadata().state_dict_metadata.items()
        if isinstance(entry, TensorStorageMetadata)
    }
    here = {name: list(tensor.shape) for name, tensor in tensors.items()}
    for name in sorted(saved.keys() | here.keys()):
        if saved.get(name) != here.get(name) and not name.startswith("random."):
            raise ArtifactError(
                f"checkpoint {folder} is of another model or optimiser: {name} is {saved.get(name, 'missing')} there, "
                f"{here.get(name, 'missing')} here; resume with the run file it was written with"
            )


def _alone() -> bool:
    return world_size() == 1


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        yield


@contextlib.contextmanager
def _as_disk_error(target: Path) -> Iterator[None]:
    """Of what torch raises on all ranks when one of them cannot write."""
    try:
        with _quiet():
            yield
    except CheckpointException as problem:
        cause = next(cause for cause, _ in problem.failures.values())
        # torch's zip writer tells of a write that the system refused only by where the file ends.
        reason = cause.strerror if isinstance(cause, OSError) else "the disk took only a part of it"
        raise DiskError(target, reason or str(cause), "free some space") from problem
