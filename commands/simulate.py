"""plexrank simulate: an ads log whose click probabilities are known."""

import shlex
import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from commands._console import MAX_SEED, console, progress_bar, table


def simulate(
    output: Annotated[Path, typer.Option(help="Folder to create: schema.yaml, and the rows under log/.")],
    rows: Annotated[int, typer.Option(help="Ads shown, made and written chunk by chunk.", min=1)] = 200_000,
    users: Annotated[int, typer.Option(help="Users; fewer means more history for each.", min=1)] = 20_000,
    ads: Annotated[int, typer.Option(help="Ads there are by the end; two in five appear on the way.", min=1)] = 5_000,
    days: Annotated[int, typer.Option(help="Days that the rows are spread over.", min=1)] = 14,
    click_rate: Annotated[float, typer.Option(help="Expected share of clicks; more teach a model faster.")] = 0.05,
    seed: Annotated[int, typer.Option(help="Which log: equal options give equal bytes.", min=0, max=MAX_SEED)] = 0,
    format: Annotated[Literal["parquet", "csv", "tsv"], typer.Option(help="Kind of the files.")] = "parquet",
    rows_per_file: Annotated[int, typer.Option(help="Where files are cut; the rows stay the same.", min=1)] = 500_000,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUTPUT if it exists.")] = False,
) -> None:
    """Simulate an ads log: who was shown which ad where, whether they clicked, and how probable the click was.

    Clicks follow from interests, budgets, prices, devices, hours, positions and each user's latest clicks, so a model
    of interactions beats a linear one. The column true_probability holds what each click was drawn with: its AUC is
    the best that any model can reach. It is never a feature.

    Example: plexrank simulate --output data/ads --rows 1_000_000 --click-rate 0.1
    """
    from features.simulation.simulation import simulate as run

    started = time.perf_counter()
    with progress_bar() as bar:
        task = bar.add_task("simulate", total=rows, note="")
        done = 0

        def show(more: int) -> None:
            nonlocal done
            done += more
            speed = done / max(time.perf_counter() - started, 1e-9)
            bar.update(task, completed=done, note=f"rows, {speed:,.0f}/s")

        made = run(
            output,
            rows=rows,
            users=users,
            ads=ads,
            days=days,
            click_rate=click_rate,
            seed=seed,
            format=format,
            rows_per_file=rows_per_file,
            overwrite=overwrite,
            progress=show,
        )
    facts = [
        ("rows", f"{made.rows:,}"),
        ("requests", f"{made.requests:,}"),
        ("clicks", f"{made.clicks:,}"),
        ("click rate", f"{made.clicks / made.rows:.5f}"),
        ("mean true probability", f"{made.mean_probability:.5f}"),
        ("attainable AUC, all rows", f"{made.attainable_auc:.5f}"),
    ]
    console.print(table(str(output), ("simulated", "value"), facts))
    command = ["plexrank", "prepare", "--schema", str(made.schema), "--input", str(output / "log")]
    command += ["--split-by", "time", "--output", f"{output}-prepared"]
    plural = "s" if len(made.files) > 1 else ""
    console.print(f"Wrote {len(made.files)} {format} file{plural} and {made.schema}.", soft_wrap=True)
    console.print(f"Next: {shlex.join(command)}", soft_wrap=True, highlight=False)
