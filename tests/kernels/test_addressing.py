"""Addressing: golden vectors, NumPy equal to torch, uniform and independent slots."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from common.mixing import mix64
from kernels.addressing import (
    MAX_ROWS,
    Slot,
    fastrange32_numpy,
    mix64_torch,
    rows_numpy,
    rows_torch,
    slot_seed,
    slot_tensor,
)

INT64 = st.integers(-(2**63), 2**63 - 1)


def splitmix64_finaliser(x: int) -> int:
    """The finaliser in Python's unbounded integers, straight from its definition."""
    mask = 2**64 - 1
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & mask
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & mask
    return x ^ (x >> 31)


def test_mix64_golden_vectors() -> None:
    # The first outputs of splitmix64 seeded with 0 and 1: its finaliser on the golden-gamma increments.
    gamma = 0x9E3779B97F4A7C15
    assert [splitmix64_finaliser(gamma), splitmix64_finaliser(2 * gamma % 2**64)] == [
        0xE220A8397B1DCDAF,
        0x6E789E6AA1B965F4,
    ]
    x = np.array([gamma, 2 * gamma % 2**64], dtype=np.uint64)
    assert mix64(x).tolist() == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4]


@given(st.lists(INT64, min_size=1, max_size=20))
def test_numpy_and_torch_mix_like_python_integers(tokens: list[int]) -> None:
    expected = [splitmix64_finaliser(t % 2**64) for t in tokens]
    array = np.array(tokens, dtype=np.int64)
    assert mix64(array.view(np.uint64)).tolist() == expected
    assert [t % 2**64 for t in mix64_torch(torch.from_numpy(array)).tolist()] == expected


@given(
    st.lists(INT64, min_size=1, max_size=20),
    st.integers(0, 2**64 - 1),
    st.integers(1, MAX_ROWS),
    st.booleans(),
    st.data(),
)
def test_numpy_and_torch_address_the_same_rows(
    tokens: list[int], seed: int, rows: int, mixed: bool, data: st.DataObject
) -> None:
    base = data.draw(st.integers(0, MAX_ROWS - rows))
    slot = Slot(key=0, seed=seed, base=base, rows=rows, mixed=mixed)
    array = np.array(tokens, dtype=np.int64)
    by_torch = rows_torch(torch.from_numpy(array), slot_tensor([slot]))
    by_numpy = rows_numpy(array, slot)
    assert by_numpy.tolist() == by_torch.tolist()
    if mixed:
        expected = [base + ((splitmix64_finaliser((t % 2**64) ^ seed) >> 32) * rows >> 32) for t in tokens]
    else:
        expected = [base + (t if 0 <= t < rows else 1) for t in tokens]
    assert by_numpy.tolist() == expected


def test_rows_of_known_tokens_never_change() -> None:
    # A table trained yesterday must be read the same way tomorrow.
    tokens = np.array([0, 1, -1, 2**63 - 1, -(2**63), 123456789], dtype=np.int64)
    slot = Slot(key=0, seed=slot_seed("ad_id", 0), base=100, rows=1_000_000, mixed=True)
    assert slot_seed("ad_id", 0) == 1490722721524640256
    assert rows_numpy(tokens, slot).tolist() == [361606, 663320, 208052, 621825, 271457, 490375]


def test_hashed_rows_are_uniform() -> None:
    tokens = np.arange(200_000, dtype=np.int64)
    slot = Slot(key=0, seed=slot_seed("user_id", 0), base=0, rows=1000, mixed=True)
    counts = np.bincount(rows_numpy(tokens, slot), minlength=1000)
    chi2 = float(((counts - 200) ** 2 / 200).sum())
    # 999 degrees of freedom: mean 999, standard deviation 44.7; five deviations either way.
    assert 775 < chi2 < 1223


def test_slots_of_two_features_and_of_two_probes_are_independent() -> None:
    tokens = np.arange(100_000, dtype=np.int64)
    seeds = [slot_seed("user_id", 0), slot_seed("user_id", 1), slot_seed("ad_id", 0)]
    assert len(set(seeds)) == 3
    rows = [rows_numpy(tokens, Slot(key=0, seed=seed, base=0, rows=500, mixed=True)) for seed in seeds]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        # The same token meets itself in another slot by chance only: 200 expected, standard deviation 14.
        assert 130 < int((rows[a] == rows[b]).sum()) < 270


def test_fastrange_covers_its_range_and_no_more() -> None:
    top = np.array([2**64 - 1], dtype=np.uint64)
    for rows in (1, 2, 10, MAX_ROWS):
        assert fastrange32_numpy(top, rows).tolist() == [rows - 1]
        assert fastrange32_numpy(np.array([0], dtype=np.uint64), rows).tolist() == [0]


@pytest.mark.parametrize("bad", [{"rows": 0}, {"base": -1}, {"base": MAX_ROWS, "rows": 1}, {"seed": 2**64}])
def test_a_slot_out_of_range_is_refused(bad: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="out of range"):
        Slot(**({"key": 0, "seed": 0, "base": 0, "rows": 1, "mixed": 1} | bad))  # type: ignore[arg-type]
