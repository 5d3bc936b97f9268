"""An evaluation of a made log, and comparisons and outcomes to go with it, for tests of the page."""

import math
from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from evaluation.interval import Interval
from evaluation.report.comparison import Comparison, Difference
from evaluation.report.evaluation import Evaluation
from evaluation.report.evaluator import Evaluator, Wanted
from evaluation.report.gate import Outcome
from evaluation.rows.columns import Columns
from evaluation.rows.rows import Rows

LEVEL = 0.95
MOST_SLICES = 60
OUTCOMES = (
    Outcome("auc is at least 0.75", False, "0.7421 [0.7390, 0.7452]"),
    Outcome("calibration_ratio is between 0.9 and 1.1", True, "1.0213 [0.9975, 1.0457]"),
)
PROVENANCE = {"predictions": "today/*.parquet", "rows": "20,000 of the test split", "model": "finalmlp@3f2c9a01b7de"}


def evaluation(
    rate: float = 0.02,
    rows: int = 20_000,
    *,
    devices: Sequence[str] = ("phone", "tablet", "desktop", "television", "watch"),
    days: int = 14,
    title: str = "finalmlp on the test split",
) -> Evaluation:
    """A model of middling quality, worse and badly calibrated on the last device."""
    draw = np.random.default_rng(4)
    truth = _logistic(math.log(rate / (1 - rate)) + draw.normal(0, 1.1, rows))
    labels = draw.random(rows) < truth
    scores = _logistic(np.log(truth / (1 - truth)) + draw.normal(0, 0.6, rows))
    device = draw.choice(len(devices), rows) if devices else np.zeros(rows, int)
    last = np.flatnonzero(device == len(devices) - 1)
    scores[last] = np.minimum(1.8 * scores[draw.permutation(last)], 0.999)
    users, day = draw.integers(0, 500, rows), np.arange(rows) * max(days, 1) // rows
    return judged(
        title,
        labels,
        scores,
        users,
        pl.Series([devices[code] for code in device.tolist()], dtype=pl.String) if devices else None,
        (20_454 + day) * 86_400_000_000 if days else None,
    )


def undefined(title: str = "rows without a click") -> Evaluation:
    """Label 0 alone, scores that are no probabilities, no groups: all that can be undefined is."""
    draw = np.random.default_rng(0)
    devices = pl.Series(["phone", "tablet", "desktop", "phone"] * 25)
    return judged(title, np.zeros(100, bool), draw.normal(-1, 1, 100), None, devices, np.arange(100) * 3_600_000_000)


def comparison(names: tuple[str, ...] = ("finalmlp", "dcnv2", "lr")) -> Comparison:
    """Models of which the first is the best and the last the worst."""
    differences = []
    for first, second in ((a, b) for a in names for b in names if a != b):
        step = 0.004 * (names.index(second) - names.index(first))
        for metric, value in (("auc", step), ("logloss", -step / 5)):
            reach = 0.0052 if abs(step) < 0.005 else 0.003
            interval = Interval(value - reach, value + reach, LEVEL, "DeLong, paired")
            differences.append(Difference(metric, first, second, value, interval, 0.2 if reach > 0.005 else 2e-7))
    by_slice = tuple(
        (
            "device",
            value,
            Difference("auc", names[0], names[-1], gap, Interval(gap - 0.009, gap + 0.009, LEVEL, "DeLong")),
        )
        for value, gap in (("phone", 0.012), ("tablet", -0.001), ("desktop", -0.014))
    )
    verdict = f"{names[0]} goes live: its AUC is 0.00800 above that of {names[-1]} (95 % interval 0.00500 to 0.01100)."
    return Comparison(names, tuple(differences), by_slice, names[-1], names[0], verdict)


def judged(
    title: str,
    labels: NDArray[np.bool_],
    scores: NDArray[np.float64],
    groups: NDArray[np.int64] | None,
    devices: pl.Series | None,
    times: NDArray[np.int64] | None,
) -> Evaluation:
    """Judge rows, by device and day where these are known (times in microseconds)."""
    slices = {} if devices is None else {"device": devices}
    columns = Columns(
        label="click",
        score="score",
        group=None if groups is None else "user",
        time=None if times is None else "time",
        slices=tuple(slices),
    )
    evaluator = Evaluator(columns, Wanted(most_slices=MOST_SLICES))
    evaluator.update(Rows(labels, (scores,), groups, None, None, times, slices, {}))
    return evaluator.evaluation(title)


def _logistic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-x))
