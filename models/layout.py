"""The layout of the table: which rows each feature's values are spread over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Literal

from common.errors import ConfigError, did_you_mean
from features.encoding.fitted import FittedSchema
from features.schema import ListFeature, Schema, SparseFeature
from kernels.addressing import MAX_ROWS, Slot, slot_seed
from kernels.lookup.layout import TableLayout
from models.scope import Scope

if TYPE_CHECKING:
    from models.embedding import EmbeddingSettings

RowsKind = Literal["full", "unified", "hashed"]
"""How values find rows: a row an id, rows shared by all unified features, or a range of the feature's own."""

_FLOAT_BYTES = 4


@dataclass(frozen=True, kw_only=True)
class SparseField:
    """A sparse feature in a scope, and the slots its values read.

    Attributes:
        scope: The scope's name.
        feature: The feature's name.
        owner: The feature whose slots these are: itself, or what a list is ``of``.
        kind: How its values find rows.
        slots: A slot a probe.
    """

    scope: str
    feature: str
    owner: str
    kind: RowsKind
    slots: tuple[Slot, ...]


@dataclass(frozen=True)
class _Owner:
    """A feature that owns slots in a scope: how its values find rows, by how many probes, and its number of ids."""

    kind: RowsKind
    probes: int
    ids: int | None


_Key = tuple[str, str]  # scope, owner


def lay_out(
    settings: "EmbeddingSettings", fitted: FittedSchema, scopes: Sequence[Scope], dim: int
) -> tuple[tuple[SparseField, ...], TableLayout]:
    """Give every (feature, probe) of every scope its slot, and count the table's rows.

    Full features come first in the table, a row an id and probe. Behind them each hashed feature has its range, which
    its probes share, and at the end lie the rows that the unified features share. The sizes of the ranges: each feature
    that is hashed or unified has a weight, its number of ids where that is known. A feature whose number of values is
    unknown (tokens) weighs as much as the known ones do on average, so that features of unknown size get equal shares.
    The rows are shared out by weight; unified features put their shares together. No row is left over, and no feature
    without one. A list reads the slots of the feature it is ``of``. A feature counts once a scope.

    Args:
        settings: Of the table.
        fitted: The fitted schema.
        scopes: The sets of features, each with rows of its own.
        dim: Width of a row.

    Returns:
        The sparse fields in the order of the scopes, and the table with their slots in that order.

    Raises:
        ConfigError: An exception names no feature that could be one, the table's size is missing, too small, too large
            or of no use, or a feature without ids is to have full rows.
    """
    schema = fitted.schema
    _check_exceptions(settings, schema)
    sparse = {feature.name: feature for feature in schema.sparse}
    uses = [(scope.name, sparse[name]) for scope in scopes for name in scope.features if name in sparse]
    owners: dict[_Key, _Owner] = {}
    for scope_name, feature in uses:
        owner = schema.encoder_of(feature)
        owners[scope_name, owner.name] = _owner(settings, owner.name, fitted.ids(owner))

    full = sum(o.probes * (o.ids or 0) for o in owners.values() if o.kind == "full")
    spread = {key: owner for key, owner in owners.items() if owner.kind != "full"}
    rows = _spread_rows(settings, spread, full, dim)
    if full + rows > MAX_ROWS:
        raise ConfigError(
            f"the table would have {full + rows:,} rows; the limit is {MAX_ROWS:,}, as 32 bits of a token's hash "
            "choose its row in signed 64-bit arithmetic; use fewer rows, and embedding.dim for wider ones"
        )
    ranges = _ranges(owners, full, rows)
    position_of = {feature.name: i for i, feature in enumerate(schema.sparse)}
    fields = []
    for scope_name, feature in uses:
        owner_name = schema.encoder_of(feature).name
        owner_of_slots = owners[scope_name, owner_name]
        slots = tuple(
            Slot(
                key=position_of[feature.name],
                seed=slot_seed(f"{scope_name}/{owner_name}" if scope_name else owner_name, probe),
                base=base,
                rows=count,
                mixed=owner_of_slots.kind != "full",
                mean=isinstance(feature, ListFeature) and feature.pooling == "mean",
            )
            for probe, (base, count) in enumerate(ranges[scope_name, owner_name])
        )
        fields.append(
            SparseField(scope=scope_name, feature=feature.name, owner=owner_name, kind=owner_of_slots.kind, slots=slots)
        )
    all_slots = tuple(slot for field in fields for slot in field.slots)
    return tuple(fields), TableLayout(keys=len(schema.sparse), slots=all_slots, rows=full + rows, dim=dim)


def _check_exceptions(settings: "EmbeddingSettings", schema: Schema) -> None:
    sparse: dict[str, SparseFeature] = {feature.name: feature for feature in schema.sparse}
    for name in settings.features:
        where = f"embedding.features.{name}"
        if name in (feature.name for feature in schema.numeric):
            raise ConfigError(f"{where}: feature {name!r} is a number and reads no rows; remove it from there")
        if name not in sparse:
            raise ConfigError(f"{where}: the schema has no feature {name!r}; {did_you_mean(name, sparse)}")
        owner = schema.encoder_of(sparse[name]).name
        if owner != name:
            raise ConfigError(f"{where}: feature {name!r} reads the rows of {owner!r}; set embedding.features.{owner}")


def _owner(settings: "EmbeddingSettings", name: str, ids: int | None) -> _Owner:
    own = settings.features.get(name)
    kind: RowsKind = settings.tokens if ids is None else settings.vocabularies
    if own is not None and own.rows is not None:
        kind = own.rows
    if kind == "full" and ids is None:
        raise ConfigError(
            f"embedding.features.{name}: rows: full needs ids, and feature {name!r} has hashed tokens; give it "
            "encoding: vocabulary in the schema and prepare again, or set rows: unified"
        )
    probes = settings.probes if own is None or own.probes is None else own.probes
    return _Owner(kind, probes, ids)


def _spread_rows(settings: "EmbeddingSettings", spread: Mapping[_Key, _Owner], full: int, dim: int) -> int:
    """Rows for the hashed and unified owners, by ``rows`` or ``memory_mb``; ``full`` rows are taken."""
    given = "rows" if settings.rows is not None else "memory_mb" if settings.memory_mb is not None else None
    if not spread:
        if given is not None:
            raise ConfigError(f"embedding.{given} is set, but no feature is unified or hashed; remove it")
        return 0
    (_, name), first = next(iter(spread.items()))
    if given is None:
        raise ConfigError(
            f"embedding.rows is missing; feature {name!r} is {first.kind}, so the table's size is yours to set; "
            "give rows, or memory_mb"
        )
    kinds = [owner.kind for owner in spread.values()]
    least = kinds.count("hashed") + ("unified" in kinds)
    if settings.memory_mb is None:
        assert settings.rows is not None
        if settings.rows < least:
            raise ConfigError(
                f"embedding.rows {settings.rows} leaves a hashed feature without a row; give {least} or more"
            )
        return settings.rows
    row_bytes = _FLOAT_BYTES * dim
    rows = round(settings.memory_mb * 1e6) // row_bytes - full
    if rows < least:
        raise ConfigError(
            f"embedding.memory_mb {settings.memory_mb} is too small; full features take {full:,} rows of {row_bytes} "
            f"bytes and the others at least {least}, so {(full + least) * row_bytes / 1e6} would be just enough"
        )
    return rows


def _ranges(owners: Mapping[_Key, _Owner], full: int, rows: int) -> dict[_Key, list[tuple[int, int]]]:
    """For each owner a (base, rows) range a probe."""
    ranges = {}
    base = 0
    for key, owner in owners.items():
        if owner.kind == "full":
            assert owner.ids is not None
            ranges[key] = [(base + probe * owner.ids, owner.ids) for probe in range(owner.probes)]
            base += owner.probes * owner.ids
    assert base == full
    hashed = [key for key, owner in owners.items() if owner.kind == "hashed"]
    unified = [key for key, owner in owners.items() if owner.kind == "unified"]
    weight = _weights({key: owner.ids for key, owner in owners.items() if owner.kind != "full"})
    weights = [weight[key] for key in hashed] + ([sum(weight[key] for key in unified)] if unified else [])
    shares = [(full + start, count) for start, count in _shares(rows, weights)]
    for key, share in zip(hashed, shares, strict=False):
        ranges[key] = [share] * owners[key].probes
    for key in unified:
        ranges[key] = [shares[-1]] * owners[key].probes
    return ranges


def _weights(ids: Mapping[_Key, int | None]) -> dict[_Key, int]:
    """Whole weights in proportion to the ids; where they are unknown, the mean of the known."""
    known = [count for count in ids.values() if count is not None]
    if not known:
        return dict.fromkeys(ids, 1)
    return {key: sum(known) if count is None else count * len(known) for key, count in ids.items()}


def _shares(rows: int, weights: Sequence[int]) -> list[tuple[int, int]]:
    """Cut ``[0, rows)`` into (start, length) runs in proportion to the weights, none of them empty."""
    bounds, total = [0], sum(weights)
    for i, cumulated in enumerate(accumulate(weights), 1):
        bound = rows * cumulated // total
        # At least a row for this run, and one for each that follows.
        bounds.append(min(max(bound, bounds[-1] + 1), rows - (len(weights) - i)))
    return [(start, end - start) for start, end in pairwise(bounds)]
