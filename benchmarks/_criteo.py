"""A made-up log of the shape of Criteo's: a label, thirteen counts, twenty-six hashed categories.

Missing shares and the counts' spreads are near those of the real log's first rows; the numbers of values are those of
its 45 million rows, and how often each comes follows Zipf's law.
"""

from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

LABEL = "label"
_LABEL_RATE = 0.25
_DIGITS = np.frombuffer(b"0123456789abcdef", np.uint8)

_COUNTS = {
    # name: median, spread of the logarithm, share missing
    "I1": (1, 1.6, 0.45),
    "I2": (3, 2.5, 0.0),
    "I3": (7, 1.6, 0.20),
    "I4": (4, 1.25, 0.20),
    "I5": (2480, 2.0, 0.05),
    "I6": (40, 1.65, 0.25),
    "I7": (3, 1.8, 0.05),
    "I8": (7, 1.25, 0.0),
    "I9": (41, 1.6, 0.05),
    "I10": (0.4, 1.0, 0.45),
    "I11": (1, 1.25, 0.05),
    "I12": (0.4, 1.5, 0.77),
    "I13": (5, 1.3, 0.20),
}

_CATEGORIES = {
    # name: number of values, share missing
    "C1": (1_460, 0.0),
    "C2": (583, 0.0),
    "C3": (10_131_227, 0.04),
    "C4": (2_202_608, 0.04),
    "C5": (305, 0.0),
    "C6": (24, 0.13),
    "C7": (12_517, 0.0),
    "C8": (633, 0.0),
    "C9": (3, 0.0),
    "C10": (93_145, 0.0),
    "C11": (5_683, 0.0),
    "C12": (8_351_593, 0.04),
    "C13": (3_194, 0.0),
    "C14": (27, 0.0),
    "C15": (14_992, 0.0),
    "C16": (5_461_306, 0.04),
    "C17": (10, 0.0),
    "C18": (5_652, 0.0),
    "C19": (2_173, 0.45),
    "C20": (4, 0.45),
    "C21": (7_046_547, 0.04),
    "C22": (18, 0.82),
    "C23": (15, 0.0),
    "C24": (286_181, 0.04),
    "C25": (105, 0.45),
    "C26": (142_572, 0.45),
}

NUMBERS = tuple(_COUNTS)
CATEGORIES = tuple(_CATEGORIES)


def block(rows: int, draws: np.random.Generator) -> pl.DataFrame:
    """Draw rows.

    Args:
        rows: How many.
        draws: Where the randomness comes from.

    Returns:
        A frame of ``label`` (UInt8), ``I1`` to ``I13`` (Int64) and ``C1`` to ``C26`` (String); missing is null.
    """
    columns = [pl.Series(LABEL, (draws.random(rows) < _LABEL_RATE).astype(np.uint8))]
    for name, (median, spread, missing) in _COUNTS.items():
        counts = np.floor(median * draws.lognormal(0.0, spread, rows)).astype(np.int64)
        columns.append(_with_gaps(pl.Series(name, counts), missing, draws))
    for place, (name, (values, missing)) in enumerate(_CATEGORIES.items()):
        ranks = (values ** draws.random(rows)).astype(np.uint32)  # P(rank = r) is about 1 / r
        columns.append(_with_gaps(pl.Series(name, _hashed(ranks, place)), missing, draws))
    return pl.DataFrame(columns)


def schema(*, encoding: str, min_count: int = 1) -> dict[str, Any]:
    """What the columns are, as ``schema.yaml`` says it.

    Args:
        encoding: How the categories are encoded: ``token`` or ``vocabulary``.
        min_count: With ``vocabulary``, values seen less often become unseen.
    """
    vocabulary = {"min_count": min_count} if encoding == "vocabulary" else {}
    return {
        "label": LABEL,
        "features": [
            *({"name": name, "kind": "numeric", "transforms": ["log1p", "standardize"]} for name in NUMBERS),
            *({"name": name, "kind": "categorical", "encoding": encoding, **vocabulary} for name in CATEGORIES),
        ],
    }


def _hashed(ranks: NDArray[np.uint32], place: int) -> pa.Array:
    """Eight hexadecimal digits, a different text for every rank of a column."""
    codes = ranks * np.uint32(2_654_435_761) + np.uint32(place)
    digits = _DIGITS[(codes[:, None] >> np.arange(28, -1, -4, dtype=np.uint32)) & 15]
    buffers = [None, pa.py_buffer(digits.tobytes())]
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(8), len(ranks), buffers).cast(pa.binary()).cast(pa.string())


def _with_gaps(values: pl.Series, share: float, draws: np.random.Generator) -> pl.Series:
    return values.set(pl.Series(draws.random(len(values)) < share), None) if share else values
