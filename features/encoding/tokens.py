"""Tokens: the one number a categorical value becomes, the same offline (polars) and online (Python).

A token is the xxh3-64 of the value's UTF-8 text taken as a signed 64-bit integer. Integers hash by their decimal text,
so that ``7`` and ``"7"`` agree; booleans by ``true`` and ``false``. Missing and empty have a token each.
"""

from typing import cast

import polars as pl
import polars_hash as plh
import xxhash

MISSING_TOKEN = 0
"""Token of a missing (null) value."""

EMPTY_TOKEN = 1
"""Token of an empty text."""


def text(value: str | int | bool | None) -> str | None:
    """Text by which a categorical value is known; None where it is missing."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def token(value: str | None) -> int:
    """Token of a value's text.

    Args:
        value: The text, or None where the value is missing.

    Returns:
        The token, in ``[-2**63, 2**63)``.
    """
    if value is None:
        return MISSING_TOKEN
    if not value:
        return EMPTY_TOKEN
    unsigned = xxhash.xxh3_64_intdigest(value.encode())
    return unsigned - 2**64 if unsigned >= 2**63 else unsigned


def token_expr(value: pl.Expr) -> pl.Expr:
    """Token of a String expression, as :func:`token`.

    Args:
        value: Expression of dtype String.

    Returns:
        Expression of dtype Int64, never null.
    """
    hashed = cast("plh.HExpr", value).nchash.xxh3_64().reinterpret(signed=True)
    return pl.when(value == "").then(pl.lit(EMPTY_TOKEN, pl.Int64)).otherwise(hashed).fill_null(MISSING_TOKEN)
