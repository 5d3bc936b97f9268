"""plexrank counterfactual: the click rate a ranker would have had, from the log of another."""

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.markup import escape

from commands import _options
from commands._console import console, phases, table

_LOG, _RANKER = "A log with the new policy's probabilities", "Or a log with the new ranker's scores of all candidates"


def counterfactual(
    log: Annotated[
        list[str], typer.Argument(metavar="LOG...", help="csv, tsv or parquet; files, quoted globs or folders.")
    ],
    propensity: Annotated[str, typer.Option(help="With which probability the logging policy showed what it showed.")],
    label: Annotated[str, typer.Option(help="Whether it was clicked, 0 or 1.")] = "label",
    clip: Annotated[
        float | None, typer.Option(help="Cut weights above this: less variance, estimates that tend to be too low.")
    ] = None,
    level: Annotated[float, typer.Option(help="Confidence level of intervals.")] = 0.95,
    target: Annotated[
        str | None,
        typer.Option(help="With which probability the new policy would have shown it.", rich_help_panel=_LOG),
    ] = None,
    predicted: Annotated[
        str | None,
        typer.Option(help="A reward model's click probability of what was shown: doubly robust.", rich_help_panel=_LOG),
    ] = None,
    predicted_target: Annotated[
        str | None,
        typer.Option(help="Its mean click probability over what the new policy would show.", rich_help_panel=_LOG),
    ] = None,
    score: Annotated[
        str | None, typer.Option(help="The new ranker's score; a row a candidate.", rich_help_panel=_RANKER)
    ] = None,
    request: Annotated[
        str, typer.Option(help="What the candidates of one request share.", rich_help_panel=_RANKER)
    ] = "request",
    shown: Annotated[
        str, typer.Option(help="1 for the candidate that was shown, else 0.", rich_help_panel=_RANKER)
    ] = "shown",
    policy: Annotated[
        Literal["greedy", "softmax", "epsilon_greedy"],
        typer.Option(help="How the new ranker's scores become a choice.", rich_help_panel=_RANKER),
    ] = "greedy",
    temperature: Annotated[float, typer.Option(help="Of softmax.", rich_help_panel=_RANKER)] = 1.0,
    epsilon: Annotated[float, typer.Option(help="Of epsilon_greedy.", rich_help_panel=_RANKER)] = 0.1,
    json_: _options.Json = None,
) -> None:
    """Estimate the click rate of a policy that never served, from the log of one that did and wrote down its odds.

    Each logged row is weighted by how much likelier the new policy would have shown it: inverse propensity (ips), the
    same with its weights scaled to add up (snips), and, given a reward model's predictions, the doubly robust estimate.
    Few effective rows mean that the log says little of the new policy, and a mean weight away from 1 that propensities
    are wrong, or that the new policy shows what the old one never did.

    Example: plexrank counterfactual log.parquet --label click --propensity p --target q

    Example: plexrank counterfactual candidates.parquet --label click --propensity p --score s --policy softmax
    """
    from commands import _findings
    from common.errors import ConfigError
    from evaluation.counterfactual import policies
    from evaluation.counterfactual.candidates import Policy, candidates_of
    from evaluation.counterfactual.logged_rows import LoggedRows
    from evaluation.counterfactual.report import counterfactual_of
    from evaluation.rows.columns import Columns
    from evaluation.rows.files import PredictionFiles
    from evaluation.rows.source import rows_of

    if (target is None) == (score is None):
        raise ConfigError("give either --target, the new policy's probabilities, or --score, the new ranker's scores")
    if (predicted is None) != (predicted_target is None):
        raise ConfigError("--predicted and --predicted-target belong together; give both or none")
    if score is not None and predicted is not None:
        raise ConfigError("--predicted goes with --target: give the new policy's probabilities, too")
    _findings.check_outputs(json_, None)
    with phases() as progress:
        done = 0

        def advance(rows: int) -> None:
            nonlocal done
            done += rows
            progress("read", done, files.rows)

        if target is not None:
            rewards = (predicted, predicted_target) if predicted and predicted_target else ()
            columns = Columns(label=label, score=target, others=(propensity, *rewards))
            files = PredictionFiles(log, columns.all, columns.numbers)
            rows = LoggedRows(clip=clip)
            for chunk in rows_of(files, columns):
                rows.update(
                    chunk.labels, chunk.others[propensity], chunk.scores[0], *(chunk.others[name] for name in rewards)
                )
                advance(len(chunk))
        elif score is not None:
            chosen: dict[str, Policy] = {
                "greedy": policies.greedy,
                "softmax": partial(policies.softmax, temperature=temperature),
                "epsilon_greedy": partial(policies.epsilon_greedy, epsilon=epsilon),
            }
            files = PredictionFiles(log, (label, propensity, request, score, shown), (score, propensity, shown))
            rows = candidates_of(
                files,
                chosen[policy],
                label=label,
                propensity=propensity,
                request=request,
                score=score,
                shown=shown,
                clip=clip,
                progress=advance,
            )
    found = counterfactual_of(rows, level=level)
    document = {"log": log, **found.to_json_dict()}
    if json_ == Path("-"):
        _findings.print_json(document)
        return
    lines = [(name, value, escape(rest)) for name, value, rest in found.table_rows()]
    console.print(table(escape(files.name), ("counterfactual", "value", f"{100 * level:g} % interval"), lines))
    for warning in found.warnings:
        console.print(f"[yellow]Careful:[/] {escape(warning)}", soft_wrap=True, highlight=False)
    _findings.write(document, json_, None, None)
