"""Field vectors: every feature's embedding, from one table.

A *scope* is a set of features embedded with rows of their own: the ranker's main input is one; FinalMLP's gates have
one each. All scopes of a model share one physical table and are looked up in one pass.

Shapes: B batch, K keys (sparse features), N values, M numeric features, S slots, D width of a table row, P default
probes, W width of a scope (the sum of its fields' widths).
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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

    @property
    def scalar(self) -> "EmbeddingSettings":
        """The same with every field one wide: rows of one number, and one probe whatever the feature."""
        features = {name: own.model_copy(update={"probes": None}) for name, own in self.features.items()}
        return self.model_copy(update={"dim": 1, "probes": 1, "features": features})

    @torch.no_grad()
    def initialise(self, table: Tensor) -> None:
        """Draw a table's rows, in place."""
        if self.init_range is None:
            table.normal_(std=self.init_std or _INIT_STD)
        else:
            table.uniform_(-self.init_range, self.init_range)


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

    Attributes:
        keys: Number K of sparse features.
        numerics: Number M of numeric features.
        one_hot: Whether no feature is a list, so that each has one value a row.
        fields: How each sparse feature of each scope finds its rows, in the order of the scopes.
        field_width: Width of a field that is no exception, a numeric one too: probes * dim.
        field_widths: For each scope the widths of its fields.
        widths: For each scope its width W, their sum.

    Raises:
        ConfigError: A scope names an unknown feature, or the table cannot be laid out.
    """

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

        self._dim = settings.dim
        self._keys = [feature.name for feature in schema.sparse]
        self.keys, self.numerics = len(schema.sparse), len(schema.numeric)
        self.one_hot = not any(isinstance(feature, ListFeature) for feature in schema.sparse)
        self.fields, layout = lay_out(settings, fitted, scopes)

        numeric_position = {feature.name: i for i, feature in enumerate(schema.numeric)}
        sparse = iter(self.fields)
        probes = [
            [settings.probes if name in numeric_position else len(next(sparse).slots) for name in scope.features]
            for scope in scopes
        ]
        self.field_width = settings.probes * settings.dim
        self.field_widths = tuple(tuple(count * settings.dim for count in counts) for counts in probes)
        self.widths = tuple(map(sum, self.field_widths))

        # Looked-up rows come first, then numeric fields, as P rows each; this puts them into the order of the scopes.
        ordered = [name for scope in scopes for name in scope.features]
        next_slot, next_numeric = itertools.count(), itertools.count(len(layout.slots))
        order = [
            next(next_numeric if name in numeric_position else next_slot)
            for name, count in zip(ordered, itertools.chain(*probes), strict=True)
            for _ in range(count)
        ]
        self._runs, self._arrangement = _runs(order, len(layout.slots))
        numeric = [name for name in ordered if name in numeric_position]
        self.register_buffer("_numeric", torch.tensor([numeric_position[n] for n in numeric]).long(), persistent=False)

        self.lookup = build_lookup(layout) if layout.slots else None
        self.comparison: Comparison | None = None
        if self.lookup is not None:
            settings.initialise(self.lookup.table)
            if settings.comparison is not None:
                self.comparison = build_comparison(settings.comparison, self.fields, fitted, self.lookup)
        self.numeric: NumericEmbedding | None = None
        if numeric:
            masked = [schema.feature(name) for name in numeric]
            self.numeric = NumericEmbedding(
                len(numeric),
                self.field_width,
                masks=[f.kind == "numeric" and f.missing == "mask" for f in masked],
            )

    def equal_width(self, ranker: str) -> int:
        """Width of every field, for a ranker that needs them equally wide.

        Args:
            ranker: Its name, for the message.

        Raises:
            ConfigError: Features differ in their probes.
        """
        widths = set(itertools.chain(*self.field_widths))
        if len(widths) <= 1:
            return max(widths, default=self.field_width)
        odd = sorted({repr(f.feature) for f in self.fields if len(f.slots) * self._dim != self.field_width})
        raise ConfigError(
            f"{ranker} needs fields of one width, and embedding.features gives {', '.join(odd)} other probes than the "
            "rest; remove them there, or set embedding.probes for all"
        )

    def forward(self, dense: Tensor, sparse: KeyedJaggedTensor) -> tuple[Tensor, ...]:
        """Embed a batch.

        Args:
            dense: Numerics, float32 ``[B, M]``; NaN is missing.
            sparse: Tokens, int64, a key a sparse feature; in another order, or with keys besides, it is permuted. Its
                weights multiply the rows of the values.

        Returns:
            For each scope its fields side by side, float32 ``[B, W]``.

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
        parts = [] if rows is None else [rows]  # each [B, slots or numeric fields x P, D]
        if self.numeric is not None:
            parts.append(self.numeric(dense[:, self._numeric]).unflatten(2, (-1, self._dim)).flatten(1, 2))
        runs = [run for part, sizes in zip(parts, self._runs, strict=True) for run in part.split(sizes, dim=1)]
        fields = torch.cat([runs[place] for place in self._arrangement], 1) if len(runs) > 1 else runs[0]
        scopes: tuple[Tensor, ...] = fields.flatten(1).split(self.widths, dim=1)
        return scopes

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


def _runs(order: Sequence[int], slots: int) -> tuple[list[list[int]], list[int]]:
    """Cut a permutation into the fewest runs: what to split looked-up rows and numeric rows into, and how to join them.

    Args:
        order: The permutation: indices below ``slots`` are looked-up rows, the others numeric ones.
        slots: How many rows are looked up.

    Returns:
        The sizes of each part's runs, for the parts that there are; and for each run of the result which it is, counted
        over all parts.
    """
    starts = [i for i, at in enumerate(order) if i == 0 or at != order[i - 1] + 1 or at == slots]
    runs = [range(order[a], order[b - 1] + 1) for a, b in zip(starts, [*starts[1:], len(order)], strict=True)]
    ascending = sorted(runs, key=lambda run: run.start)
    parts = [[len(run) for run in ascending if (run.start < slots) is looked_up] for looked_up in (True, False)]
    return [sizes for sizes in parts if sizes], [ascending.index(run) for run in runs]


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
