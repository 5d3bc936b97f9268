"""The profile of a prepared set: its splits, every feature, and how far they are from another set's."""

from collections.abc import Callable
from dataclasses import dataclass

from common.errors import DataError
from features.datasets.prepared import PreparedSet
from features.profile._side import Side
from features.profile.counts import NumericCounts, SparseCounts, count_numeric, count_sparse
from features.profile.drift import FeatureDrift, caveat, compare_numeric, compare_sparse, incomparable
from features.profile.feature import FeatureProfile, describe_numeric, describe_sparse
from features.profile.rates import Rate
from features.profile.times import Times, over_time
from features.schema import NumericFeature

Progress = Callable[[str, int, int], None]
"""Called with what was measured last, how much is done and how much there is."""


@dataclass(frozen=True)
class Drift:
    """How far a split is from a reference set's training rows.

    Attributes:
        reference: The reference's folder.
        before: Its training rows and their label rate.
        now: The split's.
        features: The features that both have, in the schema's order.
        only_here: Features that the reference does not have.
        only_before: Features that only the reference has.
    """

    reference: str
    before: Rate
    now: Rate
    features: tuple[FeatureDrift, ...]
    only_here: tuple[str, ...]
    only_before: tuple[str, ...]


@dataclass(frozen=True)
class Profile:
    """What a prepared set holds.

    Attributes:
        folder: Its folder.
        schema_digest: Digest of its fitted schema.
        split: The split that the features describe.
        splits: Rows and label rate of each split that holds rows.
        bad_rows: Rows of the raw files that were left out when it was prepared.
        features: The features in the schema's order.
        times: Rows over time; None where the schema has no timestamp.
        drift: Against a reference; None without one.
    """

    folder: str
    schema_digest: str
    split: str
    splits: dict[str, Rate]
    bad_rows: int
    features: tuple[FeatureProfile, ...]
    times: Times | None
    drift: Drift | None


def profile(
    prepared: PreparedSet,
    *,
    split: str = "train",
    against: PreparedSet | None = None,
    progress: Progress = lambda what, done, total: None,
) -> Profile:
    """Measure a prepared set, one feature at a time.

    Memory is that of one shard's column and of the distinct values of one feature (features.profile.counts).

    Args:
        prepared: The set.
        split: The split whose features are described; the other splits' values are compared with its training rows.
        against: A reference; the split is compared with its training rows.
        progress: Told how far it is.

    Raises:
        DataError: A shard is missing or damaged, the split or the reference has no row, or the two sets share no
            feature.
    """
    prepared.rows(split)
    here = Side(prepared, against)
    there = None if against is None else Side(against, prepared)
    if split not in here.splits:
        raise DataError(f"split {split!r} of {here.folder} has no row; profile one of {', '.join(here.splits)}")
    compared = () if there is None else _compared(here, there)
    features: list[FeatureProfile] = []
    drifts: list[FeatureDrift] = []
    declared = prepared.fitted.schema.features
    for feature in declared:
        progress(feature.name, len(features), len(declared))
        now: NumericCounts | SparseCounts
        if isinstance(feature, NumericFeature):
            unit = here.unit(feature)
            numbers = {name: count_numeric(shards, unit) for name, shards in here.shards.items()}
            features.append(describe_numeric(unit, numbers, split, here.filled(feature)))
            now = numbers[split]
        else:
            values = {name: count_sparse(shards, feature) for name, shards in here.shards.items()}
            features.append(describe_sparse(feature, here.names(feature), values, split))
            now = values[split]
        if there is not None and feature.name in compared:
            drifts.append(_drift(there, here, feature.name, now))
    progress("", len(declared), len(declared))
    return Profile(
        folder=here.folder,
        schema_digest=prepared.fitted.digest,
        split=split,
        splits=here.splits,
        bad_rows=prepared.document.bad_rows,
        features=tuple(features),
        times=over_time(here.shards) if prepared.fitted.schema.timestamp is not None else None,
        drift=None
        if there is None
        else Drift(
            reference=there.folder,
            before=there.splits["train"],
            now=here.splits[split],
            features=tuple(drifts),
            only_here=_others(here, there),
            only_before=_others(there, here),
        ),
    )


def _compared(here: Side, there: Side) -> tuple[str, ...]:
    """Names of the features that both have."""
    if "train" not in there.splits:
        raise DataError(f"{there.folder} has no training row to compare with; name another set")
    only = _others(here, there)
    shared = tuple(f.name for f in here.fitted.schema.features if f.name not in only)
    if not shared:
        raise DataError(f"{here.folder} and {there.folder} share no feature; compare sets of one log")
    return shared


def _drift(there: Side, here: Side, name: str, now: NumericCounts | SparseCounts) -> FeatureDrift:
    before = there.count("train", name)
    reason = incomparable(there.fitted, here.fitted, name)
    if reason:
        return FeatureDrift(name, before.missing_share, now.missing_share, note=reason)
    old, new = there.fitted.schema.feature(name), here.fitted.schema.feature(name)
    if isinstance(old, NumericFeature) or isinstance(new, NumericFeature):
        assert isinstance(before, NumericCounts)
        assert isinstance(now, NumericCounts)
        return compare_numeric(name, before, now, caveat(old, new))
    assert isinstance(before, SparseCounts)
    assert isinstance(now, SparseCounts)
    return compare_sparse(name, before, now, (there.names(old), here.names(new)), caveat(old, new))


def _others(side: Side, other: Side) -> tuple[str, ...]:
    """Features that only the one side has."""
    theirs = {feature.name for feature in other.fitted.schema.features}
    return tuple(feature.name for feature in side.fitted.schema.features if feature.name not in theirs)
