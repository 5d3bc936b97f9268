"""Made runs for tests of leaderboards and their page."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.interval import LEVEL, Interval
from evaluation.leaderboard.run import Run
from evaluation.report.metric import Metric
from evaluation.report.report import Report

SEEDS = (2021, 2022, 2023, 2024, 2025)
# Mean test AUC, logloss, parameters and training rows a second.
MODELS = {
    "lr": (0.9353, 0.3078, 5_390, 240_000),
    "fm": (0.9671, 0.2065, 59_280, 150_000),
    "deepfm": (0.98395, 0.1482, 423_280, 90_000),
    "dcnv2": (0.98382, 0.1491, 458_391, 61_000),
    "xdeepfm": (0.98414, 0.1466, 429_809, 24_000),
    "autoint": (0.98308, 0.1637, 306_051, 14_000),
    "autoint_plus": (0.9848, 0.1490, 622_180, 12_000),
    "dualmlp": (0.98465, 0.1471, 972_992, 45_000),
    "finalmlp": (0.98507, 0.1529, 253_392, 72_000),
    "finalnet_2b": (0.98574, 0.1311, 338_502, 52_000),
}


def report(auc: float | None = 0.75, logloss: float = 0.4, *, rows: int = 28_860, positives: int = 9_536) -> Report:
    """A report; an AUC of None is undefined."""
    metrics = (
        Metric("auc", None, reason="all labels are 0, so that there is no pair")
        if auc is None
        else Metric("auc", auc, Interval(auc - 0.002, auc + 0.0015, LEVEL, "DeLong, logit")),
        Metric("logloss", logloss, Interval(logloss - 0.003, logloss + 0.003, LEVEL, "over rows")),
        Metric("calibration_ratio", 0.97, None, "one row"),
    )
    return Report(rows, positives, positives / rows, 0.3, metrics)


def run(
    name: str = "lr",
    seed: int = 1,
    *,
    auc: float | None = 0.75,
    logloss: float = 0.4,
    valid_auc: float | None = 0.76,
    rows: int = 28_860,
    settings: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Run:
    """A run whose folder bears its name and seed."""
    given: dict[str, Any] = {
        "folder": Path(f"runs/{name}_{seed}"),
        "model": name,
        "settings": {
            "data": "data/frappe-prepared",
            "output": f"runs/{name}_{seed}",
            "seed": seed,
            "model.name": name,
            "embedding.dim": 10,
            "machine.precision": "fp32",
            "machine.threads": None,
            **(settings or {}),
        },
        "parameters": 5_390,
        "schema_digest": "f9cb42d340d23052",
        "reports": {"valid": report(valid_auc, rows=57_722, positives=19_063), "test": report(auc, logloss, rows=rows)},
        "machine": ("device cpu", "precision fp32", "compile off", "threads 2"),
        "ranks": 1,
        "epochs": 14,
        "best_epoch": 12,
        "interrupted": False,
        "speeds": (10_000.0, 12_000.0, 13_000.0),
        "seconds": 41.0,
    }
    return Run(**{**given, **changes})


def field(seeds: Sequence[int] = SEEDS, spread: float = 0.0003) -> list[Run]:
    """Five seeds of each of MODELS."""
    draw = np.random.default_rng(1)
    return [
        run(
            name,
            seed,
            auc=auc + spread * draw.normal(),
            logloss=logloss + 8 * spread * draw.normal(),
            valid_auc=auc + 0.0004 + spread * draw.normal(),
            parameters=parameters,
            epochs=(epochs := int(draw.integers(12, 18))),
            best_epoch=epochs - 2,
            speeds=tuple(speed * draw.uniform(0.8, 1.0, epochs)),
            seconds=202_027 * epochs / speed,
        )
        for name, (auc, logloss, parameters, speed) in MODELS.items()
        for seed in seeds
    ]
