"""Field vectors: every feature's embedding, from one table.

A *scope* (:mod:`models.scope`) is a set of features and what is read of them: the network's main input is one;
FinalMLP's gates have one each, with rows of their own. All scopes of a model share one physical table and are looked up
in one pass.

Shapes: B batch, K keys (sparse features), N values, M numeric features, S slots, D width of a table row, P default
probes, W width of a scope (the sum of its fields' widths).
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

from common.errors import ConfigError, DataError, did_you_mean
from common.settings import Settings
from features.encoding.fitted import FittedSchema
from features.schema import ListFeature
from kernels.lookup.interface import Lookup
from kernels.lookup.layout import TableLayout
from models.comparison import Comparison, ComparisonSettings, build_comparison
from models.layout import lay_out
from models.numeric import Numbers, NumericEmbedding
from models.scope import Fields, Scope

BuildLookup = Callable[[TableLayout], Lookup]
"""Gives a lookup of a layout. How the table is held and updated is its business."""

_INIT_STD = 1e-4


class FeatureSettings(Settings):
    """What holds for one feature instead of the table's defaults.

    Attributes:
        probes: Rows a value reads.
        rows: How its values find rows: ``unified``, ``hashed``, or ``full``, which needs a vocabulary.
    """

    probes: int | None = Field(default=None, ge=1, le=16)
    rows: Literal["full", "unified", "hashed"] | None = None


class EmbeddingSettings(Settings):
    """Settings of the table.

    A feature's values find their rows in one of three ways, and one table holds any mix of them. ``unified``: all such
    features share the same rows, each with a seed of its own (feature multiplexing; Coleman et al. 2023, "Unified
    Embedding"). ``hashed``: each has a range of its own. ``full``: each id has a row of its own. How many rows a range
    gets is :func:`models.layout.lay_out`'s to say.

    Attributes:
        dim: Width of a row.
        probes: Rows a value reads, concatenated; a field is ``probes * dim`` wide.
        tokens: How hashed tokens find rows.
        vocabularies: How ids (of vocabularies and numbered buckets) find rows.
        rows: Rows for all that is unified or hashed; full features bring their own.
        memory_mb: Instead of ``rows``: the whole float32 table in 10^6 bytes, full features included; rows follow.
        init_std: Standard deviation of the rows' normal initialisation; 1e-4 where neither this nor ``init_range`` is
            given.
        init_range: Instead of ``init_std``: rows are uniform in [-range, range].
        features: Exceptions by feature name; a list that is ``of`` another feature follows that one.
        comparison: Another method than rows alone, to compare with (:mod:`models.comparison`).
    """

    dim: int = Field(default=10, ge=1, le=1024)
    probes: int = Field(default=1, ge=1, le=16)
    tokens: Literal["unified", "hashed"] = "unified"
    vocabularies: Literal["full", "unified", "hashed"] = "full"
    rows: int | None = Field(default=None, ge=1)
    memory_mb: float | None = Field(default=None, gt=0)
    init_std: float | None = Field(default=None, gt=0)
    init_range: float | None = Field(default=None, gt=0)
    features: dict[str, FeatureSettings] = Field(default_factory=dict)
    comparison: ComparisonSettings | None = None

    @model_validator(mode="after")
    def _one_of_each(self) -> "EmbeddingSettings":
        if self.rows is not None and self.memory_mb is not None:
            raise ValueError("rows and memory_mb both say how large the table is; give one of them")
        if self.init_std is not None and self.init_range is not None:
            raise ValueError("init_std and init_range both say how rows begin; give one of them")
        return self

    @torch.no_grad()
    def initialise(self, table: Tensor) -> None:
        """Draw a table's rows, in place."""
        if self.init_range is None:
            table.normal_(std=self.init_std or _INIT_STD)
        else:
            table.uniform_(-self.init_range, self.init_range)


class FeatureEmbedding(nn.Module):
    """Turns a batch's features into what a network reads.

    A row of the table holds a value's vector and, where a scope reads it, its first-order weight behind that: one
    lookup gives both. Under row-wise Adagrad they share the row's one step size.

    Args:
        settings: Of the table.
        fitted: The fitted schema; gives the keys' order, kinds and vocabulary sizes.
        scopes: The sets of features, and what is read of each.
        build_lookup: Gives the lookup.

    Attributes:
        keys: Number K of sparse features.
        numerics: Number M of numeric features.
        one_hot: Whether no feature is a list, so that each has one value a row.
        fields: How each sparse feature of each scope finds its rows.
        shapes: For each scope the shape of what it gives.

    Raises:
        ConfigError: A scope names an unknown feature, or the table cannot be laid out.
    """

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
        self._scopes = tuple(scopes)
        self._keys = [feature.name for feature in schema.sparse]
        self.keys, self.numerics = len(schema.sparse), len(schema.numeric)
        self.one_hot = not any(isinstance(feature, ListFeature) for feature in schema.sparse)
        by_reads = {reads: [s for s in scopes if s.reads == reads] for reads in ("vectors", "weights", "numbers")}

        # Scopes of one name share rows, so each name is laid out once, with all that any of them reads.
        in_rows: dict[str, dict[str, None]] = {}
        for scope in (*by_reads["vectors"], *by_reads["weights"]):
            in_rows.setdefault(scope.name, {}).update(dict.fromkeys(scope.features))
        self._dim = settings.dim if by_reads["vectors"] else 0
        dim = self._dim + bool(by_reads["weights"])
        read = [Scope(tuple(features), name) for name, features in in_rows.items()]
        self.fields, layout = lay_out(settings, fitted, read, dim)
        slots: dict[tuple[str, str], range] = {}
        for field in self.fields:
            start = sum(map(len, slots.values()))
            slots[field.scope, field.feature] = range(start, start + len(field.slots))

        numeric = {f.name: (i, f.kind == "numeric" and f.missing == "mask") for i, f in enumerate(schema.numeric)}
        # Vectors of numerics: Xavier-normal of a Linear(1, width), as the published recipes have it. Their first-order
        # weights need no symmetry broken.
        xavier = (2.0 / (1 + settings.probes * settings.dim)) ** 0.5
        self.vectors = _Reading(
            by_reads["vectors"], slots, numeric, dim=settings.dim, probes=settings.probes, numeric_std=xavier
        )
        self.weights = _Reading(by_reads["weights"], slots, numeric, dim=1, probes=1, numeric_std=0.0)
        numbers = [
            Numbers([numeric[n][0] for n in scope.features], masks=[numeric[n][1] for n in scope.features])
            for scope in by_reads["numbers"]
        ]
        self.numbers = nn.ModuleList(numbers)
        widths = {
            "vectors": iter(self.vectors.field_widths),
            "weights": iter(self.weights.field_widths),
            "numbers": iter([module.widths for module in numbers]),
        }
        default = {"vectors": settings.probes * settings.dim, "weights": settings.probes, "numbers": 1}
        self.shapes = tuple(Fields(s.features, next(widths[s.reads]), default[s.reads], s.reads) for s in scopes)

        self.lookup = build_lookup(layout) if layout.slots else None
        self.comparison: Comparison | None = None
        if self.lookup is not None:
            settings.initialise(self.lookup.table)
            if settings.comparison is not None:
                self.comparison = build_comparison(settings.comparison, self.fields, fitted, self.lookup)

    def forward(self, dense: Tensor, sparse: KeyedJaggedTensor) -> tuple[Tensor, ...]:
        """Embed a batch.

        Args:
            dense: Numerics, float32 ``[B, M]``; NaN is missing.
            sparse: Tokens, int64, a key a sparse feature; in another order, or with keys besides, it is permuted. Its
                weights multiply the rows of the values.

        Returns:
            For each scope what it reads, its fields side by side, float32 ``[B, W]``.

        Raises:
            DataError: A sparse feature of the schema is missing among the keys.
        """
        return self.arrange(dense, self.look_up(sparse))

    def look_up(self, sparse: KeyedJaggedTensor) -> Tensor | None:
        """Look up a batch's rows: what depends on the table.

        Args:
            sparse: As in :meth:`forward`.

        Returns:
            float32 ``[B, S, D]``, a slot after the other; None where no feature has a slot.

        Raises:
            DataError: A sparse feature of the schema is missing among the keys.
        """
        if self.lookup is None:
            return None
        sparse = self._in_order(sparse)
        offsets = None if self.one_hot else sparse.offsets()
        return self.look_up_plain(sparse.values(), offsets, sparse.weights_or_none())

    def look_up_plain(
        self, values: Tensor, offsets: Tensor | None = None, weights: Tensor | None = None
    ) -> Tensor | None:
        """Look up a batch's rows given plain tensors.

        Args:
            values: Tokens, int64 ``[N]``: key by key in the schema's order of sparse features, then row by row.
            offsets: int32 or int64 ``[K * B + 1]`` bounds of each (key, row) bag; None where each holds one value.
            weights: float32 ``[N]`` that multiply the rows of the values; None for all 1.

        Returns:
            As :meth:`look_up`.

        Raises:
            DataError: A dtype or a length is wrong.
        """
        if self.lookup is None:
            return None
        rows_BSD: Tensor
        if self.comparison is None:
            rows_BSD = self.lookup(values, offsets, weights)
        else:
            rows_BSD = self.comparison(self.lookup.table, values, weights)
        return rows_BSD

    def arrange(self, dense: Tensor, rows: Tensor | None) -> tuple[Tensor, ...]:
        """Put looked-up rows and numerics into the order of the scopes: what does not depend on the table.

        Args:
            dense: Numerics, float32 ``[B, M]``; NaN is missing.
            rows: What :meth:`look_up` gave.

        Returns:
            For each scope its fields side by side, float32 ``[B, W]``.
        """
        vectors = rows if rows is None or not self.weights.field_widths else rows[:, :, : self._dim]
        given = {
            "vectors": iter(self.vectors(dense, vectors)),
            "weights": iter(self.weights(dense, None if rows is None else rows[:, :, self._dim :])),
            "numbers": iter([numbers(dense) for numbers in self.numbers]),
        }
        return tuple(next(given[scope.reads]) for scope in self._scopes)

    def _in_order(self, sparse: KeyedJaggedTensor) -> KeyedJaggedTensor:
        """The schema's keys, in its order."""
        keys = sparse.keys()
        if keys == self._keys:
            return sparse
        missing = [repr(key) for key in self._keys if key not in keys]
        if missing:
            unexpected = [repr(key) for key in keys if key not in self._keys]
            besides = f" and has {', '.join(unexpected)} instead" if unexpected else ""
            raise DataError(
                f"the batch lacks the keys {', '.join(missing)}{besides}; encode it with the schema of the model"
            )
        return sparse.permute([keys.index(key) for key in self._keys])


class _Reading(nn.Module):
    """What all scopes of one kind, vectors or weights, read: their share of the looked-up rows, and their numerics.

    Args:
        scopes: The scopes.
        slots: For each (scope's name, sparse feature) its slots among the looked-up rows.
        numeric: For each numeric feature its column among the batch's numerics, and whether it can be missing.
        dim: Numbers D that are read of a row.
        probes: A numeric field is as wide as so many rows.
        numeric_std: Standard deviation that numerics' vectors start with.

    Attributes:
        field_widths: For each scope the widths of its fields.
    """

    _columns: Tensor

    def __init__(
        self,
        scopes: Sequence[Scope],
        slots: Mapping[tuple[str, str], range],
        numeric: Mapping[str, tuple[int, bool]],
        *,
        dim: int,
        probes: int,
        numeric_std: float,
    ) -> None:
        super().__init__()
        self._dim = dim
        looked_up = sum(map(len, slots.values()))
        # Looked-up rows come first, then numeric fields, as rows too; the order puts them as the scopes have them.
        order: list[int] = []
        widths = []
        numerics: list[str] = []
        for scope in scopes:
            rows = []
            for name in scope.features:
                start = looked_up + len(numerics) * probes
                rows.append(range(start, start + probes) if name in numeric else slots[scope.name, name])
                numerics += [name] if name in numeric else []
            order += itertools.chain(*rows)
            widths.append(tuple(len(places) * dim for places in rows))
        self.field_widths = tuple(widths)
        self._widths = [sum(widths) for widths in self.field_widths]
        self._runs, self._arrangement = _runs(order, [looked_up, len(numerics) * probes])
        columns = [numeric[name][0] for name in numerics]
        self.register_buffer("_columns", torch.tensor(columns).long(), persistent=False)
        masks = [numeric[name][1] for name in numerics]
        self.numeric = NumericEmbedding(len(numerics), probes * dim, masks=masks, std=numeric_std) if numerics else None

    def forward(self, dense: Tensor, rows: Tensor | None) -> tuple[Tensor, ...]:
        """Arrange looked-up rows ``[B, S, D]`` and numerics ``[B, M]``: for each scope ``[B, W]``."""
        if not self._arrangement:  # no scope, or none with a feature
            return tuple(dense[:, :0] for _ in self._widths)
        parts = [] if rows is None else [rows]  # each [B, slots or numeric fields x P, D]
        if self.numeric is not None:
            parts.append(self.numeric(dense[:, self._columns]).unflatten(2, (-1, self._dim)).flatten(1, 2))
        runs = [run for part, sizes in zip(parts, self._runs, strict=True) for run in part.split(sizes, dim=1)]
        ordered = [runs[at] for at in self._arrangement]
        fields = torch.cat(ordered, 1) if len(ordered) > 1 else ordered[0]  # [B, rows, D]
        scopes: tuple[Tensor, ...] = fields.flatten(1).split(self._widths, dim=1)
        return scopes


def _runs(order: Sequence[int], sizes: Sequence[int]) -> tuple[list[list[int]], list[int]]:
    """Cut what is to be put in order into the fewest runs.

    Args:
        order: Indices into the parts laid end to end; those that do not occur are left out.
        sizes: Of the parts.

    Returns:
        The sizes that each part which is not empty is to be split into; and the pieces to join, counted over all parts.
    """
    starts = [i for i, at in enumerate(order) if i == 0 or at != order[i - 1] + 1]
    runs = [range(order[a], order[b - 1] + 1) for a, b in zip(starts, [*starts, len(order)][1:], strict=True)]
    borders = itertools.accumulate(sizes)
    cuts = sorted({0, *borders, *(run.start for run in runs), *(run.stop for run in runs)})
    pieces = list(itertools.pairwise(cuts))
    ends = itertools.pairwise([0, *itertools.accumulate(sizes)])
    parts = [[b - a for a, b in pieces if start <= a < end] for start, end in ends if start < end]
    return parts, [i for run in runs for i, (start, _) in enumerate(pieces) if start in run]
