"""plexrank export: an artifact as one file of torch operators."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from commands._console import MAX_SEED, console, table

if TYPE_CHECKING:
    from features.encoding.encoded import EncodedRows
    from training.artifact import Artifact


def export(
    artifact: Annotated[Path, typer.Option(help="The artifact's folder.")],
    output: Annotated[Path, typer.Option(help="File to write, .pt2.")],
    data: Annotated[
        Path | None,
        typer.Option(help="A prepared set to check it on.", show_default="rows drawn from the artifact's schema"),
    ] = None,
    split: Annotated[str, typer.Option(help="Which rows of it: train, valid or test.")] = "test",
    rows: Annotated[int, typer.Option(help="Rows to check it on.", min=1, max=1_000_000)] = 1_000,
    seed: Annotated[int, typer.Option(help="Of the rows.", min=0, max=MAX_SEED)] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUTPUT if it exists.")] = False,
) -> None:
    """Export a ranker as a program of torch operators (torch.export), for runtimes without its code.

    The program holds the weights and takes batches of any size from two rows on: encoded rows, as plexrank prepare
    writes them and the artifact's schema encodes them. Before the file appears it is read back, and must give the
    artifact's own scores. plexrank serve needs no program: it takes the artifact, and raw values.

    Python reads it with torch.export.load after importing kernels.lookup.ops, which registers the lookup operator. The
    extra file plexrank.json in it names the artifact's digest, the order of the features and the inputs. Such files
    hold pickles: load only those you trust.

    Example: plexrank export --artifact runs/today/artifact --output ranker.pt2 --data prepared
    """
    from common.errors import ConfigError
    from common.files import atomic_file

    if output.suffix != ".pt2":
        raise ConfigError(f"{output} is no .pt2; name it so")
    if output.exists() and not overwrite:
        raise ConfigError(f"{output} exists; choose another file or add --overwrite")
    if not output.parent.is_dir():
        raise ConfigError(f"{output.parent} is no folder; create it, or choose another")

    from training.artifact import Artifact
    from training.program import check_program, describe, draw_rows, save_program

    loaded = Artifact.load(artifact)
    checked = draw_rows(loaded.fitted, rows, seed) if data is None else _rows_of(loaded, data, split, rows, seed)
    with atomic_file(output) as partial:
        save_program(loaded, partial)
        difference = check_program(partial, loaded, checked)
    _show(output, describe(loaded))
    source = "rows drawn from the schema" if data is None else f"{split} rows of {data}"
    console.print(
        escape(f"Wrote {output}: on {len(checked):,} {source} its scores are the artifact's to {difference:.1g}."),
        soft_wrap=True,
        highlight=False,
    )


def _rows_of(artifact: "Artifact", data: Path, split: str, rows: int, seed: int) -> "EncodedRows":
    from features.datasets.prepared import PreparedSet
    from training.explanation.sample import sample_rows

    prepared = PreparedSet(data)
    prepared.check_reader("the artifact", artifact.fitted.digest)
    return sample_rows(prepared, split, rows, seed)


def _show(output: Path, about: dict[str, Any]) -> None:
    """Print how to use a program."""
    inputs = [(name, *told.values()) for name, told in about["inputs"].items()]
    lines = [tuple(map(escape, line)) for line in (*inputs, ("returns", *about["output"].values()))]
    title = escape(f"{about['name']}@{about['digest'][:12]}: program(dense, values, offsets) of B rows, from 2 on")
    console.print(table(title, ("", "dtype", "shape", "holds"), lines, numbers=False))
    for what in ("numerics", "keys"):
        console.print(escape(f"{what}: {', '.join(about[what]) or 'none'}"), soft_wrap=True, highlight=False)
    first = f"import {about['import_first']}; " if about["import_first"] else ""
    use = f'Read it: {first}program = torch.export.load("{output}").module()'
    console.print(escape(use), soft_wrap=True, highlight=False)
