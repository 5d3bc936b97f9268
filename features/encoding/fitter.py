"""Fitting: a schema's state learnt from typed training rows, in parts that merge."""

from typing import Self

import numpy as np
import polars as pl

from common.errors import DataError, SchemaError
from features.encoding.crosses import with_crosses
from features.encoding.fitted import FittedSchema
from features.encoding.numerics import NumericState, NumericStatistics, encoded_value, logged
from features.encoding.vocabulary import Vocabulary, VocabularyCounter
from features.schema import ColumnFeature, CrossFeature, ListFeature, Schema


class Fitter:
    """Learns what a schema leaves to be fitted.

    Parts fitted apart and merged, in any order and however the rows were cut, give the same fitted schema to the bit.

    Args:
        schema: The declaration.
        grow: A fitted schema of the same declaration. Its vocabularies keep their ids and get the new values after
            them; its statistics and edges stay, unless ``refit``.
        refit: With ``grow``, fit statistics and edges anew.

    Raises:
        SchemaError: ``grow`` has another declaration.
    """

    def __init__(self, schema: Schema, *, grow: FittedSchema | None = None, refit: bool = False) -> None:
        if grow is not None and grow.schema != schema:
            raise SchemaError("the set to grow was prepared with another schema; prepare with its own, or anew")
        self._schema = schema
        self._grow = grow
        self._kept = grow if grow is not None and not refit else None
        self._given_edges = {f.name: f.edges for f in schema.features if f.kind == "bucketized" and f.edges is not None}
        self._numerics: dict[str, NumericState] = {}
        if self._kept is None:
            for feature in schema.features:
                if feature.kind == "numeric" and feature.fitted_transform is not None:
                    self._numerics[feature.name] = NumericState(quantiles=feature.fitted_transform == "quantile")
                elif feature.kind == "bucketized" and feature.buckets is not None:
                    self._numerics[feature.name] = NumericState(quantiles=True)
        # A vocabulary counts its owner's own values only; a list `of` it reads the same ids.
        owners = [f for f in schema.sparse if f.kind != "bucketized" and schema.encoder_of(f) is f]
        self._min_counts = {f.name: f.min_count for f in owners if f.encoding == "vocabulary"}
        self._counters = {name: VocabularyCounter() for name in self._min_counts}

    @property
    def learns_from(self) -> Schema | None:
        """The part of the schema whose columns are enough to learn from; None where nothing has to be learnt."""
        learning = {*self._numerics, *self._counters}
        learning |= {name for cross in self._schema.crosses if cross.name in learning for name in cross.of}
        if not learning:
            return None
        features = tuple(feature for feature in self._schema.features if feature.name in learning)
        return self._schema.model_copy(update={"features": features, "keep": (), "entities": {}})

    def update(self, typed: pl.DataFrame) -> None:
        """Learn from a batch of typed rows."""
        edges = self._kept.edges if self._kept else self._given_edges
        typed = with_crosses(typed, self._schema, [c for c in self._schema.crosses if c.name in self._counters], edges)
        numbers = logged(typed, [feature for feature in self._schema.numeric if feature.name in self._numerics])
        for name, state in self._numerics.items():
            state.update(numbers[name] if name in numbers.columns else typed[name])
        for name, counter in self._counters.items():
            values = typed[name]
            if isinstance(self._schema.feature(name), ListFeature):
                values = values.list.explode(empty_as_null=False, keep_nulls=False)
            counter.update(values)

    def merge(self, other: Self) -> None:
        """Take in what another fitter of the same schema learnt from other rows."""
        for name, state in self._numerics.items():
            state.merge(other._numerics[name])
        for name, counter in self._counters.items():
            counter.merge(other._counters[name])

    def compact(self) -> None:
        """Add up what is pending, so that another who merges this has less to do."""
        for state in self._numerics.values():
            state.compact()
        for counter in self._counters.values():
            counter.compact()

    def fitted(self) -> FittedSchema:
        """The fitted schema of all rows so far.

        Raises:
            DataError: A feature that is to be fitted has no value, or the training rows lie so close together that
                their transform makes a fill infinite.
        """
        statistics: dict[str, NumericStatistics] = dict(self._kept.statistics) if self._kept else {}
        edges = {**self._kept.edges} if self._kept else dict(self._given_edges)
        for name, state in self._numerics.items():
            feature = self._schema.feature(name)
            found = state.statistics()
            if not found.count:
                raise no_value(feature)
            if feature.kind == "bucketized":
                assert feature.buckets is not None
                edges[name] = state.edges(feature.buckets)
            else:
                statistics[name] = found
        for declared in self._schema.numeric:
            if np.isinf(encoded_value(None, declared, statistics.get(declared.name))):
                raise DataError(
                    f"numeric feature {declared.name!r}: its {declared.fitted_transform} makes the fill "
                    f"{declared.missing} too large for float32; set another missing"
                )
        return FittedSchema(self._schema, statistics, edges, self._vocabularies())

    def _vocabularies(self) -> dict[str, Vocabulary]:
        old = self._grow.vocabularies if self._grow is not None else {}
        return {
            name: counter.vocabulary(min_count=self._min_counts[name], grow=old.get(name))
            for name, counter in self._counters.items()
        }


def no_value(feature: ColumnFeature | CrossFeature) -> DataError:
    """The error for a number that no training row has."""
    return DataError(f"{feature.kind} feature {feature.name!r} has no value in any training row; mend it, or remove it")
