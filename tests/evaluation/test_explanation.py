"""What a model relies on: a known function, other implementations, and how often intervals hold the truth."""

import json
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss, roc_auc_score

from common.errors import ConfigError, DataError
from evaluation.estimate import PairedDifference
from evaluation.explanation.explanation import pair_name
from evaluation.explanation.rashomon import Candidate, RashomonSet, ranges
from evaluation.explanation.reliance import ModelRows
from evaluation.explanation.switched import draw_donors, switched_mean
from evaluation.metrics.paired import paired_by_row
from evaluation.undefined import UndefinedMetric
from tests.evaluation.made_explanation import LEVEL, Floats, Made, explanation


def _sigmoid(x: Floats) -> Floats:
    probabilities: Floats = 1 / (1 + np.exp(-x))
    return probabilities


@given(st.integers(2, 40), st.integers(1, 4), st.integers(0, 100))
def test_every_row_gives_to_another(rows: int, repeats: int, seed: int) -> None:
    donors = draw_donors(rows, repeats, seed)
    assert donors.shape == (repeats, rows)
    for donor in donors:
        assert sorted(donor) == list(range(rows))
        assert not (donor == np.arange(rows)).any()
    assert (donors == draw_donors(rows, repeats, seed)).all()


@pytest.mark.parametrize(
    ("rows", "repeats", "error", "words"),
    [(1, 1, DataError, "there are 1; give at least 2"), (5, 0, ConfigError, "at least 1, got 0")],
)
def test_there_must_be_rows_and_repeats(rows: int, repeats: int, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        draw_donors(rows, repeats, 0)


def test_reliance_is_the_loss_of_other_implementations() -> None:
    made = Made(500)
    rows = ModelRows(made.labels, made.logit(made.x), made.donors)
    assert rows.auc == pytest.approx(roc_auc_score(made.labels, made.logit(made.x)), abs=1e-12)
    assert rows.logloss == pytest.approx(log_loss(made.labels, _sigmoid(made.logit(made.x))), abs=1e-12)
    # Ties too.
    rounded = np.round(made.switched(made.logit, 0))
    found = rows.reliance("a", ("a",), rounded)
    aucs = [roc_auc_score(made.labels, logits) for logits in rounded]
    losses = [log_loss(made.labels, _sigmoid(logits)) for logits in rounded]
    assert found.auc_drop.value == pytest.approx(rows.auc - np.mean(aucs), abs=1e-12)
    assert found.logloss_rise.value == pytest.approx(np.mean(losses) - rows.logloss, abs=1e-12)


def test_a_feature_that_is_not_used_has_no_importance_and_no_doubt() -> None:
    found = {some.name: some for some in Made().explained("model").features}
    for estimate in (found["d"].auc_drop, found["d"].logloss_rise):
        assert estimate.value == 0
        assert estimate.interval is not None
        assert (estimate.interval.low, estimate.interval.high) == (0, 0)


def test_what_is_added_does_not_interact_and_what_is_multiplied_does() -> None:
    pairs = {pair_name(some): some for some in Made(20_000).explained("model").pairs}
    for name, pair in pairs.items():
        if name != "a \u00d7 c":
            assert pair.strength.value == 0
    product = pairs["a \u00d7 c"]
    # Of 0.7 a c, with independent a and c of variance 1, the whole variance needs both.
    assert product.strength.interval is not None
    assert product.strength.interval.holds(0.7)
    assert product.score.value < 0
    # Correlated and added: they stand in for one another, which the score takes for an interaction.
    assert pairs["a \u00d7 b"].score.interval is not None
    assert pairs["a \u00d7 b"].score.interval.low > 0


def test_rounding_is_no_interaction() -> None:
    made = Made(2000)

    def single(x: Floats) -> Floats:
        """A sum in float32, whose parts are far larger than the whole."""
        a, b = (x[:, i].astype(np.float32) for i in (0, 1))
        return np.asarray((a + np.float32(40)) + (b - np.float32(40)), np.float64)

    (strength,) = (
        some.strength for some in made.explained("m", single).pairs if (some.first, some.second) == ("a", "b")
    )
    assert strength.value == 0


def test_the_interval_of_receivers_alone_is_that_of_the_paired_test() -> None:
    """Where who gives makes no difference, rows are all there is, and one permutation is a comparison of two models."""
    draw = np.random.default_rng(2)
    labels = draw.random(4000) < 0.3
    before, after = draw.normal(-1, 1, 4000), draw.normal(-1, 1, 4000)
    donors = draw_donors(4000, 1, 0)
    found = ModelRows(labels, before, donors).reliance("x", ("x",), after[None]).logloss_rise
    expected = paired_by_row("logloss", labels, _sigmoid(after), _sigmoid(before))
    assert found.value == pytest.approx(expected.value, rel=1e-9)
    assert found.interval is not None
    assert expected.interval is not None
    width = found.interval.high - found.interval.low
    assert width == pytest.approx(expected.interval.high - expected.interval.low, rel=0.05)


def _coverage(rows: int, repeats: int, times: int, of_pair: Callable[[Floats, Floats], Floats], truth: float) -> float:
    """How often the interval of a mean over pairs holds the truth."""
    held = 0
    for seed in range(times):
        x = np.random.default_rng(seed).normal(size=rows)
        donors = draw_donors(rows, repeats, seed)
        interval = switched_mean(of_pair(x, x[donors]), donors, LEVEL).interval
        held += interval is not None and interval.holds(truth)
    return held / times


@pytest.mark.parametrize("repeats", [1, 5])
@pytest.mark.parametrize(
    ("of_pair", "truth"),
    [
        (lambda receiver, giver: (receiver - giver) ** 2, 2.0),  # both alike
        (
            lambda receiver, giver: np.exp(giver) + 0 * receiver,
            np.exp(0.5),
        ),  # the giver alone: a test of rows misses it
        (lambda receiver, giver: 1 + receiver + 3 * giver * receiver, 1.0),  # the two together
    ],
)
def test_intervals_hold_the_truth(repeats: int, of_pair: Callable[[Floats, Floats], Floats], truth: float) -> None:
    assert 0.9 < _coverage(300, repeats, 300, of_pair, truth) < 0.98


def test_more_permutations_narrow_an_interval_and_do_not_close_it() -> None:
    def width(repeats: int) -> float:
        found = Made(1000, repeats).explained("model").features[0].logloss_rise.interval
        assert found is not None
        return found.high - found.low

    assert 0.5 * width(1) < width(20) < 0.95 * width(1)


def test_a_constant_change_is_said_to_have_no_interval() -> None:
    donors = draw_donors(10, 2, 0)
    assert switched_mean(np.ones((2, 10)), donors, LEVEL) == PairedDifference(
        1.0, reason="all rows contribute alike, so nothing tells how far the value may be off"
    )


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_is_refused(label: int) -> None:
    with pytest.raises(UndefinedMetric, match=f"all 6 labels are {label}; choose another split, or more rows"):
        ModelRows(np.full(6, label), np.zeros(6), draw_donors(6, 1, 0))


def test_a_logit_that_is_not_finite_is_refused() -> None:
    with pytest.raises(DataError, match="logit nan in row 1"):
        ModelRows(np.array([0, 1]), np.array([0.0, np.nan]), draw_donors(2, 1, 0))


def test_models_near_the_best_are_kept() -> None:
    losses = {"a": 0.505, "b": 0.5, "c": 0.5051, "d": 0.6}
    found = RashomonSet(tuple(Candidate(name, "lr", name * 64, loss) for name, loss in losses.items()), 0.01)
    assert found.best == 0.5
    assert [some.name for some in found.kept] == ["a", "b"]
    assert found.excess(found.candidates[3]) == pytest.approx(0.2)
    for epsilon in (-1, np.inf, np.nan):
        with pytest.raises(ConfigError, match=f"epsilon must be finite and 0 or more, got {epsilon}"):
            RashomonSet(found.candidates, epsilon)


def test_ranges_come_in_the_order_of_what_matters() -> None:
    found = ranges(["small", "below", "large"], [[0.1, -0.5, 1.0], [0.3, -0.7, 2.0]])
    assert [some.name for some in found] == ["large", "below", "small"]
    assert (found[0].low, found[0].mean, found[0].high, found[0].spread) == (1.0, 1.5, 2.0, 1.0)


def test_ranges_are_of_the_models_that_are_as_good() -> None:
    some = explanation()
    assert [model.name for model in some.models] == ["seed-0", "seed-1", "seed-2", "seed-3"]
    product = some.strength_ranges[0]
    assert product.name == "a \u00d7 c"
    assert product.values == tuple(model.pairs[0].strength.value for model in some.models)
    assert (product.low, product.high) == (product.values[-1], product.values[0])
    reliance = {each.name: each.values for each in some.reliance_ranges}
    for model, *values in zip(some.models, *reliance.values(), strict=True):
        assert dict(zip(reliance, values, strict=True)) == {f.name: f.logloss_rise.value for f in model.features}
    assert some.score_ranges[0].name == "a \u00d7 b"


def test_json_is_strict_and_whole() -> None:
    document = json.loads(json.dumps(explanation().to_json_dict(), allow_nan=False))
    assert [some["name"] for some in document["model"]["features"]] == ["a", "b", "c", "d"]
    assert [some["kept"] for some in document["rashomon"]["models"]] == [True] * 4 + [False]
    assert np.array(document["attention"]["mean"]).shape == (2, 2, 4, 4)
    assert document["attention"]["rows"][0]["row"] == 17
