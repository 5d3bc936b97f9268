"""The summary of a prepared set: what each feature's values are like, gathered in parts that merge, in flat memory."""

import base64
import heapq
import math
from collections import Counter
from itertools import chain
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.encoding.fitted import FittedSchema
from features.encoding.tokens import MISSING_TOKEN
from features.encoding.typed import ROW
from features.encoding.vocabulary import MISSING_ID, UNSEEN_ID
from features.schema import ListFeature, SparseFeature

_SKETCH = 1024
_SAMPLE = 4_096
_TOP = 3
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio: spreads ids evenly (Knuth, TAOCP 3, 6.4)


class DistinctCounter:
    """Counts distinct values in flat memory: the k smallest 64-bit hashes seen.

    Exact below k = 1024 distinct values; from there on with a relative standard error of 1 / sqrt(k - 2), 3.1 %
    (Bar-Yossef et al. 2002, "Counting distinct elements in a data stream"; Beyer et al. 2007 for the unbiased form).
    """

    def __init__(self, smallest: NDArray[np.uint64] | None = None) -> None:
        self.smallest = np.zeros(0, np.uint64) if smallest is None else smallest

    def update(self, hashes: NDArray[np.uint64]) -> None:
        """Count values by their hashes; one of 0 does not count."""
        if len(self.smallest) == _SKETCH:
            hashes = hashes[hashes < self.smallest[-1]]
        rising = np.sort(np.concatenate([self.smallest, hashes]))  # far quicker than np.unique
        fresh = np.ones(len(rising), np.bool_)
        fresh[1:] = rising[1:] != rising[:-1]
        distinct = rising[fresh]
        self.smallest = distinct[distinct > 0][:_SKETCH].copy()

    @property
    def exact(self) -> bool:
        """Whether :attr:`count` is exact."""
        return len(self.smallest) < _SKETCH

    @property
    def count(self) -> int:
        """Distinct values, estimated where not :attr:`exact`."""
        if self.exact:
            return len(self.smallest)
        return round((_SKETCH - 1) * 2.0**64 / float(self.smallest[-1]))


class Summary:
    """Gathers the summary batch by batch.

    Args:
        fitted: The fitted schema that encodes the rows.
        rows: Rows of the whole input; sets which ones are sampled.
    """

    def __init__(self, fitted: FittedSchema, rows: int) -> None:
        self._fitted = fitted
        self._stride = 1 << max(math.ceil(math.log2(max(rows, 1) / _SAMPLE)), 0)
        self.rows = 0
        self.sampled = 0
        features = fitted.schema.features
        self._missing = {feature.name: 0 for feature in features}
        self._elements = {feature.name: 0 for feature in features if isinstance(feature, ListFeature)}
        self._ranges = {f.name: _Range() for f in features if f.kind in ("numeric", "bucketized")}
        self._distinct = {feature.name: DistinctCounter() for feature in fitted.schema.sparse}
        self._texts: dict[str, Counter[str]] = {
            f.name: Counter() for f in features if f.kind == "categorical" or isinstance(f, ListFeature)
        }

    def update(self, typed: pl.DataFrame, encoded: pl.DataFrame) -> None:
        """Take in a batch: the same rows typed and encoded; ``_row`` is the position in the whole input."""
        self.rows += typed.height
        missing = typed.null_count().row(0, named=True)
        for feature in self._fitted.schema.features:
            name = feature.name
            cross = feature.kind == "cross"
            self._missing[name] += int((encoded[name] == MISSING_TOKEN).sum()) if cross else missing[name]
            if name in self._ranges:
                self._ranges[name].update(typed[name])
            if feature.kind != "numeric":
                values = _elements(encoded[name])
                if name in self._elements:
                    self._elements[name] += len(values)
                self._distinct[name].update(self._hashes(feature, values.to_numpy()))
        sample = typed.filter(pl.col(ROW) % self._stride == 0)
        self.sampled += sample.height
        for name, texts in sample.select(list(self._texts)).to_dict(as_series=False).items():
            single = chain.from_iterable(filter(None, texts)) if name in self._elements else texts
            self._texts[name].update(text for text in single if text is not None)

    def merge(self, other: Self) -> None:
        """Take in the summary of other rows of the same input."""
        self.rows += other.rows
        self.sampled += other.sampled
        for name, missing in other._missing.items():
            self._missing[name] += missing
        for name, elements in other._elements.items():
            self._elements[name] += elements
        for name, extent in other._ranges.items():
            self._ranges[name].merge(extent)
        for name, distinct in other._distinct.items():
            self._distinct[name].update(distinct.smallest)
        for name, counts in other._texts.items():
            self._texts[name].update(counts)

    def columns(self) -> list[dict[str, Any]]:
        """What is known of each feature, as json."""
        described = []
        for feature in self._fitted.schema.features:
            name = feature.name
            column: dict[str, Any] = {"name": name, "kind": feature.kind, "missing": self._missing[name]}
            if name in self._ranges:
                column |= self._ranges[name].described()
            if name in self._distinct:
                distinct = self._distinct[name]
                column |= {"distinct": distinct.count, "distinct_exact": distinct.exact}
            if name in self._texts:
                counts = self._texts[name]
                top = heapq.nsmallest(_TOP, ((-count, value) for value, count in counts.items()))
                column["top"] = [{"value": value, "share": -less / counts.total()} for less, value in top]
            if name in self._elements:
                column["mean_length"] = self._elements[name] / max(self.rows, 1)
            described.append(column)
        return described

    def to_json(self) -> dict[str, Any]:
        """The state as json, for :meth:`from_json`."""
        return {
            "rows": self.rows,
            "sampled": self.sampled,
            "missing": self._missing,
            "elements": self._elements,
            "ranges": {name: extent.to_json() for name, extent in self._ranges.items()},
            "distinct": {name: base64.b64encode(d.smallest.tobytes()).decode() for name, d in self._distinct.items()},
            "texts": self._texts,
        }

    @classmethod
    def from_json(cls, fitted: FittedSchema, rows: int, state: dict[str, Any]) -> "Summary":
        """Read what :meth:`to_json` gave."""
        summary = cls(fitted, rows)
        summary.rows, summary.sampled = state["rows"], state["sampled"]
        summary._missing, summary._elements = state["missing"], state["elements"]
        summary._texts = {name: Counter(counts) for name, counts in state["texts"].items()}
        summary._ranges = {name: _Range(**extent) for name, extent in state["ranges"].items()}
        for name, text in state["distinct"].items():
            summary._distinct[name] = DistinctCounter(np.frombuffer(base64.b64decode(text), np.uint64))
        return summary

    def _hashes(self, feature: SparseFeature, values: NDArray[np.int64]) -> NDArray[np.uint64]:
        """Evenly spread hashes of the values, 0 for those that are missing or unseen."""
        if self._fitted.ids(feature) is None:
            return values.view(np.uint64)  # MISSING_TOKEN is 0
        known = values.view(np.uint64) - np.uint64(UNSEEN_ID)
        return np.where(values == MISSING_ID, np.uint64(0), known * _GOLDEN)


class _Range:
    """Count, sum, smallest and largest of a numeric feature's present values."""

    def __init__(self, count: int = 0, total: float | None = 0.0, minimum: float = 0.0, maximum: float = 0.0) -> None:
        # Numbers near the end of float64 add up to infinity, which json does not know.
        self.total = math.inf if total is None else total
        self.count, self.minimum, self.maximum = count, minimum, maximum

    def update(self, column: pl.Series) -> None:
        values = column.drop_nulls().to_numpy()
        if len(values):
            with np.errstate(over="ignore"):
                self.merge(_Range(len(values), float(values.sum()), float(values.min()), float(values.max())))

    def merge(self, other: "_Range") -> None:
        if not other.count:
            return
        self.minimum = min(self.minimum, other.minimum) if self.count else other.minimum
        self.maximum = max(self.maximum, other.maximum) if self.count else other.maximum
        self.total += other.total
        self.count += other.count

    def to_json(self) -> dict[str, float | None]:
        total = self.total if math.isfinite(self.total) else None
        return {"count": self.count, "total": total, "minimum": self.minimum, "maximum": self.maximum}

    def described(self) -> dict[str, Any]:
        if not self.count:
            return {}
        mean = self.total / self.count if math.isfinite(self.total) else None
        return {"min": self.minimum, "mean": mean, "max": self.maximum}


def _elements(column: pl.Series) -> pl.Series:
    """The values of a column, those of lists one after the other."""
    return column.list.explode(empty_as_null=False, keep_nulls=False) if column.dtype == pl.List else column
