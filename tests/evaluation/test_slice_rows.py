"""Slices: each is judged on its own rows, and many of them together are not mistaken for findings."""

import numpy as np
import polars as pl
import pytest

from evaluation.interval import simultaneous
from evaluation.metrics.auc import auc
from evaluation.metrics.calibration import calibration_ratio
from evaluation.report.measure import evaluate
from evaluation.report.slice_rows import SliceRows, slice_table, spans
from evaluation.report.slices import SliceTable

RANDOM = np.random.default_rng(7)
ROWS = 4000
SCORES = RANDOM.random(ROWS)
LABELS = RANDOM.random(ROWS) < SCORES
VALUES = pl.Series(RANDOM.choice(["de", "fr", "es", "it"], ROWS, p=[0.5, 0.3, 0.15, 0.05]))


def _table(labels: np.ndarray = LABELS, chunks: int = 1, most: int | None = 100, memory_mb: int = 64) -> SliceTable:
    rows = SliceRows("country", memory_mb=memory_mb)
    for at in np.array_split(np.arange(ROWS), chunks):
        rows.update(VALUES[at], label=labels[at], score=SCORES[at])
    return slice_table(rows, evaluate(labels, SCORES), level=0.95, most=most)


def test_a_slice_is_judged_on_its_own_rows() -> None:
    table = _table()
    assert [some.value for some in table.slices] == ["de", "fr", "es", "it"]
    for some in table.slices:
        own = VALUES.eq(some.value).to_numpy()
        expected = auc(LABELS[own], SCORES[own])
        assert some.rows == own.sum()
        assert some.label_rate == LABELS[own].mean()
        assert some.mean_score == pytest.approx(SCORES[own].mean(), rel=1e-12)
        assert (some.metric("auc").value, some.metric("auc").interval) == (expected.value, expected.interval)
        together = auc(LABELS[own], SCORES[own], level=simultaneous(0.95, 4)).interval
        assert some.simultaneous["auc"] == together


@pytest.mark.parametrize("chunks", [2, 7, 400])
def test_chunks_change_nothing(chunks: int) -> None:
    assert _table(chunks=chunks) == _table()


def test_only_the_largest_are_judged_and_the_others_counted() -> None:
    table = _table(most=2)
    assert [some.value for some in table.slices] == ["de", "fr"]
    assert table.left_out == 2
    # Fewer slices, less allowance for chance.
    assert table.slices[0].simultaneous["auc"].low > _table().slices[0].simultaneous["auc"].low


def test_without_a_limit_slices_are_in_order() -> None:
    assert [some.value for some in _table(most=None).slices] == ["de", "es", "fr", "it"]


def test_a_slice_that_is_off_is_flagged_and_the_others_are_not() -> None:
    spoilt = (VALUES == "fr").to_numpy()
    labels = np.where(spoilt, np.random.default_rng(1).random(ROWS) < SCORES / 2, LABELS)
    table = _table(labels)
    assert {some.value: "calibration_ratio" in some.flagged for some in table.slices} == {
        "de": False, "fr": True, "es": False, "it": False,
    }  # fmt: skip
    own = next(some for some in table.slices if some.value == "fr")
    assert own.metric("calibration_ratio").value == calibration_ratio(labels[spoilt], SCORES[spoilt]).value


def test_a_slice_of_one_class_keeps_the_reason() -> None:
    table = _table(np.where((VALUES == "it").to_numpy(), False, LABELS))
    own = table.slices[-1]
    assert own.metric("auc").value is None
    assert "both classes" in (own.metric("auc").reason or "")
    assert own.metric("logloss").value is not None
    assert "auc" not in own.simultaneous


def test_slices_of_no_weight_are_not_there() -> None:
    rows = SliceRows("country")
    weights = (VALUES != "it").to_numpy().astype(np.float64)
    rows.update(VALUES, label=LABELS, score=SCORES, weight=weights)
    table = slice_table(rows, evaluate(LABELS, SCORES, weights=weights), level=0.95)
    assert [some.value for some in table.slices] == ["de", "fr", "es"]


def test_spans_of_time_sort_by_time() -> None:
    times = np.array([0, 3_599_999_999, 3_600_000_000, 86_400_000_000 * 4], np.int64)  # the fifth day is a Monday
    assert spans(times, "hour").to_list() == [
        "1970-01-01 00:00", "1970-01-01 00:00", "1970-01-01 01:00", "1970-01-05 00:00",
    ]  # fmt: skip
    assert spans(times, "day").to_list() == ["1970-01-01"] * 3 + ["1970-01-05"]
    assert spans(times, "week").to_list() == ["1969-12-29"] * 3 + ["1970-01-05"]
