"""What people call the tokens and ids that a prepared set holds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from features.encoding.fitted import FittedSchema
from features.encoding.tokens import EMPTY_TOKEN, MISSING_TOKEN, token, token_expr
from features.encoding.vocabulary import RESERVED, UNSEEN_ID
from features.profile.counts import MISSING
from features.profile.text import bucket_names
from features.schema import BucketizedFeature, CrossFeature, SparseFeature

Role = Literal["value", "hash", "missing", "unseen", "other"]


@dataclass(frozen=True)
class Name:
    """A name for rows that share a value.

    Attributes:
        text: The value's text, or what stands for it.
        role: ``value``: the text is the value's own. ``hash``: it is the token in hexadecimal, whose text is not known.
            ``missing``, ``unseen`` (not in the vocabulary) and ``other`` (all the rest): no value.
    """

    text: str
    role: Role = "value"


MISSING_NAME, UNSEEN_NAME, OTHER_NAME = Name("missing", "missing"), Name("unseen", "unseen"), Name("other", "other")


class Names:
    """Names of one feature's tokens or ids.

    Args:
        fitted: The set's fitted schema.
        feature: The feature.
        known: Texts that its values may have; a token of none of them stays a number.
    """

    def __init__(self, fitted: FittedSchema, feature: SparseFeature, known: Iterable[str]) -> None:
        self._vocabulary = fitted.vocabulary(feature)
        self._ids = fitted.ids(feature)
        self._texts = {token(text): text for text in known}
        self._crosses = isinstance(feature, CrossFeature)
        parts = fitted.schema.crossed(feature) if isinstance(feature, CrossFeature) else (feature,)
        self._buckets = [bucket_names(fitted.edges[p.name]) if isinstance(p, BucketizedFeature) else [] for p in parts]

    @property
    def by_id(self) -> bool:
        """Whether the set holds ids, not tokens."""
        return self._ids is not None

    @property
    def encoding(self) -> str:
        """How the values are encoded, in words."""
        what = f"{len(self._buckets[0])} buckets, " if self._buckets[0] and not self._crosses else ""
        return what + ("hashed" if self._ids is None else f"{self._ids:,} ids")

    def shares_vocabulary(self, other: "Names") -> bool:
        """Whether both have one vocabulary, so that what is unseen in the one is unseen in the other."""
        mine, theirs = self._vocabulary, other._vocabulary
        return mine is not None and theirs is not None and mine.digest == theirs.digest

    def name(self, value: int) -> Name:
        """The name of a token or an id."""
        if value == MISSING:
            return MISSING_NAME
        if self.by_id and value == UNSEEN_ID:
            return UNSEEN_NAME
        text = self._text(value)
        if text is None:
            return Name(f"#{value % 2**64:016x}", "hash")
        parts = _crossed(text) if self._crosses else (text,)
        return Name(" \u00d7 ".join(map(_part, parts, self._buckets)))

    def tokens(self, values: pl.Series) -> pl.Series:
        """The tokens of the values' texts, whichever way they are encoded; null for an unseen value."""
        if not self.by_id:
            return values
        texts = pl.Series(range(len(self._buckets[0]))).cast(pl.String)
        if self._vocabulary is not None:
            texts = self._vocabulary.values
        hashed = pl.select(token_expr(pl.lit(texts))).to_series()
        return pl.concat([pl.Series([MISSING_TOKEN, None], dtype=pl.Int64), hashed]).gather(values)

    def _text(self, value: int) -> str | None:
        if not self.by_id:
            return "" if value == EMPTY_TOKEN else self._texts.get(value)
        position = value - RESERVED
        return str(position) if self._vocabulary is None else str(self._vocabulary.values[position])


def _part(text: str | None, buckets: Sequence[str]) -> str:
    if text is None:
        return MISSING_NAME.text
    return buckets[int(text)] if buckets else text


def _crossed(text: str) -> tuple[str | None, str | None]:
    """The two texts that a cross's text ``N:A=B`` was made of (features.encoding.crosses)."""
    length, _, rest = text.partition(":")
    if text.startswith("-="):
        return None, text[2:]
    raw = rest.encode()
    first, second = raw[: int(length)].decode(), raw[int(length) + 1 :].decode()
    return first, second if len(raw) > int(length) else None
