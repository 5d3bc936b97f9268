"""Texts and shares as people read them."""

import pytest

from common.text import cells, percent, printable


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0 %"), (0.00005, "< 0.01 %"), (0.0004, "0.0400 %"), (0.05, "5.00 %"), (0.123, "12.3 %"),
        (0.9994, "99.9 %"), (0.9999, "> 99.9 %"), (1, "100 %"),
    ],
)  # fmt: skip
def test_shares_in_words(share: float, text: str) -> None:
    assert percent(share) == text


def test_a_text_can_be_shown_anywhere() -> None:
    assert printable("a\tb\x1b[31m") == "a\\tb\\x1b[31m"
    assert printable("") == "''"


def test_a_long_text_is_cut_by_its_width() -> None:
    assert printable("x" * 100) == "x" * 59 + "\u2026"
    assert cells(printable("\u65e5" * 50, longest=20)) <= 20
