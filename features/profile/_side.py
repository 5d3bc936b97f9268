"""A prepared set as a profile reads it: its shards, the units of its numbers, the names of its values."""

from features.datasets.prepared import PreparedSet
from features.encoding.crosses import cross_text
from features.profile._names import Names
from features.profile._units import Unit
from features.profile.counts import NumericCounts, SparseCounts, count_numeric, count_sparse
from features.profile.rates import Rate
from features.schema import BucketizedFeature, CrossFeature, NumericFeature, SparseFeature


class Side:
    """One of the sets that a profile is about.

    Args:
        prepared: The set.
        other: The one it is compared with; what is known of its values' texts holds here too.

    Attributes:
        folder: Its folder.
        fitted: Its fitted schema.
        splits: Rows and label rate of each split that holds rows.
        shards: Their shards.
    """

    def __init__(self, prepared: PreparedSet, other: PreparedSet | None = None) -> None:
        self.folder = str(prepared.folder)
        self.fitted = prepared.fitted
        self.splits: dict[str, Rate] = {
            name: Rate.of(s.rows, s.positives) for name, s in prepared.document.splits.items() if s.rows
        }
        self.shards = {name: prepared.reader(name) for name in self.splits}
        self._columns = {column["name"]: column for column in prepared.document.columns}
        self._texts: dict[str, set[str]] = {}
        for known in (prepared, other):
            for column in () if known is None else known.document.columns:
                self._texts.setdefault(column["name"], set()).update(top["value"] for top in column.get("top", ()))

    def unit(self, feature: NumericFeature) -> Unit:
        """How to undo a feature's transforms."""
        return Unit(feature, self.fitted.statistics.get(feature.name))

    def names(self, feature: SparseFeature) -> Names:
        """What a feature's values are called."""
        return Names(self.fitted, feature, self._known(feature))

    def filled(self, feature: NumericFeature) -> float | None:
        """Share of all splits' rows whose number was filled in; None where missing ones stay missing."""
        if feature.missing == "mask":
            return None
        return float(self._columns[feature.name]["missing"] / sum(label.rows for label in self.splits.values()))

    def count(self, split: str, name: str) -> NumericCounts | SparseCounts:
        """Count a feature's values."""
        feature = self.fitted.schema.feature(name)
        if isinstance(feature, NumericFeature):
            return count_numeric(self.shards[split], self.unit(feature))
        return count_sparse(self.shards[split], feature)

    def _known(self, feature: SparseFeature) -> set[str]:
        """Texts that a feature's values may have: those that were frequent when the sets were prepared."""
        schema = self.fitted.schema
        if isinstance(feature, CrossFeature):
            first, second = ([None, *self._known(part)] for part in schema.crossed(feature))
            texts = (cross_text(a, b) for a in first for b in second)
            return {text for text in texts if text is not None}
        if isinstance(feature, BucketizedFeature):
            return set(map(str, range(len(self.fitted.edges[feature.name]) + 1)))
        return self._texts.get(feature.name, set()) | self._texts.get(schema.encoder_of(feature).name, set())
