"""The token hash: golden vectors, and one number for one text wherever it is computed."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.encoding.tokens import EMPTY_TOKEN, MISSING_TOKEN, text, token, token_expr

# A prepared set, an artifact and a request must agree for years: these numbers never change.
GOLDEN = {
    "": 1,
    "7": 499566431179015674,
    "-7": -5434084089116565704,
    "é": -606849052844159821,
    "日本語": 1296689438140682423,
    "🙂": -272767050586417753,
    " ": -282257845897087025,
    "\x00": -4302098779834749733,
    "user_42": 1647113857750896165,
    # xxh3 has a way of its own for up to 16, 128, 240 and more bytes.
    "a" * 17: 4112485096731572522,
    "ab" * 64 + "c": 5611676535436679911,
    "x" * 241: 1502687544462699037,
}


def offline(values: list[str | None]) -> list[int]:
    frame = pl.DataFrame({"value": pl.Series(values, dtype=pl.String)})
    tokens = frame.select(token_expr(pl.col("value"))).to_series()
    assert tokens.dtype == pl.Int64
    found: list[int] = tokens.to_list()
    return found


def test_golden_vectors_offline() -> None:
    assert dict(zip(GOLDEN, offline(list(GOLDEN)), strict=True)) == GOLDEN


def test_golden_vectors_online() -> None:
    assert {value: token(value) for value in GOLDEN} == GOLDEN


def test_missing_and_empty_have_tokens_of_their_own() -> None:
    assert (MISSING_TOKEN, EMPTY_TOKEN) == (0, 1)
    assert offline([None, "", "0", "1"])[:2] == [0, 1]
    assert [token(None), token("")] == [0, 1]
    assert not {token("0"), token("1"), token("None"), token("null")} & {0, 1}


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (7, pl.UInt8),
        (-7, pl.Int64),
        (2**63 - 1, pl.Int64),
        (2**64 - 1, pl.UInt64),
        (-(2**127), pl.Int128),
        (True, pl.Boolean),
        (False, pl.Boolean),
    ],
)
def test_integers_and_booleans_hash_by_their_text(value: int, dtype: type[pl.DataType]) -> None:
    # As typed rows cast them, and as a request's values become text.
    written = pl.Series([value], dtype=dtype).cast(pl.String).to_list()
    assert written == [text(value)] == [str(value).lower()]
    assert offline(written) == [token(text(value))]


@settings(deadline=None, max_examples=300)
@given(st.lists(st.none() | st.text() | st.text(min_size=1, max_size=3).map(lambda t: t * 100), max_size=20))
def test_any_texts_have_the_same_tokens_offline_and_online(values: list[str | None]) -> None:
    found = offline(values)
    assert found == [token(v) for v in values]
    assert all(-(2**63) <= t < 2**63 for t in found)
