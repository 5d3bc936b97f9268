"""One feature, described: how its values are spread, and what they say about the label."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.encoding.vocabulary import UNSEEN_ID
from features.profile._bins import cut_points, histogram, in_bins, quantile
from features.profile._names import MISSING_NAME, OTHER_NAME, UNSEEN_NAME, Name, Names
from features.profile._units import Unit
from features.profile.counts import MISSING, POSITIVES, ROWS, NumericCounts, SparseCounts, halves
from features.profile.rates import Rate, grouped_auc
from features.schema import SparseFeature

TOP = 10
"""Most frequent values that are shown one by one."""
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
"""Shares of the numbers that lie at or below the quantiles that are shown."""
_BINS = 10
_AUC_BINS = 20
_LENGTHS = 15


@dataclass(frozen=True)
class Bar:
    """Rows, or elements of lists, that have something in common.

    Attributes:
        name: What it is.
        share: Of all rows, or of all elements.
        label: Their label rate; an element's label is its row's.
    """

    name: Name
    share: float
    label: Rate


@dataclass(frozen=True)
class Numbers:
    """How a numeric feature's numbers are spread, in the units of the log.

    Attributes:
        minimum: Least number.
        mean: Their mean; None where float64 cannot hold it.
        maximum: Greatest number.
        quantiles: Numbers that the shares :data:`QUANTILES` lie at or below.
        histogram: A bar each.
        widths: What the histogram's bars are as wide as.
        bins: Ten bins of about equal weight, then the missing, if any.
    """

    minimum: float
    mean: float | None
    maximum: float
    quantiles: tuple[float, ...]
    histogram: tuple[Bar, ...]
    widths: str
    bins: tuple[Bar, ...]


@dataclass(frozen=True)
class Lengths:
    """How long a list feature's lists are, as prepared.

    Attributes:
        mean: Elements a row.
        longest: Most elements of a row.
        bars: Rows by number of elements.
    """

    mean: float
    longest: int
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class InSplit:
    """What a feature is like in one split.

    Attributes:
        missing: Share of the rows without a value.
        unseen: Share of the rows (of a list, of the elements) whose value the training rows do not have, or are too
            rare to be in the vocabulary; None for numbers, and where no row trains.
    """

    missing: float
    unseen: float | None


@dataclass(frozen=True)
class FeatureProfile:
    """What one feature's values are like in one split.

    Attributes:
        name: The feature's name.
        kind: Its kind in the schema.
        encoding: How it was encoded, in words.
        missing: Rows without a value: a list is missing where it is empty.
        present: The other rows.
        distinct: Distinct values; None for numbers with so many that they were not counted apart.
        unseen: Rows (of a list, elements) whose value is not in the vocabulary; None where there is none.
        auc: How well the feature alone orders the labels (:func:`features.profile.rates.grouped_auc`): by value, a
            number by one of 20 bins of about equal weight, a list by its length; None where it cannot be measured.
        top: The most frequent values, then those that are unseen, missing, or any other; of a list, elements.
        numbers: Of a numeric feature with any number.
        lengths: Of a list.
        splits: Every split that holds rows.
        filled: Of a numeric feature that fills missing values in: their share of all splits' rows. They count as
            numbers here.
    """

    name: str
    kind: str
    encoding: str
    missing: Rate
    present: Rate
    distinct: int | None
    auc: float | None
    splits: dict[str, InSplit]
    unseen: Rate | None = None
    top: tuple[Bar, ...] = ()
    numbers: Numbers | None = None
    lengths: Lengths | None = None
    filled: float | None = None

    @property
    def missing_share(self) -> float:
        """Share of the rows without a value."""
        return self.missing.rows / (self.missing.rows + self.present.rows)


def describe_sparse(
    feature: SparseFeature, names: Names, counts: Mapping[str, SparseCounts], split: str
) -> FeatureProfile:
    """Describe a feature of tokens or ids.

    Args:
        feature: Its declaration.
        names: Of its values.
        counts: By split.
        split: Which one to describe.
    """
    here, known = counts[split], counts.get("train")
    missing = _rate(here.missing)
    unseen = here.values.filter(pl.col("value") == UNSEEN_ID) if names.by_id else here.values.clear()
    return FeatureProfile(
        name=feature.name,
        kind=feature.kind,
        encoding=names.encoding,
        missing=missing,
        present=_without(_rate(here.by_row), missing),
        distinct=here.present.height - unseen.height,
        auc=grouped_auc(halves(here.by_row)),
        splits={
            name: InSplit(some.missing_share, None if known is None else unseen_share(some, known, by_id=names.by_id))
            for name, some in counts.items()
        },
        unseen=_rate(unseen) if names.by_id else None,
        top=_top(here, names),
        lengths=_lengths(here.lengths) if here.lengths is not None else None,
    )


def describe_numeric(
    unit: Unit, counts: Mapping[str, NumericCounts], split: str, filled: float | None
) -> FeatureProfile:
    """Describe a feature of numbers.

    Args:
        unit: Its declaration and its units.
        counts: By split.
        split: Which one to describe.
        filled: Share of all rows whose number was filled in.
    """
    here = counts[split]
    missing = _rate(here.missing)
    by_bin = halves(here.missing)
    if here.rows:
        by_bin = np.concatenate([by_bin, in_bins(here, cut_points(here, _AUC_BINS))[0]])
    return FeatureProfile(
        name=unit.feature.name,
        kind="numeric",
        encoding=", ".join(unit.feature.transforms) or "unchanged",
        missing=missing,
        present=_rate(here.cells),
        distinct=here.distinct,
        auc=grouped_auc(by_bin),
        splits={name: InSplit(some.missing_share, None) for name, some in counts.items()},
        numbers=_numbers(unit, here) if here.rows else None,
        filled=filled,
    )


def unseen_share(here: SparseCounts, known: SparseCounts, *, by_id: bool) -> float:
    """Share of the rows (of a list, of the elements) whose value is not among the known ones.

    Args:
        here: The rows.
        known: Counts of the known values.
        by_id: The values are ids, of which 1 stands for any that is not in the vocabulary.
    """
    known_values = known.present.filter(pl.col("value") != UNSEEN_ID) if by_id else known.present
    unseen = here.present.join(known_values, on="value", how="anti")
    return int(unseen[ROWS].sum()) / max(here.total, 1)


def _top(counts: SparseCounts, names: Names) -> tuple[Bar, ...]:
    total = counts.total
    reserved = [MISSING, UNSEEN_ID] if names.by_id else [MISSING]
    values = counts.values.filter(~pl.col("value").is_in(reserved))
    top, rest = values.head(TOP), _rate(values.slice(TOP))
    bars = [
        Bar(names.name(value), rows / total, Rate.of(rows, positives))
        for value, rows, positives in top.select("value", ROWS, POSITIVES).iter_rows()
    ]
    others = {OTHER_NAME: rest}
    for value, name in zip(reserved, (MISSING_NAME, UNSEEN_NAME), strict=False):
        others[name] = _rate(counts.values.filter(pl.col("value") == value))
    return (*bars, *(Bar(name, rate.rows / total, rate) for name, rate in others.items() if rate.rows))


def _numbers(unit: Unit, counts: NumericCounts) -> Numbers:
    missing = _rate(counts.missing)
    total = counts.rows + missing.rows
    bars, names, widths = histogram(counts, logged=unit.logged)
    bins = _bars(*in_bins(counts, cut_points(counts, _BINS)), total)
    if missing.rows:
        bins = (*bins, Bar(MISSING_NAME, missing.rows / total, missing))
    return Numbers(
        minimum=float(counts.cells["low"][0]),
        mean=counts.mean,
        maximum=float(counts.cells["high"][-1]),
        quantiles=tuple(quantile(counts, share) for share in QUANTILES),
        histogram=_bars(bars, names, total),
        widths=widths,
        bins=bins,
    )


def _lengths(lengths: pl.DataFrame) -> Lengths:
    rows = int(lengths[ROWS].sum())
    longest = int(lengths["value"][-1])
    width = -(-(longest + 1) // _LENGTHS)
    bars = []
    for first in range(0, longest + 1, width):
        last = min(first + width - 1, longest)
        rate = _rate(lengths.filter(pl.col("value").is_between(first, last)))
        text = str(first) if first == last else f"{first} \u2013 {last}"
        bars.append(Bar(Name(text), rate.rows / rows, rate))
    return Lengths(int((lengths["value"] * lengths[ROWS]).sum()) / rows, longest, tuple(bars))


def _bars(counts: NDArray[np.int64], names: list[str], total: int) -> tuple[Bar, ...]:
    sums = [(int(a + c), int(b + d)) for a, b, c, d in counts]
    return tuple(
        Bar(Name(name), rows / total, Rate.of(rows, positives))
        for name, (rows, positives) in zip(names, sums, strict=True)
    )


def _rate(counts: pl.DataFrame) -> Rate:
    return Rate.of(int(counts[ROWS].sum()), int(counts[POSITIVES].sum()))


def _without(whole: Rate, part: Rate) -> Rate:
    return Rate.of(whole.rows - part.rows, whole.positives - part.positives)
