"""Fixtures of the model tests."""

from collections.abc import Callable, Sequence

import polars as pl
import pytest

from features.datasets.batch import Batch
from features.encoding.encoded import EncodedRows
from features.encoding.fitted import FittedSchema
from tests.models.small import SCHEMA, fit, typed


@pytest.fixture
def fitted() -> FittedSchema:
    return fit(SCHEMA)


@pytest.fixture
def make_batch(fitted: FittedSchema) -> Callable[..., Batch]:
    def make(rows: int = 7, *, schema: FittedSchema = fitted, columns: Sequence[pl.Series] = ()) -> Batch:
        frame = schema.encode(typed(rows, seed=1).with_columns(columns))
        return Batch.of(EncodedRows.of(frame, schema.schema))

    return make
