"""A log that holds every candidate of each request, with a new ranker's scores, as the rows that were shown."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import polars as pl

from common.errors import DataError
from evaluation.counterfactual.logged_rows import LoggedRows
from evaluation.rows.columns import Columns
from evaluation.rows.rows import Rows, plain
from evaluation.rows.source import Source

Policy = Callable[[npt.NDArray[np.integer], npt.NDArray[np.floating]], npt.NDArray[np.float64]]
"""From requests and scores, one of each a candidate, to the probability of showing each candidate."""


def candidates_of(
    source: Source,
    policy: Policy,
    *,
    label: str,
    propensity: str,
    request: str,
    score: str,
    shown: str,
    clip: float | None = None,
    progress: Callable[[int], object] = lambda rows: None,
) -> LoggedRows:
    """Read candidates, and weigh those that were shown.

    All rows are held in memory, about 33 bytes each, for a request's candidates may lie anywhere.

    Args:
        source: A row a candidate.
        policy: What the new ranker's scores mean.
        label: Column: 1 where the candidate was clicked; looked at where it was shown.
        propensity: Column: with which probability the logging policy showed it; looked at where it was shown.
        request: Column: what the candidates of one request share.
        score: Column: the new ranker's score.
        shown: Column: 1 for the one candidate of each request that was shown, else 0.
        clip: As for ``LoggedRows``.
        progress: Called with the rows of each chunk.

    Raises:
        DataError: A value is missing or wrong, or not one candidate of each request was shown.
    """
    columns = Columns(label=label, score=score, request=request, others=(propensity, shown))
    chunks: list[Rows] = []
    for frame, where in source.frames():
        if not frame.height:
            continue
        frame = pl.DataFrame([plain(series, where) for series in frame])
        # What was not shown has no label and no propensity.
        is_shown = pl.col(shown).cast(pl.Float64, strict=False) == 1
        filled = frame.with_columns(
            pl.when(is_shown).then(pl.col(name)).otherwise(pl.lit(fill).cast(frame.schema[name])).alias(name)
            for name, fill in ((label, 0), (propensity, 1))
        )
        rows = Rows.of(filled, columns, where)
        wrong = (rows.others[shown] != 0) & (rows.others[shown] != 1)
        if wrong.any():
            row = int(wrong.argmax())
            raise DataError(f"{where(row)}: column {shown!r} is neither 0 nor 1; write 1 for what was shown, 0 else")
        chunks.append(rows)
        progress(frame.height)
    if not chunks:
        raise DataError(f"{source.name} has no rows; give a row a candidate")
    requests = np.concatenate([rows.requests for rows in chunks if rows.requests is not None])
    mask = np.concatenate([rows.others[shown] for rows in chunks]) == 1
    distinct, of_request = np.unique(requests, return_inverse=True)
    times = np.bincount(of_request[mask], minlength=distinct.size)
    if (times != 1).any():
        first = int((times[of_request] != 1).argmax())
        raise DataError(
            f"the request of row {first + 1} has {times[of_request[first]]} candidates with {shown} = 1; "
            "give one shown candidate a request, and a request a position"
        )
    target = policy(requests, np.concatenate([rows.scores[0] for rows in chunks]))
    return LoggedRows.of(
        np.concatenate([rows.labels for rows in chunks])[mask],
        np.concatenate([rows.others[propensity] for rows in chunks])[mask],
        target[mask],
        clip=clip,
    )
