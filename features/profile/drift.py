"""Drift: how far a feature's values have moved from those of a reference set."""

import math
from dataclasses import dataclass
from itertools import compress
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from common.text import percent
from features.encoding.fitted import FittedSchema
from features.encoding.tokens import MISSING_TOKEN
from features.profile._bins import cut_points, in_bins
from features.profile._names import MISSING_NAME, OTHER_NAME, Name, Names
from features.profile.counts import ROWS, NumericCounts, SparseCounts
from features.schema import ColumnFeature, CrossFeature, ListFeature, NumericFeature

Reading = Literal["stable", "moderate", "large"]
MODERATE, LARGE = 0.1, 0.25
_BINS = 10
_TOP = 50
_SMOOTHING = 0.5


@dataclass(frozen=True)
class Moved:
    """A bin of values.

    Attributes:
        name: What it holds.
        before: Its share of the reference.
        now: Its share now.
        psi: What it adds to the PSI.
    """

    name: Name
    before: float
    now: float
    psi: float


@dataclass(frozen=True)
class FeatureDrift:
    """How far one feature has moved.

    Attributes:
        name: The feature's name.
        missing_before: Share of the reference's rows without a value.
        missing_now: Share of the rows without a value.
        psi: Its population stability index (:func:`psi`); None where the two sets do not compare.
        reading: What the index says (:func:`reading`); None without one.
        bins: What was compared; of numbers in their order, of values the most frequent of the reference first.
        unseen: Share of the rows (of a list, of the elements) whose value the reference does not have; None for
            numbers, or where the two sets do not compare.
        note: What the comparison does not say, or why there is none; empty where all was compared.
    """

    name: str
    missing_before: float
    missing_now: float
    psi: float | None = None
    reading: Reading | None = None
    bins: tuple[Moved, ...] = ()
    unseen: float | None = None
    note: str = ""


def psi(before: NDArray[np.int64], now: NDArray[np.int64]) -> NDArray[np.float64]:
    """Population stability index of two samples counted in the same bins.

    ``sum over bins of (q - p) ln(q / p)``, with p a bin's share of the reference and q its share now: the
    Kullback-Leibler divergence one way plus the other (Jeffreys 1946; the name from Lewis 1994, "An Introduction to
    Credit Scoring"). A bin that one sample leaves empty would make it infinite, so half a row is added to each bin of
    both samples before shares are taken (the prior of Krichevsky and Trofimov 1981).

    Args:
        before: Rows of the reference in each bin, int64 ``[bins]``; no bin is empty in both samples.
        now: Rows in each bin, int64 ``[bins]``.

    Returns:
        What each bin adds, float64 ``[bins]``, each from 0; the index is their sum.
    """
    p, q = before + _SMOOTHING, now + _SMOOTHING
    p, q = p / p.sum(), q / q.sum()
    return np.asarray((q - p) * np.log(q / p), np.float64)


def chance(bins: int, before: int, now: int) -> float:
    """The PSI that two samples of one distribution stay below in 95 of 100 cases.

    ``(1 / n + 1 / m) x`` with x the 95 % point of the chi-squared distribution with ``bins - 1`` degrees of freedom
    (Yurdakul and Naranjo 2020, "Statistical properties of the population stability index"), by the approximation of
    Wilson and Hilferty 1931. Rows count as independent; those of a log are less than that, so chance reaches farther.

    Args:
        bins: Bins that hold a row.
        before: Rows of the reference, from 1.
        now: Rows, from 1.
    """
    free = bins - 1
    if not free:
        return 0.0
    spread = 2 / (9 * free)
    return (1 / before + 1 / now) * free * (1 - spread + 1.6448536269514722 * math.sqrt(spread)) ** 3


def reading(psi: float, bins: int, before: int, now: int) -> Reading:
    """What an index says: below 0.1 ``stable``, from 0.25 ``large`` (Siddiqi 2006, "Credit Risk Scorecards").

    Stable also where chance alone explains it (:func:`chance`, with the same arguments).
    """
    if psi < max(MODERATE, chance(bins, before, now)):
        return "stable"
    return "moderate" if psi < LARGE else "large"


def compare_numeric(name: str, before: NumericCounts, now: NumericCounts, note: str = "") -> FeatureDrift:
    """Compare numbers: ten bins of about equal weight in the reference, and the missing.

    Args:
        name: The feature's name.
        before: The reference's numbers.
        now: The numbers.
        note: What to say about the comparison.
    """
    cuts = cut_points(before, _BINS)
    (old, names), (new, _) = in_bins(before, cuts, open_ended=True), in_bins(now, cuts)
    missing = _rows(before.missing), _rows(now.missing)
    return _drift(
        name,
        np.append(old[:, 0] + old[:, 2], missing[0]),
        np.append(new[:, 0] + new[:, 2], missing[1]),
        [*map(Name, names), MISSING_NAME],
        missing=(before.missing_share, now.missing_share),
        note=note,
    )


def compare_sparse(
    name: str, before: SparseCounts, now: SparseCounts, names: tuple[Names, Names], note: str = ""
) -> FeatureDrift:
    """Compare tokens, whichever way the two sets encode them: the reference's 50 most frequent, others, the missing.

    Of lists, the elements are compared.

    Args:
        name: The feature's name.
        before: The reference's values.
        now: The values.
        names: Of the reference's values, and of these.
        note: What to say about the comparison.
    """
    old, new = (
        counts.values.select("value", ROWS, token=own.tokens(counts.values["value"]))
        for counts, own in zip((before, now), names, strict=True)
    )
    known = old.filter(pl.col("token") != MISSING_TOKEN)  # which a null is not either
    # Ties by token, a hash of the text: the order of the ids differs between sets.
    top = known.sort([ROWS, "token"], descending=[True, False]).head(_TOP)
    unseen = _rows(new.filter(pl.col("token") != MISSING_TOKEN).join(known, on="token", how="anti"))
    unnamed = _rows(new.filter(pl.col("token").is_null()))
    if names[0].shares_vocabulary(names[1]):
        unseen += unnamed
    elif unnamed:
        share = percent(unnamed / now.total)
        rare = f"{share} have values too rare for the vocabulary, which the reference may have or not"
        note = f"{note}; {rare}" if note else rare
    return _drift(
        name,
        _in_top(top, old),
        _in_top(top, new),
        [*map(names[0].name, top["value"]), OTHER_NAME, MISSING_NAME],
        missing=(before.missing_share, now.missing_share),
        unseen=unseen / max(now.total, 1),
        note=note,
    )


def incomparable(before: FittedSchema, now: FittedSchema, name: str) -> str:
    """Why the values of a feature that two sets share do not compare; empty where they do."""
    old, new = before.schema.feature(name), now.schema.feature(name)
    if old.kind != new.kind:
        return f"it is {new.kind} here and {old.kind} in the reference"
    buckets = [name]
    if isinstance(old, CrossFeature) and isinstance(new, CrossFeature):
        if old.of != new.of:
            return f"it crosses {' and '.join(new.of)} here and {' and '.join(old.of)} in the reference"
        buckets = list(new.of)
    if any(before.edges.get(part) != now.edges.get(part) for part in buckets):
        return "its buckets have other edges in the reference; prepare with --schema-from to give both the same"
    return ""


def caveat(before: ColumnFeature | CrossFeature, now: ColumnFeature | CrossFeature) -> str:
    """What keeps a comparison of two declarations from being whole; empty where nothing does."""
    if isinstance(before, NumericFeature) and isinstance(now, NumericFeature) and before.missing != now.missing:
        old, new = ("kept" if m == "mask" else f"filled with {m:g}" for m in (before.missing, now.missing))
        return f"missing values are {new} here and {old} in the reference"
    if isinstance(before, ListFeature) and isinstance(now, ListFeature) and before.max_length != now.max_length:
        return f"lists hold at most {now.max_length} here and {before.max_length} in the reference"
    return ""


def _drift(
    name: str,
    before: NDArray[np.int64],
    now: NDArray[np.int64],
    names: list[Name],
    *,
    missing: tuple[float, float],
    unseen: float | None = None,
    note: str,
) -> FeatureDrift:
    rows = int(before.sum()), int(now.sum())
    if not all(rows):
        nothing = "it has no value to compare " + ("in the reference" if not rows[0] else "here")
        return FeatureDrift(name, *missing, note=nothing)
    held = (before + now) > 0
    old, new = before[held] / rows[0], now[held] / rows[1]
    parts = psi(before[held], now[held])
    index = float(parts.sum())
    return FeatureDrift(
        name,
        *missing,
        psi=index,
        reading=reading(index, len(parts), *rows),
        bins=tuple(map(Moved, compress(names, held), old.tolist(), new.tolist(), parts.tolist())),
        unseen=unseen,
        note=note,
    )


def _in_top(top: pl.DataFrame, values: pl.DataFrame) -> NDArray[np.int64]:
    """Rows of each of the top values, of all others, and of the missing."""
    joined = top.select("token").join(values, on="token", how="left", maintain_order="left")
    counted = joined[ROWS].fill_null(0).to_numpy()
    missing = _rows(values.filter(pl.col("token") == MISSING_TOKEN))
    return np.concatenate([counted, [_rows(values) - missing - counted.sum(), missing]]).astype(np.int64)


def _rows(counts: pl.DataFrame) -> int:
    return int(counts[ROWS].sum())
