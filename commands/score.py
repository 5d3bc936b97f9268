"""plexrank score: an artifact's scores, written beside each row's keys."""

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands._console import TABLE_HELP, TablePrecision, console, shown

if TYPE_CHECKING:
    import polars as pl


def score(
    artifact: Annotated[Path, typer.Option(help="The artifact's folder.")],
    data: Annotated[Path, typer.Option(help="A prepared set.")],
    output: Annotated[Path, typer.Option(help="File to write: .parquet, .csv or .tsv.")],
    split: Annotated[str, typer.Option(help="Which rows: train, valid or test.")] = "test",
    table: Annotated[TablePrecision, typer.Option(help=TABLE_HELP)] = "fp32",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUTPUT if it exists.")] = False,
) -> None:
    """Write a score for every row, beside the schema's kept columns, the row's position in the input, and its label.

    Example: plexrank score --artifact runs/today/artifact --data prepared --output scores.parquet
    """
    from common.errors import ConfigError
    from common.files import atomic_file
    from training.predictions import open_both, predictions

    if output.suffix not in (".parquet", ".csv", ".tsv"):
        raise ConfigError(f"{output} is neither .parquet, .csv nor .tsv; name it so")
    if output.exists() and not overwrite:
        raise ConfigError(f"{output} exists; choose another file or add --overwrite")
    if not output.parent.is_dir():
        raise ConfigError(f"{output.parent} is no folder; create it, or choose another")
    loaded, prepared = open_both(artifact, data, table=table)
    scored = shown(predictions(loaded, prepared, split), prepared.rows(split))
    with atomic_file(output) as partial, contextlib.closing(scored) as frames:
        rows, mean = _write(frames, partial, output.suffix)
    console.print(f"Wrote {output}: {rows:,} rows, mean score {mean:.5f}.")


def _write(frames: "Iterable[pl.DataFrame]", path: Path, suffix: str) -> tuple[int, float]:
    """Write frames one after the other; gives the rows and their mean score."""
    import polars as pl
    import pyarrow.parquet as pq

    rows, total = 0, 0.0
    with path.open("wb") as file, contextlib.ExitStack() as open_writer:
        parquet = None
        for frame in frames:
            if suffix == ".parquet":
                table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
                parquet = parquet or open_writer.enter_context(pq.ParquetWriter(file, table.schema, compression="zstd"))
                parquet.write_table(table)
            else:
                frame.write_csv(file, separator="," if suffix == ".csv" else "\t", include_header=not rows)
            rows += frame.height
            total += frame.select(pl.col("score").sum()).item()
    return rows, total / rows
