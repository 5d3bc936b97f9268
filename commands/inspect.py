"""plexrank inspect: what a model's table is made of, before or after it is trained."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from commands._console import console, progress_bar, table
from common.errors import ArtifactError, ConfigError

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from features.datasets.prepared import PreparedSet
    from kernels.collisions import Collisions, Share, Usage
    from kernels.lookup.memory import Footprint
    from models.layout import SparseField
    from models.ranker import Ranker


def inspect(
    artifact: Annotated[Path | None, typer.Option(help="An artifact's folder.")] = None,
    config: Annotated[Path | None, typer.Option(help="Instead: a run file, trained or not.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Replace a setting of the run file. Repeatable.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="A prepared set, to count collisions in its train rows.", show_default="the run file's"),
    ] = None,
    json_: Annotated[
        Path | None, typer.Option("--json", help="Write what was found as json to this file; - prints it instead.")
    ] = None,
) -> None:
    """Show a model's embedding table: its size, the rows each feature reads, and how many values collide there.

    For a run file also the memory that training will take. With data, for each feature the share of its distinct values
    that share a row with another value of the feature (within; in all probes: with the same one by every probe), or a
    row that is read for another feature or by another probe (between): counted, and what is expected of a uniform hash.
    The first kind costs accuracy, the second little.

    Example: plexrank inspect --config configs/simulated_finalmlp.yaml --set embedding.memory_mb=1
    """
    from common.files import write_json

    if (artifact is None) == (config is None):
        raise ConfigError("give one of --artifact and --config: a trained model, or the run file of one")
    if config is not None:
        subject = _of_run(config, set_ or (), data)
    else:
        assert artifact is not None
        if set_:
            raise ConfigError("--set replaces settings of a run file, and --artifact has none; drop one of them")
        subject = _of_artifact(artifact, data)
    quiet = json_ == Path("-")
    if not quiet:
        _print_table(subject)
    embedding = subject.model.embedding
    # A comparison method reads other rows than its slots'.
    countable = embedding.fields and embedding.comparison is None
    counted = _count(embedding.fields, subject.prepared) if countable and subject.prepared is not None else None
    document = _document(subject, counted)
    if quiet:
        print(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))
        return
    if counted is not None:
        _print_collisions(*counted)
    if json_ is not None:
        write_json(json_, document)
        console.print(f"Wrote {json_}.", soft_wrap=True, markup=False)


@dataclass(frozen=True)
class _Subject:
    """What is inspected: the ranker, the data to count in, and the memory that training takes for the table."""

    name: str
    kind: str
    model: "Ranker"
    prepared: "PreparedSet | None"
    training: "Footprint | None"


@dataclass(frozen=True)
class _Counted:
    """The collisions of the features that read the same slots: of one feature, and of the lists that are of it."""

    scope: str
    features: tuple[str, ...]
    collisions: "Collisions"


def _of_artifact(artifact: Path, data: Path | None) -> _Subject:
    from features.datasets.prepared import PreparedSet
    from training.artifact import Artifact

    loaded = Artifact.load(artifact)
    prepared = None if data is None else PreparedSet(data)
    if prepared is not None and prepared.fitted.digest != loaded.fitted.digest:
        raise ArtifactError(f"{data} was prepared with another schema; give the data that the model was trained on")
    return _Subject(f"{loaded.name}@{loaded.digest[:12]}", loaded.manifest["model"], loaded.model, prepared, None)


def _of_run(config: Path, overrides: Sequence[str], data: Path | None) -> _Subject:
    import torch

    from features.datasets.prepared import PreparedSet
    from kernels.lookup.memory import Footprint
    from models.registry import build_model
    from training.optimizers import table_optimizer
    from training.run import load_run

    settings = load_run(config, overrides)
    prepared = PreparedSet(data or settings.data)
    # On the meta device nothing is allocated, so that a table may be looked at that would not fit.
    model = build_model(settings.architecture, prepared.fitted, device=torch.device("meta"))
    lookup = model.embedding.lookup
    footprint = None if lookup is None else Footprint.of(lookup.layout, table_optimizer(settings.optimizer))
    return _Subject(str(config), settings.model.name, model, prepared, footprint)


def _count(fields: Iterable["SparseField"], prepared: "PreparedSet") -> "tuple[list[_Counted], Usage]":
    """Count the collisions of all that is read, lists together with the feature they are of."""
    import numpy as np

    from kernels.collisions import Readers, collisions

    together: dict[tuple[str, str], list[SparseField]] = {}
    for field in fields:
        together.setdefault((field.scope, field.owner), []).append(field)
    names = {field.feature: None for alike in together.values() for field in alike}
    distinct = _distinct(prepared, list(names))
    readers = [
        Readers(alike[0].slots, np.unique(np.concatenate([distinct[field.feature] for field in alike])))
        for alike in together.values()
    ]
    found, usage = collisions(readers)
    counted = [
        _Counted(alike[0].scope, tuple(field.feature for field in alike), each)
        for alike, each in zip(together.values(), found, strict=True)
    ]
    return counted, usage


def _distinct(prepared: "PreparedSet", features: list[str]) -> "dict[str, NDArray[np.int64]]":
    """The distinct values of each feature in the train rows."""
    seen = {name: _Distinct() for name in features}
    with progress_bar() as bar:
        task = bar.add_task("distinct values", total=prepared.rows("train"), note="rows")
        for frame in prepared.shards("train", columns=features):
            for name in features:
                seen[name].add(frame[name])
            bar.advance(task, frame.height)
    return {name: some.values() for name, some in seen.items()}


class _Distinct:
    """Distinct values of a column that comes piece by piece, in memory of their number."""

    def __init__(self) -> None:
        self._pieces: list[pl.Series] = []
        self._merged = 0

    def add(self, column: "pl.Series") -> None:
        import polars as pl

        if column.dtype == pl.List:
            column = column.explode(empty_as_null=False)
        self._pieces.append(column.unique())
        # Not at each piece, but when there is twice as much as was left the last time.
        if sum(map(len, self._pieces)) > 2 * self._merged:
            self._merge()

    def values(self) -> "NDArray[np.int64]":
        self._merge()
        return self._pieces[0].to_numpy()

    def _merge(self) -> None:
        import polars as pl

        self._pieces = [pl.concat(self._pieces).unique() if self._pieces else pl.Series(dtype=pl.Int64)]
        self._merged = len(self._pieces[0])


def _document(subject: _Subject, counted: "tuple[list[_Counted], Usage] | None") -> dict[str, Any]:
    """What was found, for machines."""
    from kernels.lookup.memory import Footprint
    from models.ranker import parameter_count

    embedding = subject.model.embedding
    layout = None if embedding.lookup is None else embedding.lookup.layout
    document: dict[str, Any] = {
        "name": subject.name,
        "model": subject.kind,
        "parameters": parameter_count(subject.model),
        "table": None
        if layout is None
        else {"rows": layout.rows, "dim": layout.dim, "bytes": Footprint.of(layout, None).table},
        "optimizer_state_bytes": None if subject.training is None else subject.training.state,
        "features": [
            {
                "scope": field.scope,
                "feature": field.feature,
                "rows_of": field.owner,
                "kind": field.kind,
                "slots": [{"base": slot.base, "rows": slot.rows} for slot in field.slots],
            }
            for field in embedding.fields
        ],
        "collisions": None,
    }
    if counted is not None:
        features = [{"scope": each.scope, "features": each.features, **asdict(each.collisions)} for each in counted[0]]
        document["collisions"] = {"rows_used": asdict(counted[1]), "features": features}
    return document


def _print_table(subject: _Subject) -> None:
    from kernels.lookup.memory import Footprint
    from models.ranker import parameter_count

    embedding = subject.model.embedding
    lines = [("model", subject.kind), ("parameters", f"{parameter_count(subject.model):,}")]
    if embedding.lookup is not None:
        layout = embedding.lookup.layout
        lines.append(
            ("table", f"{layout.rows:,} rows x {layout.dim}, {Footprint.of(layout, None).table / 1e6:,.3f} MB")
        )
    if subject.training is not None:
        lines.append(("its optimiser's state", f"{subject.training.state / 1e6:,.3f} MB"))
    console.print(table(escape(subject.name), ("", ""), lines))
    if not embedding.fields:
        return
    rows = []
    for field in embedding.fields:
        first, end = field.slots[0].base, field.slots[-1].base + field.slots[-1].rows
        name = _named(field.scope, [field.feature])
        rows.append((name, field.kind, f"{len(field.slots)}", f"{end - first:,}", f"{first:,}", f"{end - 1:,}"))
    console.print(table("Rows of the table", ("feature", "how", "probes", "rows", "first", "last"), rows))


def _print_collisions(counted: "Sequence[_Counted]", usage: "Usage") -> None:
    def shown(*shares: "Share") -> str:
        """In per cent; over the probes, on average."""
        measured, expected = (
            100 * sum(each) / len(shares) for each in zip(*[(s.measured, s.expected) for s in shares], strict=True)
        )
        return f"{measured:.2f} ({expected:.2f})"

    rows = []
    for each in counted:
        slots, in_all = each.collisions.slots, each.collisions.in_all
        line = [shown(*(slot.within for slot in slots)), shown(in_all), shown(*(slot.between for slot in slots))]
        rows.append((_named(each.scope, each.features), f"{each.collisions.values:,}", *line))
    title = "Per cent of the train rows' distinct values that share a row: counted (expected)"
    console.print(table(title, ("feature", "values", "within", "in all probes", "between"), rows))
    console.print(f"Rows in use: {usage.measured:,} (expected {usage.expected:,.0f})", highlight=False)


def _named(scope: str, features: Sequence[str]) -> str:
    return ", ".join(features) + (f" in {scope}" if scope else "")
