"""The evaluator: every part of an evaluation, whatever the chunks, the order and the memory."""

import dataclasses
from typing import Any

import numpy as np
import polars as pl
import pytest

from common.errors import ConfigError, DataError
from evaluation.report.comparer import Comparer
from evaluation.report.evaluation import Evaluation
from evaluation.report.evaluator import Evaluator, Wanted
from evaluation.rows.columns import Columns
from evaluation.rows.rows import Rows

COLUMNS = Columns(group="user", request="request", weight=None, time="at", slices=("country",))


def _rows(rows: int, models: int = 1) -> Rows:
    random = np.random.default_rng(2)
    truth = random.beta(1, 6, rows)
    return Rows(
        labels=random.random(rows) < truth,
        scores=tuple(np.clip(truth + random.normal(0, 0.05, rows), 0.001, 0.999) for _ in range(models)),
        groups=random.integers(0, rows // 30, rows),
        requests=np.arange(rows) // 5,
        weights=None,
        times=np.arange(rows) * (30 * 86_400_000_000 // rows),
        slices={"country": pl.Series(random.choice(["de", "fr", "es"], rows))},
        others={},
    )


def _permuted(rows: Rows, order: np.ndarray[Any, Any]) -> Rows:
    assert rows.groups is not None
    assert rows.requests is not None
    assert rows.times is not None
    return dataclasses.replace(
        rows,
        labels=rows.labels[order],
        scores=tuple(scores[order] for scores in rows.scores),
        groups=rows.groups[order],
        requests=rows.requests[order],
        times=rows.times[order],
        slices={name: values[order] for name, values in rows.slices.items()},
    )


def _evaluated(rows: Rows, wanted: Wanted, chunk: int) -> Evaluation:
    evaluator = Evaluator(COLUMNS, wanted)
    for start in range(0, len(rows), chunk):
        evaluator.update(rows.part(start, start + chunk))
    return evaluator.evaluation("made up")


@pytest.mark.slow
def test_memory_chunks_and_order_change_no_bit() -> None:
    """With a budget of 6 MiB each state has 1, and 400,000 rows of 9 bytes and more go to files."""
    rows = _rows(400_000)
    expected = _evaluated(rows, Wanted(replicates=10), chunk=len(rows))
    spilled = _evaluated(
        _permuted(rows, np.random.default_rng(0).permutation(len(rows))),
        Wanted(replicates=10, memory_mb=6),
        chunk=30_011,
    )
    assert spilled == expected


def test_every_part_is_there() -> None:
    found = _evaluated(_rows(3000), Wanted(replicates=10, k=3), chunk=1000)
    assert {"gauc", "ndcg@3", "mrr", "hit_rate@3", "ece"} <= {metric.name for metric in found.report.metrics}
    interval = found.report.metric("auc").interval
    assert interval is not None
    assert "bootstrap" in interval.method
    assert [table.column for table in found.slices] == ["country"]
    assert found.times is not None
    assert len(found.times.slices) == 30
    assert found.curves.roc is not None


def test_progress_counts_rows() -> None:
    evaluator = Evaluator(COLUMNS, Wanted(replicates=10))
    evaluator.update(_rows(3000))
    seen: dict[str, list[tuple[int, int]]] = {}
    evaluator.evaluation("made up", lambda phase, done, total: seen.setdefault(phase, []).append((done, total)))
    assert seen.keys() == {"resample", "measure", "by country", "by at"}
    assert seen.pop("measure") == [(done, 14) for done in range(1, 15)]
    assert all(steps[-1] == (3000, 3000) for steps in seen.values())


def test_without_rows_there_is_nothing_to_say() -> None:
    with pytest.raises(DataError, match="no rows"):
        Evaluator(Columns(), Wanted()).evaluation("made up")
    with pytest.raises(DataError, match="no rows"):
        Comparer(["a", "b"], Columns(), Wanted(), live=0).comparison()


def test_a_comparison_does_not_depend_on_chunks() -> None:
    rows = _rows(3000, models=3)
    found = []
    for chunk in (3000, 700):
        comparer = Comparer(["a", "b", "c"], COLUMNS, Wanted(replicates=10), live=0)
        for start in range(0, len(rows), chunk):
            comparer.update(rows.part(start, start + chunk))
        found.append(comparer.comparison())
    assert found[0] == found[1]


def test_rows_without_weight_are_no_rows() -> None:
    rows = dataclasses.replace(_rows(60), weights=np.zeros(60))
    evaluator = Evaluator(dataclasses.replace(COLUMNS, weight="w"), Wanted())
    evaluator.update(rows)
    with pytest.raises(DataError, match="no row has a weight above 0"):
        evaluator.evaluation("nothing")


def test_progress_ends_with_all_of_what_is_judged() -> None:
    seen: dict[str, tuple[int, int]] = {}
    evaluator = Evaluator(COLUMNS, Wanted(most_slices=2))
    evaluator.update(_rows(600))
    evaluator.evaluation("a model", lambda phase, done, total: seen.update({phase: (done, total)}))
    assert {"by country", "by at"} <= set(seen)
    assert all(done == total for done, total in seen.values())


def test_a_wrong_level_is_refused_before_any_row() -> None:
    with pytest.raises(ConfigError, match="between 0 and 1, got 95"):
        Wanted(level=95)
