"""plexrank evaluate: how good an artifact is on a prepared set."""

import json
from pathlib import Path
from typing import Annotated

import typer

from commands._console import TABLE_HELP, TablePrecision, console, shown, table


def evaluate(
    artifact: Annotated[Path, typer.Option(help="The artifact's folder.")],
    data: Annotated[Path, typer.Option(help="A prepared set.")],
    split: Annotated[str, typer.Option(help="Which rows: train, valid or test.")] = "test",
    truth: Annotated[
        str | None,
        typer.Option(help="A kept column that holds the true click probability; its AUC is the attainable one."),
    ] = None,
    table_: Annotated[TablePrecision, typer.Option("--table", help=TABLE_HELP)] = "fp32",
    json_: Annotated[
        Path | None, typer.Option("--json", help="Write the report as json to this file; - prints it instead.")
    ] = None,
) -> None:
    """Measure an artifact: exact AUC, logloss, GAUC, calibration.

    AUC counts ties half and is exact at any size. GAUC is the AUC within each group (the schema's `group`), weighted by
    rows; groups of one class are left out and counted. The calibration ratio is predicted over observed clicks.

    Example: plexrank evaluate --artifact runs/today/artifact --data prepared --json report.json
    """
    import polars as pl

    from common.errors import DataError, did_you_mean
    from common.files import write_json
    from evaluation.auc import auc
    from evaluation.report import evaluate as measure
    from training.predictions import open_both, predictions

    loaded, prepared = open_both(artifact, data, table=table_)
    if truth is not None and truth not in prepared.fitted.schema.keep:
        raise DataError(f"--truth {truth!r} is no kept column; {did_you_mean(truth, prepared.fitted.schema.keep)}")
    columns = ["label", "score", *(["group"] if prepared.fitted.schema.group else []), *([truth] if truth else [])]
    frames = shown(predictions(loaded, prepared, split), prepared.rows(split))
    rows = pl.concat([frame.select(columns) for frame in frames])
    groups = rows["group"].to_numpy() if "group" in columns else None
    report = measure(rows["label"].to_numpy(), rows["score"].to_numpy(), groups)
    document = {"artifact": loaded.name, "digest": loaded.digest, "split": split, **report.to_json_dict()}
    lines = report.table_rows()
    if truth is not None:
        attainable = auc(rows["label"].to_numpy(), rows[truth].cast(pl.Float64).to_numpy())
        document["attainable_auc"] = attainable
        lines.append(("attainable_auc", f"{attainable:.5f}"))
    if json_ == Path("-"):
        print(json.dumps(document, indent=2, allow_nan=False))
        return
    console.print(table(f"{loaded.name}@{loaded.digest[:12]} on {split}", ("metric", "value"), lines))
    if json_ is not None:
        write_json(json_, document)
        console.print(f"Wrote {json_}.")
