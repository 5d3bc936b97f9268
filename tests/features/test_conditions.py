from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from common.errors import ConfigError
from features.histories._conditions import Condition

FILE = Path("log.csv")


@pytest.mark.parametrize(
    ("text", "column", "sign", "value"),
    [
        ("click=1", "click", "=", "1"),
        (" rating >= 4 ", "rating", ">=", "4"),
        ("kind!=a b", "kind", "!=", "a b"),
        ("query=a=b", "query", "=", "a=b"),
        ("price<-0.5", "price", "<", "-0.5"),
    ],
)
def test_conditions_are_read(text: str, column: str, sign: str, value: str) -> None:
    assert Condition.parse(text) == Condition(column, sign, value)


@pytest.mark.parametrize("text", ["", "click", "=1", "click=", "click= "])
def test_what_is_no_condition(text: str) -> None:
    with pytest.raises(ConfigError, match=r"is no COLUMN=VALUE; write such as click=1"):
        Condition.parse(text)


@pytest.mark.parametrize(
    ("text", "values", "met"),
    [
        ("x=1", [1, 0, None, 11], [True, False, False, False]),
        ("x!=1", [1, 0, None], [False, True, False]),
        ("x<=1", pl.Series([1, 0, 2, None], dtype=pl.UInt8), [True, True, False, False]),
        ("x>-300", pl.Series([1, 0], dtype=pl.UInt8), [True, True]),
        ("x>=0.5", [0.5, 0.4, float("nan"), float("inf"), None], [True, False, False, True, False]),
        ("x!=0.5", [0.5, float("nan")], [False, False]),
        ("x=1", ["1", "01", "1.0", "", None], [True, False, False, False, False]),
        ("x=a", ["a", " a ", "A"], [True, True, False]),
        ("x!=view", ["view", "click", "", None], [False, True, False, False]),
        ("x>=4", ["4", "10", "3.9", "", None, " 5"], [True, True, False, False, False, True]),
        ("x=a", pl.Series(["a", "b", None], dtype=pl.Categorical), [True, False, False]),
        ("x=true", [True, False, None], [True, False, False]),
        ("x!=true", [True, False, None], [False, True, False]),
        ("x=1", [None, None], [False, False]),
        ("x<1", pl.Series([], dtype=pl.String), []),
    ],
)
def test_where_conditions_are_met(text: str, values: Any, met: list[bool]) -> None:
    column = pl.Series("x", values)
    assert Condition.parse(text).met(column, FILE)[0].to_list() == met


def test_a_text_that_is_no_number_is_unclear_and_a_missing_one_is_not() -> None:
    column = pl.Series("x", ["4", "four", "", None])
    assert Condition.parse("x>=4").met(column, FILE)[1].to_list() == [False, True, False, False]
    assert not Condition.parse("x=4").met(column, FILE)[1].any()


@pytest.mark.parametrize(
    ("text", "column", "remedy"),
    [
        ("x=1", pl.Series([True]), r"column 'x' is Boolean in log.csv; compare it by = or != with true or false"),
        ("x>=true", pl.Series([True]), r"compare it by = or != with true or false"),
        ("x>=a", pl.Series(["a"]), r"column 'x' is String in log.csv; compare it with a number"),
        ("x=a", pl.Series([1]), r"column 'x' is Int64 in log.csv; compare it with a number"),
        ("x=2026-01-05", pl.Series([date(2026, 1, 5)]), r"column 'x' is Date in log.csv; compare text or numbers"),
    ],
)
def test_values_that_a_column_cannot_be_compared_with(text: str, column: pl.Series, remedy: str) -> None:
    with pytest.raises(ConfigError, match=rf"^condition {text}: .*{remedy}$"):
        Condition.parse(text).met(column, FILE)
