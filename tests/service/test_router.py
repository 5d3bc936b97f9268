"""The router: exact, stable, independent between salts, monotone."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import ConfigError
from service.router import Router, parse_shares

_HUNDRED = [str(i) for i in range(100)]
_UNITS = [f"user-{i}" for i in range(20_000)]
# Chi-square with 9 degrees of freedom exceeds this once in a million times.
_LIMIT = 44.8


@pytest.mark.parametrize(
    ("salt", "unit", "percentile"),
    [
        # printf '\0\0\0\0\0\0\0\010plexranku1' | sha256sum: 357613efedafdd13... is 20.88 % of 2**64.
        ("plexrank", "u1", "20"),
        ("plexrank", "u2", "99"),
        ("plexrank", "7", "66"),
        ("plexrank", "", "55"),
        ("plexrank", "Zoë 🚲", "80"),
        ("plexrank", "車", "17"),
        ("other", "u1", "78"),
        ("", "plexrank", "24"),
        ("plexran", "ku1", "83"),
    ],
)
def test_golden_vectors(salt: str, unit: str, percentile: str) -> None:
    assert Router(_HUNDRED, [1] * 100, salt=salt).pick(unit) == percentile


@pytest.mark.parametrize("weights", [[1] * 10, [2**70] * 10])
def test_equal_weights_split_equally(weights: list[int]) -> None:
    router = Router(_HUNDRED[:10], weights, salt="plexrank")
    counts = np.array(list(Counter(map(router.pick, _UNITS)).values()))
    expected = len(_UNITS) / 10
    assert ((counts - expected) ** 2 / expected).sum() < _LIMIT


def test_unequal_weights_split_in_proportion() -> None:
    router = Router(["a", "b", "c"], [1, 0, 9], salt="plexrank")
    counts = Counter(map(router.pick, _UNITS))
    assert counts["b"] == 0
    assert abs(counts["a"] - 2000) < 5 * np.sqrt(20_000 * 0.1 * 0.9)
    assert router.shares == {"a": 10, "b": 0, "c": 90}


def test_salts_split_independently() -> None:
    """Neighbouring salts, since that is how layers get named."""
    names = ["a", "b", "c", "d"]
    arms = [
        np.array([names.index(router.pick(unit)) for unit in _UNITS])
        for router in (Router(names, [1] * 4, salt=f"layer-{i}") for i in range(6))
    ]
    for one, other in itertools.combinations(arms, 2):
        table = np.bincount(4 * one + other, minlength=16).reshape(4, 4)
        expected = table.sum(1, keepdims=True) * table.sum(0, keepdims=True) / len(_UNITS)
        assert ((table - expected) ** 2 / expected).sum() < _LIMIT


@given(
    unit=st.text(st.characters(exclude_categories=["Cs"])),
    shares=st.lists(st.integers(0, 1000), min_size=2, max_size=2),
    scale=st.sampled_from([1, 10, 3, 10**9]),
)
def test_raising_a_share_moves_nobody_out_of_it(unit: str, shares: list[int], scale: int) -> None:
    """Whatever whole the weights are parts of: 50 of 100 is 500 of 1,000."""
    low, high = sorted(shares)
    before = Router(["control", "treatment"], [1000 - low, low], salt="ramp")
    after = Router(["control", "treatment"], [scale * (1000 - high), scale * high], salt="ramp")
    assert (before.pick(unit), after.pick(unit)) != ("treatment", "control")
    if low == high:
        assert before.pick(unit) == after.pick(unit)


@pytest.mark.parametrize("weights", [[1], [1, 1, 1], [], [1, -1], [0, 0]])
def test_bad_weights_are_refused(weights: list[int]) -> None:
    with pytest.raises(ConfigError, match="share"):
        Router(["a", "b"], weights, salt="plexrank")


def test_shares_are_exact_decimals() -> None:
    assert parse_shares("50,50", 2) == (50_000_000, 50_000_000)
    assert parse_shares("99.999999, 0.000001", 2) == (99_999_999, 1)
    assert parse_shares("33.3,33.3,33.4", 3) == (33_300_000, 33_300_000, 33_400_000)
    assert parse_shares("100,0", 2) == (100_000_000, 0)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("50", "has 1 of the 2 percentages; give one a variant"),
        ("50,40", "sums to 90;"),
        ("50,50.5", "sums to 100.5;"),
        ("150,-50", "'150' is no percentage"),
        ("50,fifty", "'fifty' is no percentage"),
        ("50,", "'' is no percentage"),
        ("nan,50", "'nan' is no percentage"),
        ("inf,50", "'inf' is no percentage"),
        ("99.9999999,0.0000001", "'99.9999999' is no percentage"),
        ("1e999999999,50", "is no percentage"),
    ],
)
def test_bad_shares_are_refused(text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        parse_shares(text, 2)
