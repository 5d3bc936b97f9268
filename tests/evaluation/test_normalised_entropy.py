"""Normalised entropy: the logloss over the entropy of the rate."""

import math

import numpy as np
import pytest

from evaluation.metrics.logloss import logloss
from evaluation.metrics.normalised_entropy import normalised_entropy, normalised_entropy_of
from evaluation.state.score_distribution import ScoreDistribution
from evaluation.undefined import UndefinedMetric


def test_predicting_the_rate_gives_one_and_better_predictions_less() -> None:
    labels = np.array([1, 0, 0, 0])
    constant = normalised_entropy(labels, np.full(4, 0.25))
    assert constant.value == pytest.approx(1, rel=1e-15)
    entropy = -0.25 * math.log(0.25) - 0.75 * math.log(0.75)
    better = normalised_entropy(labels, np.array([0.5, 0.25, 0.25, 0.25]))
    assert better.value == pytest.approx((math.log(2) + 3 * math.log(4 / 3)) / 4 / entropy, rel=1e-14)
    assert better.detail["relative_information_gain"] == 1 - better.value


def test_weights_weigh_the_rate_too() -> None:
    labels, scores, weights = np.array([1, 0, 0]), np.array([0.5, 0.25, 0.25]), np.array([1.0, 2.0, 1.0])
    repeated = normalised_entropy([1, 0, 0, 0], np.array([0.5, 0.25, 0.25, 0.25]))
    assert normalised_entropy(labels, scores, weights).value == pytest.approx(repeated.value, rel=1e-14)
    plain, equal = normalised_entropy(labels, scores), normalised_entropy(labels, scores, np.full(3, 0.1))
    assert plain.interval is not None
    assert equal.interval is not None
    assert equal.interval.low == pytest.approx(plain.interval.low, rel=1e-12)


def test_interval_is_as_wide_as_the_value_scatters() -> None:
    random = np.random.default_rng(6)
    population = random.beta(0.5, 20, 100_000)
    entropy_of = population.mean()
    entropy = -entropy_of * math.log(entropy_of) - (1 - entropy_of) * math.log1p(-entropy_of)
    truth = float(-(population * np.log(population) + (1 - population) * np.log1p(-population)).mean() / entropy)
    held = 0
    for _ in range(300):
        scores = random.choice(population, 4_000)
        interval = normalised_entropy(random.random(4_000) < scores, scores).interval
        assert interval is not None
        held += interval.holds(truth)
    assert 275 <= held <= 296


def test_clipping_is_that_of_the_logloss() -> None:
    labels, scores = np.array([1, 0]), np.array([0.0, 0.5], np.float32)
    assert normalised_entropy(labels, scores).value == pytest.approx(
        logloss(labels, scores).value / math.log(2), rel=1e-14
    )


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_has_no_entropy(label: int) -> None:
    with pytest.raises(UndefinedMetric) as caught:
        normalised_entropy([label] * 3, np.full(3, 0.5))
    assert str(caught.value) == f"normalised_entropy needs rows of both classes, but all 3 labels are {label}"
    # The other class is there, but its weight is 0.
    with pytest.raises(UndefinedMetric, match="all 3 labels are"):
        normalised_entropy([label] * 3 + [1 - label], np.full(4, 0.5), [1, 1, 1, 0])


def test_scores_that_are_no_probabilities() -> None:
    with pytest.raises(UndefinedMetric, match=r"needs probabilities from 0 to 1, but scores go from 0\.5 to 2\.0"):
        normalised_entropy_of(ScoreDistribution.of([0, 1], np.array([2.0, 0.5])))
