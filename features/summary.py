"""The summary of a prepared set: rows, label rate, and what each feature's values are like."""

import math
from typing import Any

import polars as pl

from features.numerics import NumericStatistics
from features.schema import Schema
from features.tokens import token_expr
from features.typed import ROW

_SKETCH = 4096
_SAMPLE = 65_536
_TOP = 3


class DistinctCounter:
    """Counts distinct values in flat memory: the k smallest 64-bit hashes seen.

    Exact below k = 4096 distinct values; from there on with a relative standard error of 1 / sqrt(k - 2), 1.6 %
    (Bar-Yossef et al. 2002, "Counting distinct elements in a data stream"; Beyer et al. 2007 for the unbiased form).
    """

    def __init__(self) -> None:
        self._smallest = pl.Series(dtype=pl.UInt64)

    def update(self, tokens: pl.Series) -> None:
        """Count a batch of Int64 tokens."""
        hashes = tokens.reinterpret(signed=False)
        if len(self._smallest) == _SKETCH:
            hashes = hashes.filter(hashes < self._smallest[-1])
        self._smallest = pl.concat([self._smallest, hashes]).unique().sort().head(_SKETCH)

    @property
    def exact(self) -> bool:
        """Whether :attr:`count` is exact."""
        return len(self._smallest) < _SKETCH

    @property
    def count(self) -> int:
        """Distinct values, estimated where not :attr:`exact`."""
        if self.exact:
            return len(self._smallest)
        return round((_SKETCH - 1) * 2.0**64 / float(self._smallest[-1]))


class Summary:
    """Gathers the summary from typed rows, batch by batch, in flat memory."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._rows = 0
        self._missing = {feature.name: 0 for feature in schema.features}
        self._distinct = {feature.name: DistinctCounter() for feature in schema.sparse}
        self._elements = {f.name: 0 for f in schema.sparse if f.kind == "sequence"}
        self._statistics = {feature.name: NumericStatistics() for feature in schema.numeric}
        self._sample: list[pl.DataFrame] = []
        self._stride = 1

    def update(self, typed: pl.DataFrame) -> None:
        """Take in a batch."""
        self._rows += typed.height
        for feature in self._schema.features:
            column = typed[feature.name]
            self._missing[feature.name] += column.null_count()
            if feature.kind == "numeric":
                self._statistics[feature.name] = self._statistics[feature.name].merge(NumericStatistics.of(column))
                continue
            if feature.kind == "sequence":
                column = _elements(column)
                self._elements[feature.name] += len(column)
            present = column.drop_nulls()
            self._distinct[feature.name].update(pl.select(token_expr(pl.lit(present))).to_series())
        self._take_sample(typed)

    def columns(self) -> list[dict[str, Any]]:
        """What is known of each feature, as json."""
        sample = pl.concat(self._sample) if self._sample else None
        described = []
        for feature in self._schema.features:
            column: dict[str, Any] = {
                "name": feature.name,
                "kind": feature.kind,
                "missing": self._missing[feature.name],
            }
            if feature.kind == "numeric":
                s = self._statistics[feature.name]
                # Numbers near the end of float64 add up to infinity, which json does not know.
                mean = s.mean if math.isfinite(s.mean) else None
                column |= {"min": s.minimum, "mean": mean, "max": s.maximum} if s.count else {}
            else:
                distinct = self._distinct[feature.name]
                column |= {"distinct": distinct.count, "distinct_exact": distinct.exact}
                column["top"] = _top(sample[feature.name]) if sample is not None else []
            if feature.kind == "sequence":
                column["mean_length"] = self._elements[feature.name] / max(self._rows, 1)
            described.append(column)
        return described

    @property
    def sampled(self) -> int:
        """Rows that the top values were counted in."""
        return sum(frame.height for frame in self._sample)

    def _take_sample(self, typed: pl.DataFrame) -> None:
        """Keep every stride-th row of the input; double the stride whenever the sample has grown too large."""
        columns = [ROW, *self._distinct]
        self._sample.append(typed.select(columns).filter(pl.col(ROW) % self._stride == 0))
        while self.sampled > _SAMPLE:
            self._stride *= 2
            self._sample = [frame.filter(pl.col(ROW) % self._stride == 0) for frame in self._sample]


def _elements(lists: pl.Series) -> pl.Series:
    return lists.list.explode(empty_as_null=False, keep_nulls=False)


def _top(column: pl.Series) -> list[dict[str, Any]]:
    """The most frequent values of the sample and their shares, ties by text."""
    values = _elements(column) if column.dtype == pl.List else column
    counts = values.drop_nulls().alias("value").value_counts(name="count")
    top = counts.sort(["count", "value"], descending=[True, False]).head(_TOP)
    return [{"value": value, "share": count / len(values)} for value, count in top.iter_rows()]
