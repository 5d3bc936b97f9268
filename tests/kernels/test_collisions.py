"""Collisions: counted against plain loops, expected against what hashing does, and the hash's uniformity."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from kernels.addressing import Slot, rows_numpy, slot_seed
from kernels.collisions import Readers, Usage, collisions


def mixed(name: str, *, probe: int = 0, base: int = 0, rows: int) -> Slot:
    return Slot(key=0, seed=slot_seed(name, probe), base=base, rows=rows, mixed=True)


def full(*, base: int, rows: int) -> Slot:
    return Slot(key=0, seed=0, base=base, rows=rows, mixed=False)


def tokens(count: int, seed: int = 0) -> NDArray[np.int64]:
    return np.unique(np.random.default_rng(seed).integers(-(2**63), 2**63, count))


def by_loops(readers: list[Readers]) -> list[tuple[list[float], list[float], float]]:
    """For each feature its shares within and between by slot, and in all probes at once."""
    read = [(f, s, slot, rows_numpy(r.values, slot)) for f, r in enumerate(readers) for s, slot in enumerate(r.slots)]
    found = []
    for f, reader in enumerate(readers):
        mine = [rows for g, _, _, rows in read if g == f]
        within, between = [], []
        for s, rows in enumerate(mine):
            others = {row for g, t, _, elsewhere in read if (g, t) != (f, s) for row in elsewhere}
            within.append(float(np.mean([np.count_nonzero(rows == row) > 1 for row in rows])))
            between.append(float(np.mean([row in others for row in rows])))
        alike = [all((rows[i] == rows[j]) for rows in mine) for i in range(len(mine[0])) for j in range(len(mine[0]))]
        square = np.array(alike).reshape(len(mine[0]), -1)
        found.append((within, between, float(np.mean(square.sum(1) > 1))))
        assert reader.values.size == len(mine[0])
    return found


@given(
    st.lists(
        st.tuples(st.integers(1, 3), st.sampled_from(["unified", "hashed", "full"]), st.integers(1, 25)),
        min_size=1,
        max_size=4,
    )
)
def test_counts_are_those_of_plain_loops(drawn: list[tuple[int, str, int]]) -> None:
    readers = []
    for i, (probes, kind, size) in enumerate(drawn):
        base = 100 * (i + 1)
        if kind == "full":
            slots = tuple(full(base=base + 25 * probe, rows=25) for probe in range(probes))
            readers.append(Readers(slots, np.arange(size)))
            continue
        place = {"base": base, "rows": 7} if kind == "hashed" else {"base": 0, "rows": 11}
        readers.append(Readers(tuple(mixed(f"f{i}", probe=p, **place) for p in range(probes)), tokens(size, seed=i)))
    found, usage = collisions(readers)
    for each, (within, between, in_all) in zip(found, by_loops(readers), strict=True):
        assert [slot.within.measured for slot in each.slots] == pytest.approx(within)
        assert [slot.between.measured for slot in each.slots] == pytest.approx(between)
        assert each.in_all.measured == pytest.approx(in_all)
    every = [set(rows_numpy(reader.values, slot).tolist()) for reader in readers for slot in reader.slots]
    assert usage.measured == len(set().union(*every))
    assert [slot.used for each in found for slot in each.slots] == [len(rows) for rows in every]


def test_what_is_expected_by_the_formulas() -> None:
    readers = [
        Readers((mixed("a", rows=10), mixed("a", probe=1, rows=10)), tokens(3)),
        Readers((mixed("b", rows=10),), tokens(5)),
        Readers((mixed("c", base=10, rows=4),), tokens(2)),
        Readers((full(base=14, rows=6),), np.arange(6)),
    ]
    (a, b, c, d), usage = collisions(readers)
    assert [s.within.expected for s in a.slots] == pytest.approx([1 - 0.9**2] * 2)
    # Five values of b, and its own three by the other probe.
    assert [s.between.expected for s in a.slots] == pytest.approx([1 - 0.9**8] * 2)
    assert a.in_all.expected == pytest.approx(1 - 0.99**2)
    assert b.slots[0].between.expected == pytest.approx(1 - 0.9**6)
    assert b.in_all == b.slots[0].within
    assert (c.slots[0].within.expected, c.slots[0].between.expected) == pytest.approx((0.25, 0.0))
    assert (d.slots[0].within.expected, d.slots[0].between.expected, d.in_all.expected) == (0.0, 0.0, 0.0)
    assert usage.expected == pytest.approx(10 * (1 - 0.9**11) + 4 * (1 - 0.75**2) + 6)


def test_hashing_meets_the_expectation() -> None:
    readers = [
        Readers((mixed("big", rows=20_000), mixed("big", probe=1, rows=20_000)), tokens(15_000, seed=1)),
        Readers((mixed("small", rows=20_000),), tokens(5_000, seed=2)),
        Readers((mixed("few rows", base=20_000, rows=1),), tokens(3, seed=3)),
    ]
    found, usage = collisions(readers)
    for each in found:
        for slot in each.slots:
            assert slot.within.measured == pytest.approx(slot.within.expected, abs=0.02)
            assert slot.between.measured == pytest.approx(slot.between.expected, abs=0.02)
    assert found[0].slots[0].within.expected > 0.5
    assert found[0].in_all.measured == pytest.approx(found[0].in_all.expected, abs=0.0005)
    assert found[2].slots[0].within.measured == found[2].slots[0].within.expected == 1.0
    assert usage.measured == pytest.approx(usage.expected, rel=0.01)


def test_nothing_read_collides_with_nothing() -> None:
    assert collisions([]) == ([], Usage(0, 0))
    (alone,), usage = collisions([Readers((mixed("a", rows=5),), np.empty(0, np.int64))])
    assert (alone.values, alone.in_all.measured, alone.slots[0].within.expected, usage.measured) == (0, 0.0, 0.0, 0)


@pytest.mark.parametrize("values", [tokens(200_000), np.arange(200_000)], ids=["tokens", "ids"])
def test_rows_are_uniform(values: NDArray[np.int64]) -> None:
    rows = 1000
    counts = np.bincount(rows_numpy(values, mixed("city", rows=rows)), minlength=rows)
    expected = values.size / rows
    chi_square = ((counts - expected) ** 2 / expected).sum()
    # Of 999 degrees of freedom: mean 999, deviation 44.7.
    assert abs(chi_square - (rows - 1)) < 4 * (2 * (rows - 1)) ** 0.5


@pytest.mark.parametrize("other", [mixed("item", rows=50), mixed("user", probe=1, rows=50)], ids=["feature", "probe"])
def test_features_and_probes_hash_independently(other: Slot) -> None:
    values, rows = tokens(200_000), 50
    first, second = (rows_numpy(values, slot) for slot in (mixed("user", rows=rows), other))
    # The same value reads the same row by chance alone, and pairs of rows are uniform.
    deviation = (values.size * (1 / rows) * (1 - 1 / rows)) ** 0.5
    assert abs((first == second).sum() - values.size / rows) < 4 * deviation
    counts = np.bincount(first * rows + second, minlength=rows * rows)
    expected = values.size / rows**2
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert abs(chi_square - (rows**2 - 1)) < 4 * (2 * (rows**2 - 1)) ** 0.5
