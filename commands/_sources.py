"""What evaluate and compare judge: an artifact on a prepared set, or files of predictions."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from commands._console import TablePrecision
from common.errors import ConfigError, DataError, did_you_mean
from training.manifest import MANIFEST

if TYPE_CHECKING:
    import polars as pl

    from evaluation.rows.columns import Columns
    from evaluation.rows.rows import Where
    from evaluation.rows.source import Source
    from features.datasets.prepared import PreparedSet
    from training.artifact import Artifact


class ArtifactSource:
    """An artifact's scores of a split of a prepared set.

    Args:
        path: Where the artifact lies.
        artifact: The model.
        prepared: The prepared set.
        split: ``train``, ``valid`` or ``test``.

    Attributes:
        name: Where the artifact lies.
        rows: Rows of the split.
        facts: What the numbers rest on.
    """

    def __init__(self, path: Path, artifact: "Artifact", prepared: "PreparedSet", split: str) -> None:
        self.name = str(path)
        self.rows = prepared.rows(split)
        self.facts = {
            "artifact": artifact.name,
            "digest": artifact.digest,
            "data": str(prepared.folder),
            "split": split,
        }
        self._artifact = artifact
        self._prepared = prepared
        self._split = split

    def frames(self) -> Iterator[tuple["pl.DataFrame", "Where"]]:
        """The rows in order, a frame a shard."""
        from training.predictions import predictions

        for frame in predictions(self._artifact, self._prepared, self._split):
            yield frame, partial(self._where, frame)

    def _where(self, frame: "pl.DataFrame", row: int) -> str:
        return f"{self._prepared.folder} row {frame['row'][row] + 1}"


class Scoring:
    """How artifacts are scored: the rows, and the precision of the table."""

    def __init__(self, data: Path | None, split: str, table: TablePrecision) -> None:
        self.data = data
        self.split = split
        self.table = table

    def group(self, path: Path) -> str | None:
        """The group column of an artifact's predictions; None where its schema has none, and of files."""
        from features.datasets.prepared import PreparedSet

        if self.data is None or not _is_artifact(path):
            return None
        return "group" if PreparedSet(self.data).fitted.schema.group is not None else None

    def open(self, paths: Sequence[str], columns: "Columns", key: Sequence[str]) -> "Source":
        """Open an artifact's folder, or predictions: files, globs and folders that are one table.

        Raises:
            ConfigError: There is no data for an artifact to score.
            DataError: A column is missing, or something is missing or damaged.
            ArtifactError: The artifact is missing or damaged.
        """
        from evaluation.rows.files import PredictionFiles

        if len(paths) == 1 and _is_artifact(Path(paths[0])):
            return self.artifact(Path(paths[0]), columns, key)
        return PredictionFiles(paths, (*columns.all, *key), columns.numbers)

    def artifact(self, path: Path, columns: "Columns", key: Sequence[str]) -> ArtifactSource:
        """Open an artifact's folder.

        Raises:
            PlexrankError: As for ``open``.
        """
        from training.predictions import open_both

        if self.data is None:
            raise ConfigError(f"{path} is an artifact, which needs rows to score; add --data, a prepared set")
        artifact, prepared = open_both(path, self.data, table=self.table)
        schema = prepared.fitted.schema
        known = {"label", "score", "row", *(["group"] if schema.group is not None else []), *schema.keep}
        for column in (*columns.all, *key):
            if column not in known:
                raise DataError(
                    f"{self.data} keeps no column {column!r} (its schema's keep does); {did_you_mean(column, known)}"
                )
        return ArtifactSource(path, artifact, prepared, self.split)


def short_names(paths: Sequence[str]) -> list[str]:
    """Paths of several models without what all of them begin and end with: ``runs/a/artifact`` becomes ``a``.

    Raises:
        ConfigError: Two are the same.
    """
    if len(set(map(Path, paths))) < len(paths):
        raise ConfigError("a model is given twice, and differs from itself in nothing; give each once")
    parts = [Path(path).parts for path in paths]
    shortest = min(len(some) for some in parts) - 1
    start = next((i for i in range(shortest) if len({some[i] for some in parts}) > 1), shortest)
    stop = next((i for i in range(shortest - start) if len({some[-1 - i] for some in parts}) > 1), shortest - start)
    return [str(Path(*some[start : len(some) - stop])) for some in parts]


def facts_of(source: "Source") -> dict[str, str]:
    """What the numbers of a source rest on."""
    return source.facts if isinstance(source, ArtifactSource) else {"predictions": source.name}


def title_of(source: "Source") -> str:
    """The model and the rows, in a line."""
    if isinstance(source, ArtifactSource):
        return f"{source.facts['artifact']}@{source.facts['digest'][:12]} on {source.facts['split']}"
    return source.name


def _is_artifact(path: Path) -> bool:
    """Whether a path is an artifact's folder rather than predictions."""
    return (path / MANIFEST).is_file()
