"""Count how often the intervals of the metrics hold the truth, on simulated rows of which the truth is known.

    python -m benchmarks.coverage

Writes a dated report into benchmarks/reports. Takes some minutes; --runs makes a rough trial of it.
"""

import argparse
import os
from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from statistics import NormalDist
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import stats  # type: ignore[import-untyped]

from benchmarks import _report
from evaluation.counterfactual.report import counterfactual
from evaluation.estimate import Estimate, PairedDifference
from evaluation.interval import LEVEL
from evaluation.metrics.auc import auc
from evaluation.metrics.bootstrap import bootstrap_of, paired_bootstrap
from evaluation.metrics.brier import brier
from evaluation.metrics.calibration import calibration_ratio
from evaluation.metrics.calibration_error import calibration_error
from evaluation.metrics.delong import paired_auc
from evaluation.metrics.gauc import gauc, paired_gauc
from evaluation.metrics.logloss import logloss
from evaluation.metrics.normalised_entropy import normalised_entropy
from evaluation.metrics.paired import paired_by_row
from evaluation.metrics.pr_auc import pr_auc
from evaluation.metrics.ranking import hit_rate, mrr, ndcg
from evaluation.state.sorted_rows import SortedRows
from evaluation.undefined import UndefinedMetric

Floats: TypeAlias = npt.NDArray[np.float64]
Draw: TypeAlias = np.random.Generator
Found: TypeAlias = Estimate | PairedDifference
Compute: TypeAlias = Callable[[], Found]
Simulate: TypeAlias = Callable[[Draw], Mapping[str, tuple[float, Compute]]]
"""Rows are drawn; of each metric the truth, and what computes it on them."""

_SPREAD = 1.2  # standard deviation of the logits of rows
_LARGE = 300_000  # users whose rows give the truth, where no formula does


@dataclass(frozen=True)
class Setting:
    """One kind of rows: what it is, and what simulates it."""

    title: str
    simulate: Simulate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1_000, help="sets of rows of each setting")
    options = parser.parse_args()
    makers = [
        *(partial(ordered, area, clicks, rows) for area, clicks, rows in _ORDERED),
        *(partial(predicted, clicks, rows, off) for clicks, rows, off in _PREDICTED),
        *(partial(equal, clicks, rows) for clicks, rows in _EQUAL),
        *(partial(grouped, users, middle) for users, middle in _GROUPED),
        *(partial(resampled, users, middle) for users, middle in _RESAMPLED),
        *(partial(logged, clicks, rows) for clicks, rows in _LOGGED),
    ]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        lines = [line for found in pool.map(partial(measured, options.runs), makers) for line in found]
    known = 100 * 1.96 * (LEVEL * (1 - LEVEL) / options.runs) ** 0.5
    text = [
        f"{options.runs:,} simulated sets of rows a setting: the share of intervals of level {100 * LEVEL:g} % that",
        f"held the truth, of the sets that gave one. Each share is itself known to about {known:.1f} points. Paired",
        "differences are of two models that are equally good, so what they miss are false alarms.",
        "",
        "| rows | metric | held, % | truth above, % | truth below, % | sets without an interval |",
        "|---|---|---|---|---|---|",
        *lines,
    ]
    _report.write("coverage", "Coverage of the intervals", text)


def measured(runs: int, make: Callable[[], Setting]) -> list[str]:
    """Run a setting; gives a line of the table a metric."""
    setting = make()
    draw = np.random.default_rng(2026)
    held: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for _ in range(runs):
        for metric, (truth, compute) in setting.simulate(draw).items():
            try:
                interval = compute().interval
            except UndefinedMetric:
                interval = None
            where = 3 if interval is None else 1 if truth > interval.high else 2 if truth < interval.low else 0
            held[metric][where] += 1
    lines = []
    for metric, (inside, above, below, none) in held.items():
        number = inside + above + below
        shares = [f"{100 * count / number:.1f}" if number else "-" for count in (inside, above, below)]
        lines.append(f"| {setting.title} | {metric} | {' | '.join(shares)} | {none} of {runs} |")
    print("\n".join(lines), flush=True)
    return lines


def logistic(x: Floats) -> Floats:
    return 1 / (1 + np.exp(-x))


_ORDERED = [(0.75, 0.5, 300), (0.75, 0.1, 300), (0.75, 0.004, 2_000), (0.75, 0.004, 20_000), (0.99, 0.1, 300)]
_ORDERED += [(0.99, 0.004, 20_000)]


def ordered(area: float, clicks: float, rows: int) -> Setting:
    """Normal scores of both classes, so far apart that the AUC is as wanted."""
    apart = 2**0.5 * NormalDist().inv_cdf(area)
    at = np.linspace(-9, 14, 400_001)
    false, true = stats.norm.sf(at), stats.norm.sf(at - apart)
    precision = clicks * true / (clicks * true + (1 - clicks) * false + 1e-300)
    truth = float(-np.trapezoid(precision, true))

    def simulate(draw: Draw) -> Mapping[str, tuple[float, Compute]]:
        labels = draw.random(rows) < clicks
        scores = draw.normal(size=rows) + apart * labels
        weights = draw.exponential(size=rows)
        return {
            "auc": (area, partial(auc, labels, scores)),
            "auc, unequal weights": (area, partial(auc, labels, scores, weights)),
            "pr_auc": (truth, partial(pr_auc, labels, scores)),
        }

    return Setting(f"AUC {area:g}, {clicks:g} clicked, {rows:,} rows", simulate)


def logits(clicks: float) -> tuple[float, Floats, Floats]:
    """The middle of normal logits that give a click rate, and a grid of them with its masses."""
    grid = np.linspace(-7, 7, 100_001)
    masses = stats.norm.pdf(grid) / stats.norm.pdf(grid).sum()
    low, high = -15.0, 10.0
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (middle, high) if (masses * logistic(middle + _SPREAD * grid)).sum() < clicks else (low, middle)
    return low, low + _SPREAD * grid, masses


_PREDICTED = [(0.5, 300, False), (0.1, 300, False), (0.1, 2_000, True), (0.004, 2_000, False), (0.004, 20_000, True)]


def predicted(clicks: float, rows: int, off: bool) -> Setting:
    """Probabilities that are right, or too extreme and too high."""
    middle, grid, masses = logits(clicks)

    def model(x: Floats) -> Floats:
        return logistic(middle + 1.5 * (x - middle) + 0.1 if off else x)

    true, told = logistic(grid), model(grid)
    loss = -float((masses * (true * np.log(told) + (1 - true) * np.log1p(-told))).sum())
    entropy = -clicks * np.log(clicks) - (1 - clicks) * np.log1p(-clicks)
    squared = float((masses * (true * (1 - told) ** 2 + (1 - true) * told**2)).sum())
    bins = np.minimum(20 * (np.cumsum(masses) - masses / 2), 19).astype(int), np.minimum(20 * told, 19).astype(int)
    by_mass, by_width = (float(np.abs(np.bincount(at, masses * (told - true))).sum()) for at in bins)
    ratio = float((masses * told).sum()) / clicks

    def simulate(draw: Draw) -> Mapping[str, tuple[float, Compute]]:
        x = middle + _SPREAD * draw.normal(size=rows)
        given = draw.random(rows) < logistic(x), model(x)
        weighted = *given, draw.exponential(size=rows)
        return {
            "logloss": (loss, partial(logloss, *given)),
            "normalised_entropy": (loss / entropy, partial(normalised_entropy, *given)),
            "normalised_entropy, unequal weights": (loss / entropy, partial(normalised_entropy, *weighted)),
            "brier": (squared, partial(brier, *given)),
            "calibration_ratio": (ratio, partial(calibration_ratio, *given)),
            "ece": (by_mass, partial(calibration_error, *given)),
            "ece_equal_width": (by_width, partial(calibration_error, *given, binning="width")),
        }

    kind = "predictions off" if off else "predictions right"
    return Setting(f"{kind}, {clicks:g} clicked, {rows:,} rows", simulate)


_EQUAL = [(0.5, 300), (0.1, 300), (0.004, 2_000), (0.004, 20_000)]


def equal(clicks: float, rows: int) -> Setting:
    """Two models that err alike."""
    middle = logits(clicks)[0]

    def simulate(draw: Draw) -> Mapping[str, tuple[float, Compute]]:
        x = middle + _SPREAD * draw.normal(size=rows)
        given = draw.random(rows) < logistic(x), *(logistic(x + 0.4 * draw.normal(size=rows)) for _ in "ab")
        weighted = *given, draw.exponential(size=rows)
        return {
            "auc, paired": (0.0, partial(paired_auc, *given)),
            "auc, paired, unequal weights": (0.0, partial(paired_auc, *weighted)),
            "logloss, paired": (0.0, partial(paired_by_row, "logloss", *given)),
            "normalised_entropy, paired": (0.0, partial(paired_by_row, "normalised_entropy", *given)),
            "brier, paired": (0.0, partial(paired_by_row, "brier", *given)),
            "calibration_ratio, paired": (0.0, partial(paired_by_row, "calibration_ratio", *given)),
        }

    return Setting(f"two models alike, {clicks:g} clicked, {rows:,} rows", simulate)


def users_rows(draw: Draw, users: int, middle: float) -> tuple[npt.NDArray[Any], ...]:
    """Groups, labels, and the logits of two models that err alike; a user's rows resemble one another."""
    of_user = 1 + draw.geometric(1 / 8, users)
    groups = np.repeat(np.arange(users), of_user)
    x = middle + draw.normal(size=users)[groups] + draw.normal(size=groups.size)
    told = [x + 0.7 * draw.normal(size=users)[groups] + 0.5 * draw.normal(size=groups.size) for _ in "ab"]
    return groups, draw.random(groups.size) < logistic(x), *told


_GROUPED = [(40, -1.0), (400, -1.0), (40, -4.5), (400, -4.5)]


def grouped(users: int, middle: float) -> Setting:
    """What is measured within users."""
    groups, labels, first, _ = users_rows(np.random.default_rng(0), _LARGE, middle)
    metrics: dict[str, Callable[..., Estimate]] = {
        "gauc": gauc,
        "gauc_plain": partial(gauc, weighting="plain"),
        "ndcg@5": partial(ndcg, k=5),
        "mrr": mrr,
        "hit_rate@3": partial(hit_rate, k=3),
    }
    truths = {name: metric(labels, first, groups).value for name, metric in metrics.items()}
    clicks = labels.mean()

    def simulate(draw: Draw) -> Mapping[str, tuple[float, Compute]]:
        groups, labels, first, second = users_rows(draw, users, middle)
        found: dict[str, tuple[float, Compute]] = {
            name: (truths[name], partial(metric, labels, first, groups)) for name, metric in metrics.items()
        }
        return {**found, "gauc, paired": (0.0, partial(paired_gauc, labels, first, second, groups))}

    return Setting(f"{users} users, {clicks:.2g} clicked", simulate)


_RESAMPLED = [(40, -1.0), (200, -1.0), (200, -4.5)]


def resampled(users: int, middle: float) -> Setting:
    """Users drawn, not rows; the AUC of rows taken for independent beside."""
    _, labels, first, _ = users_rows(np.random.default_rng(0), _LARGE, middle)
    scores, clicks = logistic(first), labels.mean()
    truths = {
        "auc": auc(labels, scores).value,
        "logloss": logloss(labels, scores).value,
        "normalised_entropy": normalised_entropy(labels, scores).value,
        "calibration_ratio": calibration_ratio(labels, scores).value,
    }

    def simulate(draw: Draw) -> Mapping[str, tuple[float, Compute]]:
        groups, labels, *told = users_rows(draw, users, middle)
        states = SortedRows(), SortedRows()
        for state, x in zip(states, told, strict=True):
            state.update(labels, logistic(x), groups)
        seed = int(draw.integers(1 << 40))
        try:
            drawn, paired = bootstrap_of(states[0], seed=seed), paired_bootstrap(*states, seed=seed)
        except UndefinedMetric:
            return {}
        found: dict[str, tuple[float, Compute]] = {
            f"{name}, users drawn": (truth, partial(drawn.__getitem__, name))
            for name, truth in truths.items()
            if name in drawn
        }
        if "auc" in paired:
            found["auc, users drawn, paired"] = (0.0, partial(paired.__getitem__, "auc"))
        return {**found, "auc, rows taken for independent": (truths["auc"], partial(auc, labels, told[0]))}

    return Setting(f"{users} users, {clicks:.2g} clicked", simulate)


_LOGGED = [(0.1, 300), (0.1, 2_000), (0.005, 2_000), (0.005, 20_000)]


def logged(clicks: float, rows: int) -> Setting:
    """Ten actions, a log that prefers the worse ones, and a target that prefers the better ones."""
    actions = np.linspace(-1, 1, 10)
    rates = clicks * np.exp(0.5 * actions) / np.exp(0.5 * actions).mean()
    shows, wants = (np.exp(slope * actions) / np.exp(slope * actions).sum() for slope in (-0.3, 1.0))
    truth = float(wants @ rates)
    guess = 0.8 * rates

    def simulate(draw: Draw) -> Mapping[str, tuple[float, Compute]]:
        at = draw.choice(actions.size, rows, p=shows)
        labels = draw.random(rows) < rates[at]
        told = counterfactual(labels, shows[at], wants[at], guess[at], np.full(rows, wants @ guess))
        return {name: (truth, partial(told.estimates.__getitem__, name)) for name in told.estimates}

    return Setting(f"a log, {clicks:g} clicked, {rows:,} rows", simulate)


if __name__ == "__main__":
    main()
