"""AUC against its definition over all pairs, and against scikit-learn."""

from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from evaluation._counts import exact_sum
from evaluation.auc import auc
from evaluation.undefined import UndefinedMetric

TINY32, TINY64 = float(np.finfo(np.float32).smallest_subnormal), 5e-324
TIED = st.sampled_from([-1e30, -1.0, -TINY32, -0.0, 0.0, TINY32, 0.25, 1.0, 1e30])
SCORES = {
    np.float32: TIED | st.floats(allow_nan=False, allow_infinity=False, width=32),
    np.float64: TIED | st.just(TINY64) | st.floats(allow_nan=False, allow_infinity=False),
}


@st.composite
def predictions(draw: st.DrawFn) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any]]:
    """Labels of both classes and scores with many ties, in either precision."""
    dtype = draw(st.sampled_from(list(SCORES)))
    positives, negatives = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    labels = draw(st.permutations([1] * positives + [0] * negatives))
    values = draw(st.lists(SCORES[dtype], min_size=len(labels), max_size=len(labels)))
    return np.array(labels), np.array(values, dtype)


def auc_by_definition(labels: npt.NDArray[np.int64], scores: npt.NDArray[Any]) -> Fraction:
    """The share of ordered pairs, one pair at a time."""
    positives = [float(s) for s, y in zip(scores, labels, strict=True) if y]
    negatives = [float(s) for s, y in zip(scores, labels, strict=True) if not y]
    won = sum(Fraction((p > n) + (p >= n), 2) for p in positives for n in negatives)
    return Fraction(won) / (len(positives) * len(negatives))


@given(predictions())
def test_auc_is_the_float_nearest_to_its_definition(data: tuple[npt.NDArray[np.int64], npt.NDArray[Any]]) -> None:
    assert auc(*data) == float(auc_by_definition(*data))


@given(predictions(), st.randoms(use_true_random=False))
def test_auc_does_not_depend_on_the_order_of_rows(
    data: tuple[npt.NDArray[np.int64], npt.NDArray[Any]], random: Any
) -> None:
    labels, scores = data
    order = random.sample(range(labels.size), labels.size)
    assert auc(labels[order], scores[order]) == auc(labels, scores)


@given(predictions())
def test_auc_of_swapped_classes_and_of_negated_scores(
    data: tuple[npt.NDArray[np.int64], npt.NDArray[Any]],
) -> None:
    labels, scores = data
    exact = auc_by_definition(labels, scores)
    assert auc(1 - labels, scores) == auc(labels, -scores) == float(1 - exact)


@given(predictions())
def test_auc_depends_on_nothing_but_the_order_of_scores(
    data: tuple[npt.NDArray[np.int64], npt.NDArray[Any]],
) -> None:
    labels, scores = data
    ranks = np.unique(scores, return_inverse=True)[1]
    for monotone in (ranks.astype(np.float32), np.cbrt(ranks - 7.5), 3.0 * ranks**3 - 1e6):
        assert auc(labels, monotone) == auc(labels, scores)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("label_rate", [0.01, 0.5, 0.97])
@pytest.mark.parametrize("distinct", [3, 200, 10**9])
def test_auc_agrees_with_scikit_learn(dtype: type, label_rate: float, distinct: int) -> None:
    random = np.random.default_rng([distinct, int(100 * label_rate)])
    labels = random.random(5_000) < label_rate
    scores: npt.NDArray[Any] = (random.integers(0, distinct, labels.size) / distinct + 0.2 * labels).astype(dtype)
    assert auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


@pytest.mark.parametrize("positives", [1, 5, 500, 995, 999])
@pytest.mark.parametrize("seed", range(3))
def test_equal_scores_give_one_half_in_any_order_of_rows(positives: int, seed: int) -> None:
    # torchrec 1.8.0 walks the curve row by row here, and answers anything from 0 to 1.
    labels = np.random.default_rng(seed).permutation(np.arange(1_000) < positives)
    assert auc(labels, np.full(1_000, 0.3, np.float32)) == 0.5
    assert auc(np.sort(labels), np.full(1_000, 0.3)) == 0.5
    assert auc(np.sort(labels)[::-1], np.full(1_000, 0.3)) == 0.5


@pytest.mark.parametrize(
    ("negative", "positive", "expected"),
    [
        (-0.0, 0.0, 0.5),
        (0.0, -0.0, 0.5),
        (0.0, TINY64, 1.0),
        (-TINY64, -0.0, 1.0),
        (1.0, np.nextafter(1.0, 2.0), 1.0),
        (-1e308, 1e308, 1.0),
    ],
)
def test_neighbouring_scores(negative: float, positive: float, expected: float) -> None:
    assert auc([0, 1], np.array([negative, positive])) == expected
    assert auc([1, 0], np.array([negative, positive])) == 1 - expected


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint8, np.int64, np.uint64, np.float16, np.float32, np.float64])
def test_labels_of_any_number_type(dtype: type) -> None:
    scores = np.array([0.1, 0.4, 0.35, 0.8])
    assert auc(np.array([0, 0, 1, 1], dtype), scores) == 0.75


def test_inputs_are_left_as_they_were() -> None:
    labels, scores = np.array([1, 0, 1, 0]), np.array([0.9, 0.8, 0.1, 0.2])
    auc(labels, scores)
    assert labels.tolist() == [1, 0, 1, 0]
    assert scores.tolist() == [0.9, 0.8, 0.1, 0.2]


@pytest.mark.parametrize(("lower", "expected"), [(0, 1.0), (1, 1 - 1 / 10**10)])
def test_pairs_beyond_32_bits_are_counted_to_the_last_one(lower: int, expected: float) -> None:
    labels = np.repeat([0, 1], 100_000)
    scores = np.arange(200_000, dtype=np.float64)
    # Swaps the best negative with the worst positive: one pair of the 10**10 is lost.
    scores[99_999], scores[100_000] = 99_999 + lower, 100_000 - lower
    assert auc(labels, scores) == expected


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_has_no_auc(label: int) -> None:
    with pytest.raises(UndefinedMetric) as caught:
        auc([label] * 3, np.array([0.1, 0.2, 0.3]))
    assert str(caught.value) == f"auc needs rows of both classes, but all 3 labels are {label}"


@pytest.mark.parametrize("largest", [1, 7, 2**61, 2**62, 2**63 - 1])
def test_sums_beyond_64_bits_are_exact(largest: int) -> None:
    assert exact_sum(np.full(11, largest, np.int64), largest) == 11 * largest
    assert exact_sum(np.array([0, largest, 1]), largest) == largest + 1
    assert exact_sum(np.array([], np.int64), largest) == 0
