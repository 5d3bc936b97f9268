"""Vocabularies: their order, what parts of a count add up to, ids offline and online, their file."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import DataError
from features.encoding import _tally
from features.encoding.vocabulary import MISSING_ID, UNSEEN_ID, Vocabulary, VocabularyCounter

VALUE = st.none() | st.sampled_from(["", "a", "b", "B", "é", "🙂", "10", "9"]) | st.text(max_size=3)


def count(*batches: Sequence[str | None]) -> VocabularyCounter:
    counter = VocabularyCounter()
    for batch in batches:
        counter.update(pl.Series(batch, dtype=pl.String))
    return counter


def offline(made: Vocabulary, values: Sequence[str | None]) -> list[int]:
    ids = pl.DataFrame({"v": pl.Series(values, dtype=pl.String)}).select(made.expr(pl.col("v"))).to_series()
    assert ids.dtype == pl.Int64
    found: list[int] = ids.to_list()
    return found


def test_ids_follow_falling_frequency_and_ties_their_text() -> None:
    made = count(["b", "c", "a", "b", None, "10", "9", "c", "b", ""]).vocabulary(min_count=1)
    assert [made.id(v) for v in ("b", "c", "", "10", "9", "a")] == [2, 3, 4, 5, 6, 7]
    assert made.size == 8
    assert [made.id(None), made.id("z")] == [MISSING_ID, UNSEEN_ID] == [0, 1]


def test_values_below_min_count_are_unseen() -> None:
    counter = count(["a", "b", "a", "c"], ["c", "d", "a"])
    made = counter.vocabulary(min_count=2)
    assert [made.id(v) for v in "acbd"] == [2, 3, UNSEEN_ID, UNSEEN_ID]
    assert counter.vocabulary(min_count=3).size == 3
    assert counter.vocabulary(min_count=4).size == 2


BATCHES = st.lists(st.lists(VALUE, max_size=12), max_size=6)


@settings(deadline=None)
@given(BATCHES, BATCHES, st.integers(1, 3))
def test_counts_of_parts_add_up_to_the_counts_of_the_whole(
    batches: list[list[str | None]], others: list[list[str | None]], min_count: int
) -> None:
    everything = [value for batch in batches + others for value in batch]
    counts = Counter(value for value in everything if value is not None)
    # Texts sort by their UTF-8 bytes, as Python sorts them by code points.
    expected = [v for v, n in sorted(counts.items(), key=lambda item: (-item[1], item[0])) if n >= min_count]
    for parts in (batches + others, others[::-1] + batches, [everything]):
        assert count(*parts).vocabulary(min_count=min_count).values.to_list() == expected
    for first, second in ((batches, others), (others, batches)):
        counter = count(*first)
        counter.merge(count(*second))
        assert counter.vocabulary(min_count=min_count).values.to_list() == expected


def test_waiting_counts_are_added_up_when_they_outgrow_the_distinct_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_tally, "_PENDING", 3)
    tally = _tally.Tally(pl.String)
    held = []
    for i in range(200):
        tally.update(pl.Series([f"{i % 20}", f"{i % 7}"]))
        held.append(tally._total.height + tally._rows)
    assert max(held) <= 2 * 20 + 2
    assert dict(tally.counts().iter_rows()) == Counter(f"{j}" for i in range(200) for j in (i % 20, i % 7))


def test_counts_beyond_32_bits_are_exact() -> None:
    tally = _tally.Tally(pl.String)
    tally.update(pl.Series(["a", "a", "a"]))
    for _ in range(40):  # doubles
        tally.merge(tally)
    assert tally.counts().to_dicts() == [{"value": "a", "count": 3 * 2**40}]


@settings(deadline=None)
@given(st.lists(VALUE, max_size=20), st.lists(VALUE, max_size=30), st.integers(1, 3))
def test_growth_never_moves_an_id(old: list[str | None], new: list[str | None], min_count: int) -> None:
    before = count(old).vocabulary(min_count=1)
    grown = count(new).vocabulary(min_count=min_count, grow=before)
    assert grown.values[: len(before.values)].to_list() == before.values.to_list()
    counts = Counter(v for v in new if v is not None and before.id(v) == UNSEEN_ID)
    ordered = [v for v, n in sorted(counts.items(), key=lambda item: (-item[1], item[0])) if n >= min_count]
    assert grown.values[len(before.values) :].to_list() == ordered
    assert [grown.id(v) for v in ordered] == list(range(before.size, grown.size))


@settings(deadline=None)
@given(st.lists(VALUE, max_size=20), st.lists(VALUE, max_size=20))
def test_ids_are_equal_offline_and_online(train: list[str | None], later: list[str | None]) -> None:
    made = count(train).vocabulary(min_count=1)
    assert offline(made, later) == [made.id(value) for value in later]


def test_an_empty_vocabulary_knows_nothing() -> None:
    made = VocabularyCounter().vocabulary(min_count=1)
    assert made.size == 2
    assert offline(made, ["a", None, ""]) == [1, 0, 1]


def test_a_saved_vocabulary_loads_equal(tmp_path: Path) -> None:
    made = count(["b", "", "é", "b", "🙂"]).vocabulary(min_count=1)
    made.save(tmp_path / "v.parquet")
    loaded = Vocabulary.load(tmp_path / "v.parquet")
    assert loaded.digest == made.digest
    assert loaded.values.to_list() == made.values.to_list() == ["b", "", "é", "🙂"]


def test_the_digest_tells_values_and_order_apart() -> None:
    different = [["a", "b"], ["b", "a"], ["ab"], ["a", "b", ""], ["a"], []]
    assert len({Vocabulary(values).digest for values in different}) == len(different)
    assert Vocabulary(["a", "b"]).digest == Vocabulary(["a", "b"]).digest


@pytest.mark.parametrize(
    "frame",
    [
        pl.DataFrame({"val": ["a"]}),
        pl.DataFrame({"value": [1, 2]}),
        pl.DataFrame({"value": ["a", None]}),
        pl.DataFrame({"value": ["a", "a"]}),
    ],
    ids=["no column", "numbers", "null", "twice"],
)
def test_a_file_that_is_no_vocabulary_is_refused(tmp_path: Path, frame: pl.DataFrame) -> None:
    path = tmp_path / "v.parquet"
    frame.write_parquet(path)
    with pytest.raises(DataError, match=r"vocabulary .*v\.parquet cannot be read.*prepare the data again"):
        Vocabulary.load(path)


@pytest.mark.parametrize("content", [None, b"", b"PAR1 garbage"])
def test_an_unreadable_file_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "v.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"vocabulary .*v\.parquet cannot be read.*prepare the data again"):
        Vocabulary.load(path)
