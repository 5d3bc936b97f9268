"""The fitted schema: the declaration with what was learnt from the training rows, versioned and digested."""

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from common.errors import DataError, SchemaError
from common.files import sha256_json, write_json
from features.encoding.crosses import bucket_text, with_crosses
from features.encoding.numerics import NumericStatistics, bucket_of, encoded
from features.encoding.tokens import token_expr
from features.encoding.vocabulary import MISSING_ID, RESERVED, Vocabulary
from features.schema import BucketizedFeature, ListFeature, Schema, SequenceFeature, SparseFeature, parse_schema

FORMAT = 2
_FILE, _VOCABULARIES = "schema.json", "vocabulary"
_MEND = "prepare the data again"


class FittedSchema:
    """A schema and its fitted state. Two are equal exactly when their digests are.

    Args:
        schema: The declaration.
        statistics: For each numeric feature with a fitted transform, its statistics.
        edges: For each bucketized feature its edges, given or fitted.
        vocabularies: For each feature that owns a vocabulary, its values.
    """

    def __init__(
        self,
        schema: Schema,
        statistics: Mapping[str, NumericStatistics],
        edges: Mapping[str, Sequence[float]],
        vocabularies: Mapping[str, Vocabulary],
    ) -> None:
        self.schema = schema
        self.statistics = dict(statistics)
        self.edges = {name: tuple(some) for name, some in edges.items()}
        self.vocabularies = dict(vocabularies)

    def vocabulary(self, feature: SparseFeature) -> Vocabulary | None:
        """The vocabulary that encodes a feature, or None where hashes or buckets do."""
        return self.vocabularies.get(self.schema.encoder_of(feature).name)

    def ids(self, feature: SparseFeature) -> int | None:
        """How many ids there are for a feature that is encoded by ids, the two reserved ones included; else None."""
        if feature.kind == "bucketized":
            return len(self.edges[feature.name]) + 1 + RESERVED if feature.encoding == "vocabulary" else None
        vocabulary = self.vocabulary(feature)
        return None if vocabulary is None else vocabulary.size

    def encode(self, typed: pl.DataFrame) -> pl.DataFrame:
        """Encode typed rows.

        Args:
            typed: A column a given feature, as :func:`features.encoding.typed.typed_rows` gives them; other columns
                pass through.

        Returns:
            The same rows: Int64 tokens or ids, List(Int64) lists (never null), Float32 numerics.
        """
        typed = with_crosses(typed, self.schema, self.schema.crosses, self.edges)
        columns: list[pl.Expr | pl.Series] = [*encoded(typed, self.schema.numeric, self.statistics)]
        for feature in self.schema.features:
            column = pl.col(feature.name)
            if feature.kind == "numeric":
                continue
            if feature.kind == "bucketized":
                columns.append(self._bucketized(feature, typed[feature.name]))
            elif isinstance(feature, ListFeature):
                length = feature.max_length
                kept = column.list.tail(length) if isinstance(feature, SequenceFeature) else column.list.head(length)
                ids = kept.list.eval(self._encoded(feature, pl.element()))
                columns.append(ids.fill_null(pl.lit([], pl.List(pl.Int64))).alias(feature.name))
            else:
                columns.append(self._encoded(feature, column).alias(feature.name))
        return typed.with_columns(columns)

    def _encoded(self, feature: SparseFeature, text: pl.Expr) -> pl.Expr:
        vocabulary = self.vocabulary(feature)
        return token_expr(text) if vocabulary is None else vocabulary.expr(text)

    def _bucketized(self, feature: BucketizedFeature, values: pl.Series) -> pl.Series:
        edges = self.edges[feature.name]
        if feature.encoding == "vocabulary":
            buckets = bucket_of(values.to_numpy(), edges)
            return pl.Series(feature.name, np.where(buckets < 0, MISSING_ID, buckets + RESERVED))
        return pl.select(token_expr(pl.lit(bucket_text(values, edges))).alias(feature.name)).to_series()

    @cached_property
    def digest(self) -> str:
        """Hexadecimal sha256 of the declaration and everything fitted."""
        return sha256_json(self._document())

    def _document(self) -> dict[str, object]:
        return {
            "format": FORMAT,
            "schema": self.schema.model_dump(mode="json"),
            "statistics": {name: s.model_dump(mode="json") for name, s in sorted(self.statistics.items())},
            "edges": {name: list(some) for name, some in sorted(self.edges.items())},
            "vocabularies": {
                name: {"size": v.size, "sha256": v.digest} for name, v in sorted(self.vocabularies.items())
            },
        }

    def save(self, folder: Path) -> None:
        """Write ``schema.json`` and, for each vocabulary, ``vocabulary/NAME.parquet`` into a folder."""
        write_json(folder / _FILE, {"digest": self.digest, **self._document()})
        for name, vocabulary in self.vocabularies.items():
            (folder / _VOCABULARIES).mkdir(exist_ok=True)
            vocabulary.save(folder / _VOCABULARIES / f"{name}.parquet")

    @classmethod
    def load(cls, folder: Path) -> "FittedSchema":
        """Read what :meth:`save` wrote, and check its digest.

        Raises:
            SchemaError: ``schema.json`` is missing, damaged or of another format.
            DataError: A vocabulary is missing, damaged or of another schema.
        """
        path = folder / _FILE
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            whole = isinstance(document, dict) and document.pop("digest", None) == sha256_json(document)
        except FileNotFoundError:
            raise SchemaError(f"{path} does not exist; {folder} is no prepared set or artifact") from None
        except (OSError, ValueError) as problem:
            raise SchemaError(f"{path} cannot be read ({problem}); {_MEND}") from None
        if not whole:
            raise SchemaError(f"{path} was changed after it was written: its digest differs; {_MEND}")
        if document.get("format") != FORMAT:
            raise SchemaError(f"{path} has format {document.get('format')!r}, this plexrank reads {FORMAT}; {_MEND}")
        schema = parse_schema(document["schema"], source=str(path))
        statistics = {name: NumericStatistics.model_validate(s) for name, s in document["statistics"].items()}
        vocabularies = {}
        for name, described in document["vocabularies"].items():
            vocabularies[name] = Vocabulary.load(folder / _VOCABULARIES / f"{name}.parquet")
            if vocabularies[name].digest != described["sha256"]:
                raise DataError(f"vocabulary {name!r} in {folder} belongs to another schema; {_MEND}")
        return cls(schema, statistics, document["edges"], vocabularies)
