"""The plexrank command: its verbs, and what a user's mistake looks like."""

import atexit
import gc
import os
import sys
from typing import Annotated

import typer

from commands import (
    compare,
    counterfactual,
    dataset,
    doctor,
    evaluate,
    explain,
    export,
    histories,
    inspect,
    leaderboard,
    prepare,
    profile,
    score,
    serve,
    simulate,
    train,
    tune,
)
from commands._console import errors
from common.errors import PlexrankError
from common.versions import plexrank_version

app = typer.Typer(
    name="plexrank",
    help="Train click-through-rate rankers on raw logs, judge them, and serve them.",
    epilog="A first run: plexrank simulate, prepare, train, evaluate, serve, in this order; or scripts/demo.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    add_completion=False,
)

# Threads that wait for one another sleep instead of spinning: on a machine that does something else besides, spinning
# costs training most of its speed. OpenMP reads this when torch is loaded, which the verbs do.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# What a verb allocates at its start and frees at its end is nearly all modules. To look for garbage among them after
# every 700 new objects, and once more at the end of the process, is a good part of a short command's time.
gc.set_threshold(50_000)
atexit.register(gc.freeze)

_DATA, _TRAIN, _JUDGE, _SERVE, _HELP = "Data", "Train", "Judge", "Serve", "Help"
app.command(rich_help_panel=_DATA)(dataset.dataset)
app.command(rich_help_panel=_DATA)(simulate.simulate)
app.command(rich_help_panel=_DATA)(prepare.prepare)
app.command(rich_help_panel=_DATA)(profile.profile)
app.command(rich_help_panel=_DATA)(histories.histories)
app.command(rich_help_panel=_TRAIN)(train.train)
app.command(rich_help_panel=_TRAIN)(tune.tune)
app.command(rich_help_panel=_JUDGE)(evaluate.evaluate)
app.command(rich_help_panel=_JUDGE)(compare.compare)
app.command(rich_help_panel=_JUDGE)(counterfactual.counterfactual)
app.command(rich_help_panel=_JUDGE)(score.score)
app.command(rich_help_panel=_JUDGE)(explain.explain)
app.command(rich_help_panel=_JUDGE)(inspect.inspect)
app.command(rich_help_panel=_JUDGE)(leaderboard.leaderboard)
app.command(rich_help_panel=_SERVE)(serve.serve)
app.command(rich_help_panel=_SERVE)(export.export)
app.command(rich_help_panel=_HELP)(doctor.doctor)


class _Debug:
    """Whether a user's mistake shows its traceback."""

    on = False


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"plexrank {plexrank_version()}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Options before the verb."""
    _Debug.on = debug


def main() -> None:
    """Run the command line: exit code 2 and one sentence for a user's mistake, 130 after Ctrl-C."""
    try:
        app()
    except PlexrankError as problem:
        if _Debug.on:
            raise
        errors.print(f"[bold red]plexrank:[/] {_escaped(str(problem))}", highlight=False)
        sys.exit(2)
    except SystemExit as end:
        # Of Ctrl-C typer makes exit code 130 without a word; a verb that ends itself so has said why.
        if end.__context__ is not None and isinstance(end.__context__.__cause__, KeyboardInterrupt):
            errors.print("[bold red]plexrank:[/] interrupted; nothing half-written is taken for whole", highlight=False)
        raise


def _escaped(text: str) -> str:
    return text.replace("[", r"\[")


if __name__ == "__main__":
    main()
