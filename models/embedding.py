"""Field vectors: every feature's embedding, from one table.

A *scope* is a set of features embedded with rows of their own: the ranker's main input is one; FinalMLP's gates have
one each. All scopes of a model share one physical table and are looked up in one pass.

Shapes: B batch, M numeric features, S slots, D width of a table row, P probes, W width of a scope (its fields x P x D).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

from common.errors import ConfigError, did_you_mean
from common.settings import Settings
from features.encoding.fitted import FittedSchema
from features.schema import ListFeature, SparseFeature
from kernels.addressing import MAX_ROWS, Slot, slot_seed
from kernels.lookup.interface import Lookup
from kernels.lookup.layout import TableLayout

BuildLookup = Callable[[TableLayout], Lookup]
"""Gives a lookup of a layout. How the table is held and updated is its business."""


class EmbeddingSettings(Settings):
    """Settings of the table.

    Attributes:
        dim: Width of a row.
        probes: Rows a value reads, concatenated; a field is ``probes * dim`` wide.
        tokens: How hashed tokens find rows. ``unified``: all features share all ``rows``, each with a seed of its own
            (feature multiplexing; Coleman et al. 2023, "Unified Embedding"). ``hashed``: each gets an equal range.
        rows: Rows for hashed tokens; vocabularies and numbered buckets bring their own.
        init_std: Standard deviation of the rows' normal initialisation.
    """

    dim: int = Field(default=10, ge=1, le=1024)
    probes: int = Field(default=1, ge=1, le=16)
    tokens: Literal["unified", "hashed"] = "unified"
    rows: int | None = Field(default=None, ge=1, le=MAX_ROWS)
    init_std: float = Field(default=1e-4, gt=0)


@dataclass(frozen=True)
class Scope:
    """A set of features embedded with rows of their own.

    Attributes:
        features: Their names, in order.
        name: Tells the scope's seeds from those of others; the main scope has none.
    """

    features: tuple[str, ...]
    name: str = ""


class FeatureEmbedding(nn.Module):
    """Turns a batch's features into field vectors.

    Args:
        settings: Of the table.
        fitted: The fitted schema; gives the keys' order, kinds and vocabulary sizes.
        scopes: The sets of features, each embedded apart.
        build_lookup: Gives the lookup.

    Raises:
        ConfigError: A scope names an unknown feature, or tokens have no rows.
    """

    _order: Tensor
    _numeric: Tensor

    def __init__(
        self, settings: EmbeddingSettings, fitted: FittedSchema, scopes: Sequence[Scope], build_lookup: BuildLookup
    ) -> None:
        super().__init__()
        schema = fitted.schema
        known = [feature.name for feature in schema.features]
        for name in (name for scope in scopes for name in scope.features):
            if name not in known:
                raise ConfigError(
                    f"the model names feature {name!r}, which the schema lacks; {did_you_mean(name, known)}"
                )

        self.field_width = settings.probes * settings.dim
        self.widths = tuple(len(scope.features) * self.field_width for scope in scopes)
        self._keys = [feature.name for feature in schema.sparse]
        self._one_hot = not any(isinstance(feature, ListFeature) for feature in schema.sparse)

        layout = _lay_out(settings, fitted, scopes)
        numeric_position = {feature.name: i for i, feature in enumerate(schema.numeric)}
        ordered = [name for scope in scopes for name in scope.features]
        numeric = [name for name in ordered if name in numeric_position]
        sparse_count = len(ordered) - len(numeric)
        # Looked-up fields come first, then numeric ones; this puts them back into the order of the scopes.
        next_sparse, next_numeric = iter(range(sparse_count)), iter(range(sparse_count, len(ordered)))
        order = [next(next_numeric if name in numeric_position else next_sparse) for name in ordered]
        self.register_buffer("_order", torch.tensor(order), persistent=False)
        self._ordered = order == sorted(order)
        self.register_buffer("_numeric", torch.tensor([numeric_position[n] for n in numeric]).long(), persistent=False)

        self.lookup = build_lookup(layout) if layout.slots else None
        if self.lookup is not None:
            with torch.no_grad():
                self.lookup.table.normal_(std=settings.init_std)
        self.numeric: NumericEmbedding | None = None
        if numeric:
            masked = [schema.feature(name) for name in numeric]
            self.numeric = NumericEmbedding(
                len(numeric),
                self.field_width,
                masks=[f.kind == "numeric" and f.missing == "mask" for f in masked],
            )

    def forward(self, dense: Tensor, sparse: KeyedJaggedTensor) -> tuple[Tensor, ...]:
        """Embed a batch.

        Args:
            dense: Numerics, float32 ``[B, M]``; NaN is missing.
            sparse: Tokens, int64, a key a sparse feature.

        Returns:
            For each scope its fields side by side, float32 ``[B, W]``.

        Raises:
            ValueError: The keys are not the schema's sparse features.
        """
        parts = []  # each [B, fields, P * D]
        if self.lookup is not None:
            if sparse.keys() != self._keys:
                raise ValueError(f"the batch has keys {sparse.keys()}, the model expects {self._keys}")
            pooled = self.lookup(sparse.values(), None if self._one_hot else sparse.offsets())  # [B, S, D]
            parts.append(pooled.reshape(pooled.shape[0], -1, self.field_width))
        if self.numeric is not None:
            parts.append(self.numeric(dense[:, self._numeric]))
        fields = parts[0] if len(parts) == 1 else torch.cat(parts, 1)
        if not self._ordered:
            fields = fields[:, self._order]
        scopes: tuple[Tensor, ...] = fields.flatten(1).split(self.widths, dim=1)
        return scopes


class NumericEmbedding(nn.Module):
    """Numeric fields: value times a learned vector; where missing, another learned vector instead.

    Args:
        fields: Number m of numeric fields.
        width: Width w of a field.
        masks: Which fields can be missing; the others have no vector for it.
    """

    _masked: Tensor

    def __init__(self, fields: int, width: int, *, masks: Sequence[bool]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(fields, width))
        self.missing = nn.Parameter(torch.empty(sum(masks), width)) if any(masks) else None
        self.register_buffer(
            "_masked", torch.tensor([i for i, mask in enumerate(masks) if mask]).long(), persistent=False
        )
        for parameter in self.parameters():
            # Xavier-normal of a Linear(1, w): the published recipes' meaning.
            nn.init.normal_(parameter, std=(2.0 / (1 + width)) ** 0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Embed values ``[B, m]``, NaN where missing, as ``[B, m, w]``."""
        absent = x.isnan()
        embedded = torch.where(absent, 0.0, x).unsqueeze(2) * self.weight  # [B, m, w]
        if self.missing is None:
            return embedded
        mask = absent[:, self._masked].to(embedded.dtype).unsqueeze(2) * self.missing  # [B, masked, w]
        return embedded.index_add(1, self._masked, mask)


def _lay_out(settings: EmbeddingSettings, fitted: FittedSchema, scopes: Sequence[Scope]) -> TableLayout:
    """Give every (feature, probe) of every scope its slot, and count the table's rows.

    Ranges come first: vocabularies (a range a probe), then hashed features; the unified rows follow. A list reads the
    slots of the feature it is ``of``.
    """
    schema = fitted.schema
    sparse = {feature.name: feature for feature in schema.sparse}
    uses = [(scope, sparse[name]) for scope in scopes for name in scope.features if name in sparse]
    owners: dict[tuple[str, str], SparseFeature] = {}
    for scope, feature in uses:
        owner = schema.encoder_of(feature)
        owners[scope.name, owner.name] = owner
    hashed = [key for key, owner in owners.items() if fitted.ids(owner) is None]
    if hashed and settings.rows is None:
        raise ConfigError(
            f"embedding.rows is missing; feature {hashed[0][1]!r} is hashed, so the table's rows are yours to set"
        )
    if not hashed and settings.rows is not None:
        raise ConfigError("embedding.rows is set, but no feature is hashed; remove it")

    base = 0
    ranges: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for key, owner in owners.items():
        ids = fitted.ids(owner)
        if ids is not None:
            ranges[key] = [(base + probe * ids, ids) for probe in range(settings.probes)]
            base += settings.probes * ids
    rows = settings.rows or 0
    share = rows // max(len(hashed), 1) if settings.tokens == "hashed" else rows
    if hashed and share == 0:
        raise ConfigError(f"embedding.rows {rows} is fewer than the {len(hashed)} hashed features; give more rows")
    for position, key in enumerate(hashed):
        start = base + position * share if settings.tokens == "hashed" else base
        ranges[key] = [(start, share)] * settings.probes
    if base + rows > MAX_ROWS:
        raise ConfigError(f"the table would have {base + rows:,} rows; the limit is {MAX_ROWS:,}")

    position_of = {feature.name: i for i, feature in enumerate(schema.sparse)}
    slots = []
    for scope, feature in uses:
        owner = schema.encoder_of(feature)
        seed_name = f"{scope.name}/{owner.name}" if scope.name else owner.name
        for probe, (start, count) in enumerate(ranges[scope.name, owner.name]):
            slots.append(
                Slot(
                    key=position_of[feature.name],
                    seed=slot_seed(seed_name, probe),
                    base=start,
                    rows=count,
                    mixed=fitted.ids(owner) is None,
                    mean=isinstance(feature, ListFeature) and feature.pooling == "mean",
                )
            )
    return TableLayout(keys=len(schema.sparse), slots=tuple(slots), rows=base + rows, dim=settings.dim)
