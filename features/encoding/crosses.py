"""Crosses: two features' values taken together as one text, the same offline (polars) and online (Python).

The text is ``N:A=B`` with N the bytes of A in UTF-8; a missing A is ``-``, a missing B is left out with its ``=``. So
no two pairs share a text.
"""

from collections.abc import Mapping, Sequence

import polars as pl

from features.encoding.numerics import bucket_of
from features.schema import CrossFeature, Schema


def cross_text(a: str | None, b: str | None) -> str | None:
    """Text of two values taken together; None where both are missing."""
    if a is None and b is None:
        return None
    first = "-" if a is None else f"{len(a.encode())}:{a}"
    return first if b is None else f"{first}={b}"


def cross_expr(a: pl.Expr, b: pl.Expr) -> pl.Expr:
    """Text of two String expressions taken together, as :func:`cross_text`."""
    first = pl.concat_str(a.str.len_bytes().cast(pl.String), pl.lit(":"), a).fill_null("-")
    second = pl.concat_str(pl.lit("="), b).fill_null("")
    return pl.when(a.is_not_null() | b.is_not_null()).then(pl.concat_str(first, second))


def with_crosses(
    typed: pl.DataFrame, schema: Schema, crosses: Sequence[CrossFeature], edges: Mapping[str, Sequence[float]]
) -> pl.DataFrame:
    """Add the texts of crosses to typed rows.

    Args:
        typed: A column a given feature.
        schema: The declaration.
        crosses: Which of its crosses.
        edges: Of the bucketized features that they are of.

    Returns:
        The same rows with a String column more for each cross.
    """
    crossed = {part.name: part for cross in crosses for part in schema.crossed(cross)}
    texts = {
        name: pl.lit(bucket_text(typed[name], edges[name])) if part.kind == "bucketized" else pl.col(name)
        for name, part in crossed.items()
    }
    return typed.with_columns(cross_expr(texts[c.of[0]], texts[c.of[1]]).alias(c.name) for c in crosses)


def bucket_text(values: pl.Series, edges: Sequence[float]) -> pl.Series:
    """Decimal numbers of the values' buckets, as a crossed or hashed feature knows them; null where missing."""
    buckets = pl.Series(bucket_of(values.to_numpy(), edges))
    return buckets.set(buckets < 0, None).cast(pl.String)
