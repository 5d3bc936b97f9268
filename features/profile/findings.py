"""What a reader of a profile should look at: mistakes in the data, leaks of the label, drift."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from common.text import percent
from features.profile.drift import FeatureDrift
from features.profile.feature import FeatureProfile
from features.profile.profile import Drift, Profile
from features.profile.rates import Rate

Severity = Literal["high", "medium", "low"]
SEVERITIES: tuple[Severity, ...] = ("high", "medium", "low")

_LEAK_AUC, _STRONG_AUC = 0.9, 0.8
_ODDS, _LEAK_ODDS = 3.0, 10.0  # how many times the odds of a label differ where a value is missing
_NEAR_UNIQUE = 0.9  # distinct values a row
_ENOUGH = 100  # rows below which a share says little
_ONE_VALUE = 0.99
_MOSTLY_MISSING = 0.5
_UNSEEN = 0.1
_MISSING_CHANGE = 0.05
_LABEL_CHANGE = 0.1


@dataclass(frozen=True)
class Finding:
    """Something to look at.

    Attributes:
        severity: ``high``: a model trained on this is likely wrong. ``medium``: it is likely worse than it could be.
            ``low``: worth knowing.
        feature: The feature it is about; None where it is about the set.
        text: A sentence.
    """

    severity: Severity
    feature: str | None
    text: str


def findings(profile: Profile) -> tuple[Finding, ...]:
    """What to look at in a profile, the gravest first, else in the order of the schema."""
    found = [*_set(profile)]
    drifts = {} if profile.drift is None else {drift.name: drift for drift in profile.drift.features}
    for feature in profile.features:
        found += _feature(feature)
        if feature.name in drifts:
            found += _drift(drifts[feature.name], feature)
    return tuple(sorted(found, key=lambda finding: SEVERITIES.index(finding.severity)))


def _set(profile: Profile) -> Iterator[Finding]:
    for name, label in profile.splits.items():
        if label.positives in (0, label.rows):
            text = f"Every label of {name} is {int(label.positives > 0)}: there is nothing to tell apart."
            yield Finding("high", None, text)
    splits = list(profile.splits.items())
    for (before, old), (after, new) in pairwise(splits):
        if _differ(old, new):
            text = f"The label rate is {_of(new)} in {after} and {_of(old)} in {before}."
            yield Finding("medium", None, text)
    if profile.bad_rows:
        rows = sum(label.rows for label in profile.splits.values()) + profile.bad_rows
        text = f"{profile.bad_rows:,} rows of the log ({percent(profile.bad_rows / rows)}) were bad and left out."
        yield Finding("medium", None, text)
    if profile.times is not None:
        for split in profile.times.overlapping:
            text = f"Some rows of {split} are older than the newest row of the split before it: they overlap in time."
            yield Finding("low", None, text)
    if profile.drift is not None:
        yield from _drift_of_all(profile.drift)


def _drift_of_all(drift: Drift) -> Iterator[Finding]:
    if _differ(drift.before, drift.now):
        text = f"The label rate is {_of(drift.now)}; the reference's is {_of(drift.before)}."
        yield Finding("medium", None, text)
    for names, where in ((drift.only_here, "missing in the reference"), (drift.only_before, "only in the reference")):
        if names:
            text = f"Not compared, being {where}: {', '.join(names)}."
            yield Finding("low", None, text)


def _feature(feature: FeatureProfile) -> Iterator[Finding]:
    def found(severity: Severity, text: str) -> Finding:
        return Finding(severity, feature.name, text)

    if not feature.present.rows:
        yield found("high", "It has no value in any row.")
        return
    yield from _leak(feature)
    if feature.distinct == 1 and not feature.missing.rows and feature.lengths is None:
        yield found("medium", "It has one value only, so it tells no two rows apart.")
    elif _is_near_unique(feature):
        assert feature.distinct is not None
        share = feature.distinct / feature.present.rows
        text = f"It has {feature.distinct:,} values, {share:.2g} a row: no value has the rows to learn from."
        yield found("medium", text)
    elif feature.top and feature.top[0].share >= _ONE_VALUE and feature.top[0].name.role in ("value", "hash"):
        yield found("low", f"One value fills {percent(feature.top[0].share)} of the {_counted(feature)}.")
    if feature.missing_share >= _MOSTLY_MISSING:
        yield found("low", f"It is {_absent(feature)} in {percent(feature.missing_share)} of the rows.")
    if feature.filled is not None and feature.filled >= _MISSING_CHANGE:
        yield found("low", f"{percent(feature.filled)} of all rows had no number and count as the one filled in.")
    unseen = {name: some.unseen or 0.0 for name, some in feature.splits.items() if name != "train"}
    if max(unseen.values(), default=0.0) >= _UNSEEN and not _is_near_unique(feature):
        rows = " and ".join(f"{percent(share)} of the {name} {_counted(feature)}" for name, share in unseen.items())
        yield found("medium", f"{rows} have a value that no training row has.")


def _leak(feature: FeatureProfile) -> Iterator[Finding]:
    if feature.auc is not None and feature.auc >= _STRONG_AUC:
        severity: Severity = "high" if feature.auc >= _LEAK_AUC else "medium"
        text = (
            f"Alone it orders the labels with an AUC of {feature.auc:.3f}: suspect that it is known only after the "
            "label, or that the negatives were made up."
        )
        yield Finding(severity, feature.name, text)
    ratio = _least_odds_ratio(feature.missing, feature.present)
    if ratio >= _ODDS:
        state = _absent(feature)
        text = (
            f"Whether it is {state} gives the label away: its rate is {_of(feature.missing)} where it is "
            f"{state} ({feature.missing.rows:,} rows) and {_of(feature.present)} elsewhere."
        )
        yield Finding("high" if ratio >= _LEAK_ODDS else "medium", feature.name, text)


def _drift(drift: FeatureDrift, feature: FeatureProfile) -> Iterator[Finding]:
    def found(severity: Severity, text: str) -> Finding:
        return Finding(severity, drift.name, text)

    if drift.psi is None:
        yield found("low", f"Not compared with the reference: {drift.note}.")
    elif drift.reading != "stable":
        severity: Severity = "high" if drift.reading == "large" else "medium"
        yield found(severity, f"It has moved from the reference: PSI {drift.psi:.3f}, {drift.reading}.")
    if drift.unseen is not None and drift.unseen >= _UNSEEN and not _is_near_unique(feature):
        yield found(
            "medium", f"{percent(drift.unseen)} of the {_counted(feature)} have a value that the reference lacks."
        )
    if abs(drift.missing_now - drift.missing_before) >= _MISSING_CHANGE:
        now, before = percent(drift.missing_now), percent(drift.missing_before)
        yield found("medium", f"It is {_absent(feature)} in {now} of the rows; in the reference in {before}.")


def _absent(feature: FeatureProfile) -> str:
    return "empty" if feature.lengths else "missing"


def _counted(feature: FeatureProfile) -> str:
    return "elements" if feature.lengths else "rows"


def _is_near_unique(feature: FeatureProfile) -> bool:
    if feature.kind == "numeric" or feature.lengths or feature.distinct is None or feature.present.rows < _ENOUGH:
        return False
    return feature.distinct >= _NEAR_UNIQUE * feature.present.rows


def _least_odds_ratio(some: Rate, others: Rate) -> float:
    """How many times the odds of one label are those of the other, at least: between the near ends of the intervals."""
    lower, higher = sorted((some, others), key=lambda label: label.rate or 0.0)
    if not some.rows or not others.rows or lower.high >= higher.low:
        return 1.0
    return higher.low / (1 - higher.low) * (1 - lower.high) / lower.high


def _differ(before: Rate, now: Rate) -> bool:
    """Whether two label rates differ by a tenth or more, and by more than chance."""
    apart = now.low > before.high or now.high < before.low
    assert before.rate is not None
    assert now.rate is not None
    return apart and abs(now.rate - before.rate) >= _LABEL_CHANGE * max(now.rate, before.rate)


def _of(label: Rate) -> str:
    return percent(label.rate or 0.0)
