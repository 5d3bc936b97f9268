"""Models side by side: rows match by order or by key, and nothing is paired that does not belong together."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import DataError
from evaluation.rows.aligned import aligned
from evaluation.rows.columns import Columns
from evaluation.rows.rows import Rows, Where

COLUMNS = Columns(group="user")
FRAME = pl.DataFrame(
    {
        "label": [1, 0, 0, 1, 0],
        "score": [0.5, 0.4, 0.3, 0.2, 0.1],
        "user": [1, 1, 2, 2, 3],
        "ad": ["a", "b", "a", "b", "a"],
    }
)


@dataclass(frozen=True)
class Frames:
    """A table in memory, in chunks of some sizes."""

    name: str
    frame: pl.DataFrame
    sizes: tuple[int, ...] = (100,)

    @property
    def rows(self) -> int:
        return self.frame.height

    def frames(self) -> Iterator[tuple[pl.DataFrame, Where]]:
        start = 0
        for size in (*self.sizes, self.rows):
            chunk = self.frame.slice(start, size)
            yield chunk, partial(self._where, start)
            start += chunk.height

    def _where(self, start: int, row: int) -> str:
        return f"{self.name} row {start + row + 1}"


def _whole(chunks: Iterator[Rows]) -> tuple[list[bool], list[list[float]]]:
    found = list(chunks)
    scores = [np.concatenate(some).tolist() for some in zip(*(rows.scores for rows in found), strict=True)]
    return np.concatenate([rows.labels for rows in found]).tolist(), scores


OTHER = FRAME.with_columns(score=1 - pl.col("score"))
EXPECTED = (FRAME["label"].cast(pl.Boolean).to_list(), [FRAME["score"].to_list(), OTHER["score"].to_list()])


@given(st.lists(st.integers(0, 3), max_size=6), st.lists(st.integers(0, 3), max_size=6))
def test_by_order_in_chunks_of_any_size(first: list[int], second: list[int]) -> None:
    sources = [Frames("a", FRAME, tuple(first)), Frames("b", OTHER, tuple(second))]
    assert _whole(aligned(sources, COLUMNS)) == EXPECTED


@given(st.permutations(range(5)), st.lists(st.integers(0, 3), max_size=6))
def test_by_key_in_any_order(order: list[int], sizes: list[int]) -> None:
    sources = [Frames("a", FRAME, tuple(sizes)), Frames("b", OTHER[order])]
    assert _whole(aligned(sources, COLUMNS, ["user", "ad"])) == EXPECTED


def test_keys_agree_across_types() -> None:
    other = OTHER.with_columns(pl.col("user").cast(pl.String))
    assert _whole(aligned([Frames("a", FRAME), Frames("b", other)], COLUMNS, ["user", "ad"])) == EXPECTED


def test_one_source_is_passed_on() -> None:
    assert _whole(aligned([Frames("a", FRAME)], COLUMNS)) == (EXPECTED[0], EXPECTED[1][:1])


def test_other_columns_come_from_the_first_alone() -> None:
    other = OTHER.select("label", "score")
    (rows,) = aligned([Frames("a", FRAME), Frames("b", other)], COLUMNS)
    assert rows.groups is not None
    assert rows.groups.tolist() == FRAME["user"].to_list()


@pytest.mark.parametrize(
    ("other", "key", "words"),
    [
        (OTHER.head(4), [], "a has 5 rows but b has 4"),
        (OTHER.reverse(), [], "row 1 has label 1 in a but not in b"),
        (OTHER.head(4), ["user", "ad"], "a row 5: b has no row with user='3', ad='a'"),
        (pl.concat([OTHER, OTHER.head(1).with_columns(user=9)], how="vertical_relaxed"), ["user", "ad"],
         "a lacks 1 of the 6 rows of b, first user='9', ad='a'"),
        (OTHER, ["user"], "b has user='1' twice"),
        (OTHER.with_columns(label=1 - pl.col("label")), ["user", "ad"], "has label 1 here but not in b"),
    ],
)  # fmt: skip
def test_rows_that_do_not_match_are_refused(other: pl.DataFrame, key: list[str], words: str) -> None:
    with pytest.raises(DataError) as problem:
        list(aligned([Frames("a", FRAME), Frames("b", other)], COLUMNS, key))
    assert words in str(problem.value)


def test_a_key_twice_in_the_first_is_refused() -> None:
    first = pl.concat([FRAME, FRAME.head(1)])
    for sizes in ((100,), (5,)):
        with pytest.raises(DataError, match="occurs twice"):
            list(aligned([Frames("a", first, sizes), Frames("b", OTHER)], COLUMNS, ["user", "ad"]))


def test_a_key_named_twice_counts_once() -> None:
    sources = Frames("a", FRAME), Frames("b", FRAME.reverse())
    once, twice = (list(aligned(sources, COLUMNS, key)) for key in (("user", "ad"), ("user", "ad", "user")))
    np.testing.assert_array_equal(once[0].scores[1], twice[0].scores[1])


def test_a_key_of_lists_is_refused() -> None:
    listed = FRAME.with_columns(ad=pl.concat_list("user"))
    with pytest.raises(DataError, match="column 'ad' holds List"):
        list(aligned((Frames("a", listed), Frames("b", listed)), COLUMNS, ("ad",)))
