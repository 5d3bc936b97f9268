"""plexrank evaluate: how good a model's predictions are."""

from pathlib import Path
from typing import Annotated

import typer

from commands import _options
from commands._console import phases


def evaluate(
    artifact: Annotated[Path | None, typer.Option(help="An artifact's folder; needs --data.")] = None,
    predictions: Annotated[
        list[str] | None,
        typer.Option(
            help="Predictions of any system instead: csv, tsv or parquet; a file, quoted glob or folder. Repeatable."
        ),
    ] = None,
    data: _options.Data = None,
    split: _options.Split = "test",
    table: _options.Table = "fp32",
    label: _options.Label = "label",
    score: _options.Score = "score",
    group: _options.Group = None,
    request: _options.Request = None,
    weight: _options.Weight = None,
    time: _options.Time = None,
    truth: _options.Truth = None,
    by: _options.By = None,
    slices: _options.Slices = 100,
    span: _options.Span = "day",
    k: _options.K = 10,
    level: _options.Level = 0.95,
    bootstrap: _options.Bootstrap = 0,
    seed: _options.Seed = 0,
    compare: Annotated[
        str | None,
        typer.Option(
            help="The model that serves now, an artifact or predictions of the same rows: paired differences from it.",
            rich_help_panel="Against another",
        ),
    ] = None,
    key: _options.Key = None,
    gate: Annotated[
        Path | None,
        typer.Option(help="A yaml file of rules; exit code 1 where one is broken.", rich_help_panel="Against another"),
    ] = None,
    json_: _options.Json = None,
    report: _options.Page = None,
    memory_mb: _options.Memory = 2048,
) -> None:
    """Measure predictions: exact AUC, GAUC, logloss, calibration and more, each with its interval.

    AUC counts ties half and is exact at any size. GAUC is the AUC within each group, weighted by rows; groups of one
    class are left out and counted. The calibration ratio is predicted over observed clicks. Intervals take rows for
    independent (AUC's is DeLong's); those of --bootstrap know that a user's rows belong together.

    A file for --gate:  {rules: [{metric: auc, at_least: 0.75}, {metric: auc, versus_other: not_worse},
    {metric: calibration_ratio, at_least: 0.9, at_most: 1.1, column: country}]}; by: interval holds the whole interval
    to the bounds, and versus_other may also be better, or within with a margin.

    Example: plexrank evaluate --artifact runs/today/artifact --data prepared --report report.html

    Example: plexrank evaluate --predictions scores.csv --label click --score p --group user --by country
    """
    from commands import _findings
    from commands._sources import Scoring, facts_of, short_names, title_of
    from common.errors import ConfigError
    from evaluation.metrics.auc import auc_of
    from evaluation.page.page import page
    from evaluation.report.comparer import Comparer
    from evaluation.report.evaluator import Evaluator, Wanted
    from evaluation.report.gate import judge, load_rules, require_measured
    from evaluation.report.metric import Metric
    from evaluation.rows.aligned import aligned
    from evaluation.rows.columns import Columns
    from evaluation.rows.source import Source
    from evaluation.state.score_distribution import ScoreDistribution

    if (artifact is None) == (not predictions):
        raise ConfigError("give either --artifact with --data, or --predictions")
    _findings.check_outputs(json_, report)
    rules = None if gate is None else load_rules(gate)
    scoring = Scoring(data, split, table)
    columns = Columns(
        label=label,
        score=score,
        group=group or (None if artifact is None else scoring.group(artifact)),
        request=request,
        weight=weight,
        time=time,
        slices=tuple(dict.fromkeys(by or ())),
        others=() if truth is None else (truth,),
    )
    if bootstrap and columns.group is None:
        raise ConfigError("--bootstrap draws groups, and none is declared; add --group")
    if rules is not None:
        require_measured(rules, columns.slices, compared=compare is not None)
    share = memory_mb if truth is None else memory_mb // 2
    wanted = Wanted(level=level, k=k, most_slices=slices, span=span, replicates=bootstrap, seed=seed, memory_mb=share)
    sources: list[Source] = [
        scoring.open(predictions or [], columns, key or ())
        if artifact is None
        else scoring.artifact(artifact, columns, key or ())
    ]
    if compare is not None:
        sources.append(scoring.open([compare], columns.scores_only, key or ()))
    evaluator = Evaluator(columns, wanted)
    names = short_names([source.name for source in sources])
    comparer = None if compare is None else Comparer(names, columns, wanted, live=1)
    attainable = ScoreDistribution(memory_mb=share)
    with phases() as progress:
        done = 0
        for rows in aligned(sources, columns, key or ()):
            evaluator.update(rows)
            if comparer is not None:
                comparer.update(rows)
            if truth is not None:
                attainable.update(rows.labels, rows.others[truth], rows.weights)
            done += len(rows)
            progress("read", done, sources[0].rows)
        evaluation = evaluator.evaluation(title_of(sources[0]), progress)
        comparison = None if comparer is None else comparer.comparison(progress)
    outcomes = () if rules is None else judge(rules, evaluation, comparison)

    facts = facts_of(sources[0])
    document = {**facts, **evaluation.to_json_dict()}
    about, more = dict(facts), []
    if truth is not None:
        best = Metric.measure("attainable_auc", lambda: auc_of(attainable, level=level))
        document["attainable_auc"] = best.value
        value, rest = best.as_text()
        about["attainable AUC"] = f"{value} ({rest})"
        more.append((best.name, value, rest, "the AUC of the true probabilities"))
    if comparison is not None:
        document["comparison"] = comparison.to_json_dict()
    if rules is not None:
        document["gate"] = [outcome.to_json_dict() for outcome in outcomes]
    if json_ == Path("-"):
        _findings.print_json(document)
    else:
        _findings.show_evaluation(evaluation, level, more)
        if comparison is not None:
            _findings.show_comparison(comparison)
        if outcomes:
            _findings.show_outcomes(outcomes)
    _findings.write(document, json_, report, None if report is None else page(evaluation, comparison, outcomes, about))
    _findings.exit_code(outcomes)
