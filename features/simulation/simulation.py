"""A simulated ads log whose click probabilities are known: for demonstrations, load tests and honest comparisons."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import polars as pl

from common.errors import ConfigError, did_you_mean
from common.files import atomic_folder
from features._schema_file import write_schema
from features.simulation._log_columns import NOTES, LogColumns, log_schema
from features.simulation._traffic import CANDIDATES, STEPS, Chunk, traffic
from features.simulation._world import World

Format = Literal["parquet", "csv", "tsv"]

_SEPARATORS = {"csv": ",", "tsv": "\t"}


@dataclass(frozen=True)
class SimulationSummary:
    """What was written.

    Attributes:
        schema: The ``schema.yaml``.
        files: The log's files, in time order.
        rows: Ads shown.
        requests: Requests that they were shown in.
        clicks: Ads clicked.
        mean_probability: Mean of ``true_probability``; ``clicks / rows`` differs from it by chance only.
        attainable_auc: AUC of ``true_probability`` over all rows, exact; NaN where all or none were clicked.
    """

    schema: Path
    files: tuple[Path, ...]
    rows: int
    requests: int
    clicks: int
    mean_probability: float
    attainable_auc: float


def simulate(
    output: Path,
    *,
    rows: int,
    users: int = 20_000,
    ads: int = 5_000,
    days: int = 14,
    click_rate: float = 0.05,
    seed: int = 0,
    format: Format = "parquet",
    rows_per_file: int = 500_000,
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
) -> SimulationSummary:
    """Write an ads log: ``schema.yaml`` and ``log/part-00000.parquet`` and so on, in time order.

    Users have interests, budgets and histories, ads a category, a price, a quality and a time of creation before
    which they are not shown; who and what is shown follows Zipf's law. Equal arguments give equal bytes, and
    ``rows_per_file`` cuts the same rows differently. ``rows`` are spread over all the days, so a shorter log is a
    thinner one, not the beginning of a longer one. Memory grows with ``users``, ``ads`` and ``rows_per_file``,
    not with ``rows``.

    Args:
        output: Folder to create.
        rows: Ads shown, from 1.
        users: How many users there are, from 1.
        ads: How many ads there are by the end, from 1.
        days: Length of the log, from 1. It starts on Monday 2026-01-05, 00:00 UTC.
        click_rate: Expected share of clicks, between 0 and 1. What comes out is near it where there are
            hundreds of users and ads, and is in the summary.
        seed: Which log, from 0.
        format: ``csv`` and ``tsv`` hold ``recent_ads`` as text, parted by spaces.
        rows_per_file: Most rows of a file, from 1.
        overwrite: Replace an existing folder.
        progress: Called with the number of rows made since the last call.

    Returns:
        What was written.

    Raises:
        ConfigError: An argument is out of its range, or the folder exists or cannot be written.
    """
    for name, value, least in (
        ("rows", rows, 1),
        ("users", users, 1),
        ("ads", ads, 1),
        ("days", days, 1),
        ("seed", seed, 0),
        ("rows_per_file", rows_per_file, 1),
    ):
        if value < least:
            raise ConfigError(f"{name} is {value}; give a whole number from {least}")
    if not 0 < click_rate < 1:
        raise ConfigError(f"click_rate is {click_rate}; give a number between 0 and 1, such as 0.05")
    if format not in get_args(Format):
        raise ConfigError(f"format {format!r} is unknown; {did_you_mean(format, get_args(Format))}")
    with atomic_folder(output, overwrite=overwrite) as folder:
        (folder / "log").mkdir()
        write_schema(folder / "schema.yaml", log_schema(), notes=NOTES)
        world = World.draw(users=users, ads=ads, days=days, at_start=min(ads, CANDIDATES), seed=seed)
        tally, table = _Tally(), LogColumns(world)
        names: list[str] = []

        def frames() -> Iterator[pl.DataFrame]:
            for chunk in traffic(world, rows=rows, days=days, click_rate=click_rate, seed=seed):
                tally.add(chunk)
                yield table.frame(chunk)
                if progress is not None:
                    progress(len(chunk.ad))

        for frame in _cut(frames(), rows_per_file):
            names.append(f"part-{len(names):05d}.{format}")
            _write(frame, folder / "log" / names[-1], format)
    return SimulationSummary(
        schema=output / "schema.yaml",
        files=tuple(output / "log" / name for name in names),
        rows=rows,
        requests=tally.requests,
        clicks=int(tally.clicked.sum()),
        mean_probability=tally.mean(),
        attainable_auc=tally.auc(),
    )


class _Tally:
    """Counts by probability, which has so few values that the AUC over any number of rows is exact."""

    def __init__(self) -> None:
        self.requests = 0
        self.shown = np.zeros(STEPS, np.int64)
        self.clicked = np.zeros(STEPS, np.int64)

    def add(self, chunk: Chunk) -> None:
        """Count a chunk's rows."""
        step = np.rint(chunk.probability * STEPS).astype(np.int64)
        self.requests += len(chunk.user)
        np.add.at(self.shown, step, 1)
        np.add.at(self.clicked, step[chunk.click], 1)

    def mean(self) -> float:
        """Mean probability."""
        return float((self.shown @ np.arange(STEPS)) / STEPS / self.shown.sum())

    def auc(self) -> float:
        """Share of (clicked, not clicked) pairs in the right order, ties half; NaN without pairs."""
        missed = self.shown - self.clicked
        pairs = float(self.clicked.sum()) * float(missed.sum())
        below = np.cumsum(missed) - missed / 2
        return float(self.clicked @ below) / pairs if pairs else float("nan")


def _cut(frames: Iterator[pl.DataFrame], rows: int) -> Iterator[pl.DataFrame]:
    """Frames of exactly ``rows`` rows, the last one shorter."""
    held: list[pl.DataFrame] = []
    height = 0
    for frame in frames:
        held.append(frame)
        height += frame.height
        if height >= rows:
            joined = pl.concat(held)
            whole = height - height % rows
            yield from (joined[first : first + rows] for first in range(0, whole, rows))
            held, height = [joined[whole:]], height - whole
    if height:
        yield pl.concat(held)


def _write(frame: pl.DataFrame, path: Path, format: Format) -> None:
    if format == "parquet":
        frame.write_parquet(path)
    else:
        text = frame.with_columns(pl.col("recent_ads").list.join(" "))
        text.write_csv(path, separator=_SEPARATORS[format])
