"""Conditions on rows, as a command line names them: ``click=1``, ``rating>=4``."""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from common.errors import ConfigError

_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_PATTERN = re.compile(r"(.+?)\s*(!=|<=|>=|=|<|>)\s*(.+)")


@dataclass(frozen=True)
class Condition:
    """A condition on one column. A missing value meets none.

    Columns of numbers are compared as float64. Text, without spaces around it, equals the very same text; ``<``,
    ``<=``, ``>`` and ``>=`` take it for the number it says. Truth values are ``true`` or ``false``.

    Attributes:
        column: The column.
        sign: ``=``, ``!=``, ``<``, ``<=``, ``>`` or ``>=``.
        value: What its values are compared with.
    """

    column: str
    sign: str
    value: str

    @classmethod
    def parse(cls, text: str) -> "Condition":
        """Read a condition such as ``click=1``.

        Raises:
            ConfigError: It is none.
        """
        found = _PATTERN.fullmatch(text.strip())
        if found is None:
            raise ConfigError(f"condition {text!r} is no COLUMN=VALUE; write such as click=1, kind!=view or rating>=4")
        return cls(*found.groups())

    def __str__(self) -> str:
        return f"{self.column}{self.sign}{self.value}"

    def met(self, column: pl.Series, file: Path) -> tuple[pl.Series, pl.Series]:
        """Where the condition is met, and where that cannot be told because a text says no number; both Boolean.

        Raises:
            ConfigError: Such a column cannot be compared with such a value.
        """
        kind = column.dtype
        nowhere = pl.repeat(False, len(column), dtype=pl.Boolean, eager=True)
        if kind == pl.Null:
            return nowhere, nowhere
        if kind == pl.Boolean:
            if self.sign not in ("=", "!=") or self.value not in ("true", "false"):
                raise self._refusal(kind, file, "compare it by = or != with true or false")
            met = _COMPARE[self.sign](column, self.value == "true")
            return met.fill_null(False), nowhere
        if kind in (pl.String, pl.Categorical, pl.Enum):
            column = column.cast(pl.String).str.strip_chars()
            column = column.set(column == "", None)
            if self.sign in ("=", "!="):
                return _COMPARE[self.sign](column, self.value).fill_null(False), nowhere
        elif not kind.is_numeric():
            raise self._refusal(kind, file, "compare text or numbers")
        try:
            value = float(self.value)
        except ValueError:
            raise self._refusal(kind, file, "compare it with a number") from None
        numbers = column.cast(pl.Float64, strict=False)
        unclear = numbers.is_null() & column.is_not_null()
        return _COMPARE[self.sign](numbers.fill_nan(None), value).fill_null(False), unclear

    def _refusal(self, kind: pl.DataType, file: Path, remedy: str) -> ConfigError:
        return ConfigError(f"condition {self}: column {self.column!r} is {kind} in {file}; {remedy}")
