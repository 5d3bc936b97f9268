"""Counterfactual estimates: by hand, on simulated logs whose truth is known, and merged."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from common.errors import ConfigError, DataError
from evaluation.counterfactual.doubly_robust import doubly_robust, doubly_robust_of
from evaluation.counterfactual.ips import ips, ips_of
from evaluation.counterfactual.logged_rows import LoggedRows
from evaluation.counterfactual.report import counterfactual, counterfactual_of
from evaluation.counterfactual.snips import snips
from evaluation.estimate import Estimate
from evaluation.undefined import UndefinedMetric

LABELS = np.array([1, 0, 1, 0])
LOGGED = np.array([0.5, 0.25, 0.25, 0.5])
TARGET = np.array([0.25, 0.5, 0.25, 0.0])
# So the weights are 1/2, 2, 1, 0.
PREDICTED, PREDICTED_TARGET = np.array([0.5, 0.25, 0.5, 0.5]), np.array([0.25, 0.5, 0.25, 0.5])
ITEMS = 5
RATES = np.array([0.05, 0.2, 0.5, 0.7, 0.9])


def _ends(estimate: Estimate) -> tuple[float, float]:
    assert estimate.interval is not None
    return estimate.interval.low, estimate.interval.high


def _reach(contributions: Any) -> Any:
    return 1.959963984540054 * np.std(contributions, ddof=1) / np.sqrt(len(contributions))


def test_ips_by_hand() -> None:
    found = ips(LABELS, LOGGED, TARGET)
    assert found.value == pytest.approx(1.5 / 4)
    factor = np.exp(_reach([0.5, 0, 1, 0]) / (1.5 / 4))
    assert _ends(found) == pytest.approx((1.5 / 4 / factor, 1.5 / 4 * factor))


def test_snips_by_hand() -> None:
    found = snips(LABELS, LOGGED, TARGET)
    assert found.value == pytest.approx(1.5 / 3.5)
    residuals = np.array([0.5, 0, 1, 0]) - 1.5 / 3.5 * np.array([0.5, 2, 1, 0])
    middle, reach = np.log(1.5 / 2), _reach(residuals * 4 / 3.5) / (1.5 / 3.5 * 2 / 3.5)
    assert _ends(found) == pytest.approx(tuple(1 / (1 + np.exp(-middle - side * reach)) for side in (-1, 1)))


def test_doubly_robust_by_hand() -> None:
    found = doubly_robust(LABELS, LOGGED, TARGET, PREDICTED, PREDICTED_TARGET)
    parts = [0.25 + 0.5 * 0.5, 0.5 - 2 * 0.25, 0.25 + 1 * 0.5, 0.5]
    assert found.value == pytest.approx(sum(parts) / 4)
    assert _ends(found) == pytest.approx((sum(parts) / 4 - _reach(parts), sum(parts) / 4 + _reach(parts)))


def test_report_by_hand() -> None:
    report = counterfactual(LABELS, LOGGED, TARGET, clip=1)
    assert (report.rows, report.clipped, report.clip) == (4, 1, 1)
    assert report.logged_rate.value == 0.5
    assert report.mean_weight.value == 3.5 / 4
    assert report.effective_rows == pytest.approx(2.5**2 / 2.25)
    assert report.effective_clicks == pytest.approx(1.5**2 / 1.25)
    assert report.largest_share == pytest.approx(1 / 2.5)
    assert {name: estimate.value for name, estimate in report.estimates.items()} == pytest.approx(
        {"ips": 1.5 / 4, "snips": 1.5 / 2.5}
    )
    assert report.warnings == (
        "The estimates rest on 1.8 effective clicks; below 30 their intervals are rough.",
        "1 of 4 weights were cut down to 1: the estimates lean away from what those rows tell, and the intervals do "
        "not know it.",
    )
    document = report.to_json_dict()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert document["estimates"]["ips"]["interval"]["method"] == "variance of rows, log"
    assert [row[:2] for row in report.table_rows()] == [
        ("rows", "4"),
        ("logged_rate", "0.50000"),
        ("ips", "0.37500"),
        ("snips", "0.60000"),
        ("effective_rows", "3"),
        ("effective_clicks", "1.8"),
        ("mean_weight", "0.87500"),
        ("largest_share", "0.40000"),
        ("clipped", "1"),
    ]


def test_the_logging_policy_itself_gets_its_own_rate() -> None:
    labels = np.arange(1_000) % 5 == 0
    report = counterfactual(labels, np.full(1_000, 0.1, np.float32), np.full(1_000, 0.1))
    assert report.estimates["ips"].value == pytest.approx(0.2)
    assert report.estimates["snips"].value == pytest.approx(0.2, rel=1e-14)
    assert report.effective_rows == pytest.approx(1_000)
    assert report.warnings == ()


def _simulate(random: np.random.Generator, rows: int = 1_500) -> tuple[dict[str, Any], float]:
    """A log of a context-dependent policy, and what the target policy would have been clicked."""
    logging, target = (random.dirichlet(np.full(ITEMS, shape), rows) * 0.9 + 0.1 / ITEMS for shape in (1.0, 2.0))
    shown = (logging.cumsum(axis=1) > random.random((rows, 1))).argmax(axis=1)
    each = np.arange(rows)
    log = {
        "labels": random.random(rows) < RATES[shown],
        "propensities": logging[each, shown],
        "target_probabilities": target[each, shown],
        "predicted": RATES[shown],
        "predicted_target": target @ RATES,
    }
    return log, float(RATES.mean())


def test_estimates_are_unbiased_and_intervals_hold_the_truth_as_often_as_they_say() -> None:
    random = np.random.default_rng(2)
    values: dict[str, list[float]] = {"ips": [], "snips": [], "doubly_robust": []}
    held = dict.fromkeys(values, 0)
    for _ in range(400):
        log, truth = _simulate(random)
        for name, estimate in counterfactual(**log).estimates.items():
            assert estimate.interval is not None
            values[name].append(estimate.value)
            held[name] += estimate.interval.holds(truth)
    for name, found in values.items():
        assert abs(np.mean(found) - truth) < 3.5 * np.std(found) / 20
        assert 364 <= held[name] <= 394
    # A right model takes variance away.
    assert np.std(values["doubly_robust"]) < 0.85 * np.std(values["ips"])


def test_intervals_from_few_clicks_hold_the_truth() -> None:
    # About 10 clicks. Symmetric intervals of ips and snips lay too low, and held it in 90 %.
    random = np.random.default_rng(8)
    x = np.linspace(-1, 1, 10)
    logged, target = (np.exp(slope * x) / np.exp(slope * x).sum() for slope in (-0.3, 1.0))
    rates = 0.005 * np.exp(x / 2)
    truth, held = float(target @ rates), {"ips": 0, "snips": 0}
    for _ in range(600):
        shown = random.choice(10, 2_000, p=logged)
        log = LoggedRows.of(random.random(2_000) < rates[shown], logged[shown], target[shown])
        for name, estimate in counterfactual_of(log).estimates.items():
            held[name] += estimate.interval is not None and estimate.interval.holds(truth)
    assert min(held.values()) >= 0.93 * 600, held


def test_doubly_robust_is_right_where_only_one_of_its_halves_is() -> None:
    random = np.random.default_rng(7)
    log, truth = _simulate(random, 200_000)
    wrong_model = {**log, "predicted": 0.9 * np.ones(200_000), "predicted_target": 0.9 * np.ones(200_000)}
    wrong_propensities = {**log, "propensities": np.minimum(log["propensities"] * 1.7, 1)}
    for altered in (wrong_model, wrong_propensities):
        assert doubly_robust(**altered).value == pytest.approx(truth, abs=0.01)
    without = {key: value for key, value in wrong_propensities.items() if not key.startswith("predicted")}
    assert abs(ips(**without).value - truth) > 0.05


@pytest.mark.parametrize("splits", [[700], [1], [3, 800, 801, 1_400]])
def test_chunks_merge_in_any_order(splits: list[int]) -> None:
    log, _ = _simulate(np.random.default_rng(11))
    whole = LoggedRows.of(**log, clip=3)
    parts = [LoggedRows.of(**chunk, clip=3) for chunk in _chunks(log, splits)]
    for order in (parts, parts[::-1]):
        merged = LoggedRows(clip=3)
        for part in order:
            merged.merge(part)
        _assert_same(merged, whole)
    streamed = LoggedRows(clip=3)
    for chunk in _chunks(log, splits):
        streamed.update(**chunk)
    _assert_same(streamed, whole)
    assert sum(part.rows for part in parts) == 1_500


def _chunks(log: dict[str, Any], splits: list[int]) -> list[dict[str, Any]]:
    cut = {key: np.split(value, splits) for key, value in log.items()}
    return [{key: values[number] for key, values in cut.items()} for number in range(len(splits) + 1)]


def _assert_same(found: LoggedRows, expected: LoggedRows) -> None:
    left, right = counterfactual_of(found), counterfactual_of(expected)
    assert (left.rows, left.clipped) == (right.rows, right.clipped)
    assert left.clipped > 0
    assert (left.effective_rows, left.largest_share) == pytest.approx((right.effective_rows, right.largest_share))
    assert list(left.estimates) == ["ips", "snips", "doubly_robust"]
    for name, estimate in left.estimates.items():
        assert estimate.value == pytest.approx(right.estimates[name].value, rel=1e-12)
        assert _ends(estimate) == pytest.approx(_ends(right.estimates[name]), rel=1e-12)


def test_a_spread_far_below_the_value_keeps_its_digits() -> None:
    # Weights are 1 but for a billionth: sums of squares less the square of the sum would leave nothing of it.
    random = np.random.default_rng(1)
    target = 0.5 + 5e-10 * random.standard_normal(1_000)
    log = LoggedRows.of(np.ones(1_000), np.full(1_000, 0.5), target)
    low, high = _ends(ips_of(log))
    assert high - low == pytest.approx(2 * 1.959963984540054 * (2 * target).std(ddof=1) / np.sqrt(1_000), rel=1e-4)


def test_warnings_of_weights_that_cannot_be_trusted() -> None:
    labels = np.ones(1_000)
    far = counterfactual(labels, np.full(1_000, 0.1), np.where(np.arange(1_000) < 10, 1.0, 1e-4))
    assert any("make 1,000 rows worth 10 (1.0%): the target policy is far" in warning for warning in far.warnings)
    # The log's policy never shows what the target policy shows half of the time.
    missing = counterfactual(labels, np.full(1_000, 0.5), np.full(1_000, 0.25))
    assert missing.warnings == (
        "The mean weight is 0.5000 where 1 is due: the propensities are wrong, or the target policy would show what "
        "the log's policy never does.",
    )
    random = np.random.default_rng(0)
    wrong = counterfactual(labels, np.full(1_000, 0.5), random.uniform(0.5, 0.7, 1_000))
    assert [warning[:18] for warning in wrong.warnings] == ["The mean weight is"]


def test_without_spread_there_is_no_interval() -> None:
    reason = "all rows contribute alike, so nothing tells how far the value may be off"
    for found in (
        ips([1], np.array([0.5]), np.array([0.5])),
        ips([0, 0], np.array([0.5, 0.2]), np.array([0.5, 0.7])),
        snips([1, 1, 1], np.array([0.5, 0.2, 0.3]), np.array([0.5, 0.7, 0.1])),
        # Equal up to rounding.
        ips([1] * 7, np.full(7, 0.3), np.full(7, 0.1)),
        snips(np.ones(1_000), np.full(1_000, 0.3), np.random.default_rng(0).random(1_000)),
    ):
        assert (found.interval, found.reason) == (None, reason)


@pytest.mark.parametrize("estimator", [ips, snips, counterfactual])
def test_no_support_is_undefined(estimator: Callable[..., Any]) -> None:
    with pytest.raises(UndefinedMetric, match="needs a row that the target policy could have shown, but all 2 target"):
        estimator([0, 1], np.array([0.5, 0.5]), np.zeros(2))
    with pytest.raises(UndefinedMetric, match="probabilities are 0 or next to it"):
        estimator([0, 1], np.array([0.5, 0.5]), np.full(2, 1e-200))
    with pytest.raises(UndefinedMetric, match="needs a logged row, and there is none"):
        counterfactual_of(LoggedRows())


HALF = np.array([0.5, 0.5])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ([0, 1], np.array([0.5, 0.0]), HALF),
            "propensity 0.0 in row 1 (counted from 0) is not above 0 and up to 1; log the probability",
        ),
        (
            ([0, 1], np.array([1.5, 0.5]), HALF),
            "propensity 1.5 in row 0 (counted from 0) is not above 0 and up to 1; log the probability",
        ),
        (
            ([0, 1], HALF, np.array([0.5, -0.1])),
            "target probability -0.1 in row 1 (counted from 0) is outside 0 to 1; divide by the sum",
        ),
        (
            ([0, 1], HALF, np.array([0.5, np.nan])),
            "target probability value nan in row 1 (counted from 0) is not finite; mend the model or the file it comes "
            "from",
        ),
        (([0, 1], HALF[:1], HALF), "propensity values have 1 rows but labels have 2; give both for the same rows"),
        (
            ([0, 1], np.array([0.5, 1e-320]), HALF),
            "propensity 1e-320 in row 1 (counted from 0) makes a weight too great to compute with; mend the log",
        ),
        (
            ([0, 1], HALF, HALF, HALF, np.array([0.5, -1e300])),
            "predicted target value -1e+300 in row 1 (counted from 0) is too great to compute with; give probabilities",
        ),
        (
            ([0, 1], HALF, HALF, HALF),
            "give both predictions, of the logged and of the target policy's candidates, with all rows or none",
        ),
    ],
)
def test_bad_rows(arguments: Any, message: str) -> None:
    with pytest.raises(DataError) as caught:
        counterfactual(*arguments)
    assert str(caught.value) == message


def test_states_that_do_not_fit_together_stay_as_they_are() -> None:
    with_model = LoggedRows.of(LABELS, LOGGED, TARGET, PREDICTED, PREDICTED_TARGET)
    before = doubly_robust_of(with_model)
    with pytest.raises(DataError, match="give both predictions"):
        with_model.merge(LoggedRows.of(LABELS, LOGGED, TARGET))
    with pytest.raises(DataError, match="give both predictions"):
        with_model.update(LABELS, LOGGED, TARGET)
    with pytest.raises(ConfigError, match="rows clipped to None and to 2 cannot be joined; clip both alike"):
        with_model.merge(LoggedRows(clip=2))
    assert doubly_robust_of(with_model) == before
    with pytest.raises(DataError, match="doubly_robust needs a reward model's predictions for each row"):
        doubly_robust_of(LoggedRows.of(LABELS, LOGGED, TARGET))
    with pytest.raises(ConfigError, match="weights can be clipped to a number above 0, got 0"):
        LoggedRows(clip=0)


def test_a_wrong_value_is_counted_among_all_rows_given() -> None:
    log = LoggedRows.of([0, 1], np.array([0.5, 0.5]), np.array([0.5, 0.5]))
    with pytest.raises(DataError, match=r"propensity 0\.0 in row 3 "):
        log.update([0, 1], np.array([0.5, 0.0]), np.array([0.5, 0.5]))
    assert log.rows == 2
