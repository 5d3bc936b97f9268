"""The fitted schema: the declaration with what was learnt from the training rows, versioned and digested."""

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from common.errors import DataError, SchemaError
from common.files import sha256_json, write_json
from features.numerics import NumericStatistics, encoded, encoded_value, logged
from features.schema import CategoricalFeature, Schema, SequenceFeature, parse_schema
from features.tokens import token_expr
from features.vocabulary import Vocabulary, VocabularyCounter

FORMAT = 1
_FILE, _VOCABULARIES = "schema.json", "vocabulary"
_MEND = "prepare the data again"


class FittedSchema:
    """A schema and its fitted state. Two are equal exactly when their digests are.

    Args:
        schema: The declaration.
        statistics: For each numeric feature with a fitted transform, its statistics.
        vocabularies: For each feature that owns a vocabulary, its values.
    """

    def __init__(
        self,
        schema: Schema,
        statistics: Mapping[str, NumericStatistics],
        vocabularies: Mapping[str, Vocabulary],
    ) -> None:
        self.schema = schema
        self.statistics = dict(statistics)
        self.vocabularies = dict(vocabularies)

    def vocabulary(self, feature: CategoricalFeature | SequenceFeature) -> Vocabulary | None:
        """The vocabulary that encodes a feature, or None where hashes do."""
        return self.vocabularies.get(self.schema.encoder_of(feature).name)

    def encode(self, typed: pl.DataFrame) -> pl.DataFrame:
        """Encode typed rows.

        Args:
            typed: A column a feature, as :func:`features.typed.typed_rows` gives them; other columns pass through.

        Returns:
            The same rows: Int64 tokens, List(Int64) sequences (never null), Float32 numerics.
        """
        columns: list[pl.Expr | pl.Series] = []
        for feature in self.schema.features:
            if feature.kind == "numeric":
                columns.append(encoded(typed[feature.name], feature, self.statistics.get(feature.name)))
            elif feature.kind == "categorical":
                columns.append(self._ids(feature, pl.col(feature.name)).alias(feature.name))
            else:
                recent = pl.col(feature.name).list.tail(feature.max_length)
                ids = recent.list.eval(self._ids(feature, pl.element()))
                columns.append(ids.fill_null(pl.lit([], pl.List(pl.Int64))).alias(feature.name))
        return typed.with_columns(columns)

    def _ids(self, feature: CategoricalFeature | SequenceFeature, text: pl.Expr) -> pl.Expr:
        vocabulary = self.vocabulary(feature)
        return token_expr(text) if vocabulary is None else vocabulary.expr(text)

    @cached_property
    def digest(self) -> str:
        """Hexadecimal sha256 of the declaration and everything fitted."""
        return sha256_json(self._document())

    def _document(self) -> dict[str, object]:
        return {
            "format": FORMAT,
            "schema": self.schema.model_dump(mode="json"),
            "statistics": {name: s.model_dump() for name, s in sorted(self.statistics.items())},
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
        return cls(schema, statistics, vocabularies)


class Fitter:
    """Learns a schema's fitted state from typed training rows, batch by batch."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._statistics = {f.name: NumericStatistics() for f in schema.numeric if f.fitted_transform is not None}
        owners = {schema.encoder_of(f).name for f in schema.sparse if schema.encoder_of(f).encoding == "vocabulary"}
        # A vocabulary counts its owner's own values only; a sequence `of` it reads the same ids.
        self._counters = {name: VocabularyCounter() for name in owners}

    @property
    def needed(self) -> bool:
        """Whether anything has to be learnt at all."""
        return bool(self._statistics or self._counters)

    def update(self, typed: pl.DataFrame) -> None:
        """Learn from a batch of typed rows."""
        for name in self._statistics:
            feature = self._schema.feature(name)
            assert feature.kind == "numeric"
            self._statistics[name] = self._statistics[name].merge(NumericStatistics.of(logged(typed[name], feature)))
        for name, counter in self._counters.items():
            values = typed[name]
            if values.dtype == pl.List:
                values = values.list.explode(empty_as_null=False, keep_nulls=False)
            counter.update(values)

    def fitted(self) -> FittedSchema:
        """The fitted schema of all rows so far.

        Raises:
            DataError: The training rows lie so close together that their transform makes a fill infinite.
        """
        for declared in self._schema.numeric:
            if np.isinf(encoded_value(None, declared, self._statistics.get(declared.name))):
                raise DataError(
                    f"numeric feature {declared.name!r}: its {declared.fitted_transform} makes the fill "
                    f"{declared.missing} too large for float32; set another missing"
                )
        vocabularies = {}
        for name, counter in self._counters.items():
            feature = self._schema.feature(name)
            assert feature.kind != "numeric"
            vocabularies[name] = counter.vocabulary(min_count=feature.min_count)
        return FittedSchema(self._schema, self._statistics, vocabularies)
