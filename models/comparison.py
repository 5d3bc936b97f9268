"""Other ways to make few rows do for many values: what unified embedding is compared with at equal memory.

A method replaces the step from a slot and a value to a vector. The slots, their ranges of the one table and the memory
budget are the ordinary ones (:func:`models.layout.lay_out`), and so are the fields' widths; slots with full rows are
read as ever. The gradient of the table is dense.

    multihash             W[h_1(v)] + ... + W[h_k(v)]                   Svenstrup et al. 2017, arXiv 1709.03933
    quotient_remainder    Q[v div m] * R[v mod m]                       Shi et al. 2020, arXiv 1909.02107
    robe                  g(v) (A[h(v)], A[h(v) + 1], ... Z numbers)    Desai et al. 2022, arXiv 2108.02191

The hashing trick and full tables need nothing of this: they are ``vocabularies: hashed`` and ``full``.

Shapes: B batch, K keys, S slots, D width of a row, R rows.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from common.errors import ConfigError
from common.settings import Settings
from features.encoding.fitted import FittedSchema
from features.schema import ListFeature
from kernels.addressing import (
    BASE,
    KEY,
    MAX_ROWS,
    MIXED,
    ROWS,
    SEED,
    UNSEEN_ID,
    fastrange32_torch,
    mix64_torch,
    rows_torch,
    slot_tensor,
)
from kernels.lookup.interface import Lookup
from models.layout import SparseField


class MultihashSettings(Settings):
    """Settings of multihash: a value's vector is the sum of rows at several hashes, all in its slot's range.

    Attributes:
        hashes: How many (k).
    """

    method: Literal["multihash"]
    hashes: int = Field(default=2, ge=2, le=16)


class QuotientRemainderSettings(Settings):
    """Settings of quotient-remainder: a value's vector is its quotient's row times its remainder's.

    No two values of a feature share both rows. A range holds as many remainders m as leave rows for the quotients. Rows
    of quotients begin around 1, so that a value begins as its remainder's row. Needs ``vocabularies: hashed``, a range
    a feature.
    """

    method: Literal["quotient_remainder"]


class RobeSettings(Settings):
    """Settings of ROBE-Z: a vector is Z numbers in line, from a hashed place in a range that is read as a circle.

    Z is the embedding's ``dim``, and a field has ``probes`` such blocks. ``vocabularies: unified`` is the published
    form, one circle for all features.

    Attributes:
        signed: Whether the hash also gives each block a sign.
    """

    method: Literal["robe"]
    signed: bool = True


ComparisonSettings = Annotated[
    MultihashSettings | QuotientRemainderSettings | RobeSettings, Field(discriminator="method")
]


class Comparison(nn.Module, ABC):
    """Reads a batch's vectors from the table of a lookup, in its own way.

    Args:
        fields: The sparse fields, in the order of the slots.
        fitted: The fitted schema.
        lookup: Holds the table, its rows drawn.

    Raises:
        ConfigError: A field is a list, or the lookup's backward pass would update the table.
    """

    _slots: Tensor

    def __init__(self, fields: Sequence[SparseField], fitted: FittedSchema, lookup: Lookup) -> None:
        super().__init__()
        for field in fields:
            if isinstance(fitted.schema.feature(field.feature), ListFeature):
                raise ConfigError(
                    f"embedding.comparison embeds one value a feature, and {field.feature!r} is a list; remove it from "
                    "the schema and prepare again"
                )
        if lookup.optimizer is not None:
            raise ConfigError(
                "embedding.comparison trains the table by its dense gradient; set optimizer.embedding: dense_adam, not "
                f"{lookup.optimizer.kind}"
            )
        self._keys = lookup.layout.keys
        self.register_buffer("_slots", slot_tensor(lookup.layout.slots), persistent=False)

    def forward(self, table: Tensor, values: Tensor, weights: Tensor | None = None) -> Tensor:
        """Read every slot.

        Args:
            table: float32 ``[R, D]``.
            values: int64 tokens or ids ``[K * B]``, key by key, then row by row.
            weights: float32 ``[K * B]`` that multiply the vectors; None for all 1.

        Returns:
            float32 ``[B, S, D]``.
        """
        key_S = self._slots[:, KEY]
        vectors_SBD = self._vectors(table, values.view(self._keys, -1)[key_S])
        if weights is not None:
            vectors_SBD = vectors_SBD * weights.view(self._keys, -1)[key_S].unsqueeze(2)
        return vectors_SBD.transpose(0, 1).contiguous()

    @abstractmethod
    def _vectors(self, table: Tensor, values_SB: Tensor) -> Tensor:
        """Vectors float32 ``[S, B, D]`` of each slot's values."""

    def _column(self, column: int) -> Tensor:
        """A column of the slots, as ``[S, 1]``."""
        return self._slots[:, column, None]


class Multihash(Comparison):
    """See :class:`MultihashSettings`; the other arguments as in :class:`Comparison`."""

    def __init__(
        self, settings: MultihashSettings, fields: Sequence[SparseField], fitted: FittedSchema, lookup: Lookup
    ) -> None:
        super().__init__(fields, fitted, lookup)
        self.hashes = settings.hashes

    def _vectors(self, table: Tensor, values_SB: Tensor) -> Tensor:
        vectors_SBD = F.embedding(rows_torch(values_SB, self._slots[:, None]), table)
        first_SB = mix64_torch(values_SB ^ self._column(SEED))
        for j in range(1, self.hashes):
            rows_SB = fastrange32_torch(mix64_torch(first_SB + j), self._column(ROWS)) + self._column(BASE)
            # Slots with full rows read one.
            vectors_SBD = vectors_SBD + F.embedding(rows_SB, table) * self._column(MIXED).unsqueeze(2)
        return vectors_SBD


class QuotientRemainder(Comparison):
    """See :class:`QuotientRemainderSettings`; arguments as in :class:`Comparison`.

    Raises:
        ConfigError: Also where a feature that is not full has tokens, unified rows, several probes, or too few rows to
            tell its ids apart.
    """

    _ids: Tensor
    _remainders: Tensor

    def __init__(self, fields: Sequence[SparseField], fitted: FittedSchema, lookup: Lookup) -> None:
        super().__init__(fields, fitted, lookup)
        sparse = {feature.name: feature for feature in fitted.schema.sparse}
        sizes = []
        for field in fields:
            ids = fitted.ids(sparse[field.feature])
            if ids is None or field.kind == "unified":
                raise ConfigError(
                    f"quotient_remainder needs ids and rows of the feature's own; give {field.feature!r} encoding: "
                    "vocabulary in the schema and rows: hashed in the embedding"
                )
            if field.kind == "hashed" and len(field.slots) > 1:
                raise ConfigError(
                    f"quotient_remainder reads the same rows by every probe of {field.feature!r}; set its probes to 1"
                )
            for slot in field.slots:
                remainders = _remainders(field.feature, ids, slot.rows) if slot.mixed else ids
                sizes.append((ids, remainders))
                lookup.table.detach()[slot.base + remainders : slot.base + slot.rows] += 1
        ids_S, remainders_S = torch.tensor(sizes).T
        self.register_buffer("_ids", ids_S[:, None], persistent=False)
        self.register_buffer("_remainders", remainders_S[:, None], persistent=False)

    def _vectors(self, table: Tensor, values_SB: Tensor) -> Tensor:
        ids_SB = torch.where((values_SB >= 0) & (values_SB < self._ids), values_SB, UNSEEN_ID)
        mixed = self._column(MIXED).bool()
        quotient_SB = torch.where(mixed, self._remainders + ids_SB // self._remainders, 0) + self._column(BASE)
        remainder_SB = ids_SB % self._remainders + self._column(BASE)
        factor_SBD = torch.where(mixed.unsqueeze(2), F.embedding(quotient_SB, table), 1.0)
        return factor_SBD * F.embedding(remainder_SB, table)


class Robe(Comparison):
    """See :class:`RobeSettings`; the other arguments as in :class:`Comparison`.

    Raises:
        ConfigError: Also where a circle is too long for 32 bits of a hash.
    """

    def __init__(
        self, settings: RobeSettings, fields: Sequence[SparseField], fitted: FittedSchema, lookup: Lookup
    ) -> None:
        super().__init__(fields, fitted, lookup)
        self.signed = settings.signed
        longest = max(slot.rows for slot in lookup.layout.slots) * lookup.layout.dim
        if longest > MAX_ROWS:
            raise ConfigError(
                f"robe reads at most {MAX_ROWS:,} numbers as one circle, not {longest:,}; give fewer rows"
            )

    def _vectors(self, table: Tensor, values_SB: Tensor) -> Tensor:
        dim = table.shape[1]
        mixed, base, numbers = self._column(MIXED).bool(), self._column(BASE), self._column(ROWS) * dim
        hashed_SB = mix64_torch(values_SB ^ self._column(SEED))
        full_SB = (rows_torch(values_SB, self._slots[:, None]) - base) * dim
        start_SB = torch.where(mixed, fastrange32_torch(hashed_SB, numbers), full_SB)
        along_D = torch.arange(dim, device=table.device)
        place_SBD = (start_SB.unsqueeze(2) + along_D) % numbers.unsqueeze(2) + base.unsqueeze(2) * dim
        vectors_SBD = table.reshape(-1).index_select(0, place_SBD.flatten()).view(place_SBD.shape)
        if not self.signed:
            return vectors_SBD
        # The place is from the hash's upper bits, so the lowest is free.
        return vectors_SBD * torch.where(mixed, 1 - 2 * (hashed_SB & 1), 1).unsqueeze(2)


def build_comparison(
    settings: MultihashSettings | QuotientRemainderSettings | RobeSettings,
    fields: Sequence[SparseField],
    fitted: FittedSchema,
    lookup: Lookup,
) -> Comparison:
    """Build a method.

    Args:
        settings: Its settings.
        fields: The sparse fields, in the order of the slots.
        fitted: The fitted schema.
        lookup: Holds the table, its rows drawn.

    Raises:
        ConfigError: The method cannot embed these features, or not with these rows.
    """
    if isinstance(settings, MultihashSettings):
        return Multihash(settings, fields, fitted, lookup)
    if isinstance(settings, RobeSettings):
        return Robe(settings, fields, fitted, lookup)
    return QuotientRemainder(fields, fitted, lookup)


def _remainders(feature: str, ids: int, rows: int) -> int:
    """The most remainders m that leave rows for the quotients of ``ids`` ids."""
    found = next((m for m in range(min(ids, rows - 1), 0, -1) if m + math.ceil(ids / m) <= rows), None)
    if found is None:
        least = math.isqrt(4 * ids - 1) + 1
        raise ConfigError(
            f"quotient_remainder needs {least} rows to tell the {ids:,} ids of {feature!r} apart, and its range has "
            f"{rows}; give more memory, or set embedding.features.{feature}: {{rows: full}}"
        )
    return found
