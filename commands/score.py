"""plexrank score: an artifact's scores, written beside each row's keys."""

from pathlib import Path
from typing import Annotated

import typer

from commands._console import console, shown


def score(
    artifact: Annotated[Path, typer.Option(help="The artifact's folder.")],
    data: Annotated[Path, typer.Option(help="A prepared set.")],
    output: Annotated[Path, typer.Option(help="File to write: .parquet, .csv or .tsv.")],
    split: Annotated[str, typer.Option(help="Which rows: train, valid or test.")] = "test",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUTPUT if it exists.")] = False,
) -> None:
    """Write a score for every row, beside the schema's kept columns, the row's position in the input, and its label.

    Example: plexrank score --artifact runs/today/artifact --data prepared --output scores.parquet
    """
    import polars as pl

    from common.errors import ConfigError
    from training.predictions import open_both, predictions

    if output.suffix not in (".parquet", ".csv", ".tsv"):
        raise ConfigError(f"{output} is neither .parquet, .csv nor .tsv; name it so")
    if output.exists() and not overwrite:
        raise ConfigError(f"{output} exists; choose another file or add --overwrite")
    if not output.parent.is_dir():
        raise ConfigError(f"{output.parent} is no folder; create it, or choose another")
    loaded, prepared = open_both(artifact, data)
    scored = pl.concat(list(shown(predictions(loaded, prepared, split), prepared.rows(split))))
    partial = output.with_name(f".{output.name}.partial")
    try:
        if output.suffix == ".parquet":
            scored.write_parquet(partial, compression="zstd")
        else:
            scored.write_csv(partial, separator="," if output.suffix == ".csv" else "\t")
        partial.replace(output)
    finally:
        partial.unlink(missing_ok=True)
    console.print(
        f"Wrote {output}: {scored.height:,} rows, mean score {scored.select(pl.col('score').mean()).item():.5f}."
    )
