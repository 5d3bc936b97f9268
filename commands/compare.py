"""plexrank compare: which of several models goes live."""

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from commands import _options
from commands._console import phases


def compare(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="LIVE MODEL...",
            help="The model that serves now, and those that might: artifacts' folders, or files of predictions.",
        ),
    ],
    data: _options.Data = None,
    split: _options.Split = "test",
    table: _options.Table = "fp32",
    label: _options.Label = "label",
    score: _options.Score = "score",
    group: _options.Group = None,
    weight: _options.Weight = None,
    key: _options.Key = None,
    metric: Annotated[str, typer.Option(help="What the verdict goes by: auc, gauc, logloss, brier.")] = "auc",
    by: _options.By = None,
    slices: _options.Slices = 100,
    level: _options.Level = 0.95,
    bootstrap: _options.Bootstrap = 0,
    seed: _options.Seed = 0,
    json_: _options.Json = None,
    report: _options.Page = None,
    memory_mb: _options.Memory = 2048,
) -> None:
    """Compare models on the same rows: every pair's differences with intervals, and which one goes live.

    Differences are paired: as all models face the same rows, far smaller ones are seen than by comparing two intervals.
    The first model is taken for the one that serves; another takes its place only where it is shown to be better, with
    allowance for the number of models looked at. The rows are held in memory. --report writes the page of the model
    that the verdict names.

    Example: plexrank compare runs/live/artifact runs/a/artifact runs/b/artifact --data prepared

    Example: plexrank compare live.csv new.parquet --label click --score p --key request --key ad --by country
    """
    from commands import _findings
    from commands._sources import Scoring, facts_of, short_names, title_of
    from common.errors import ConfigError
    from evaluation.page.page import page
    from evaluation.report.comparer import Comparer
    from evaluation.report.evaluator import Evaluator, Wanted
    from evaluation.rows.aligned import aligned
    from evaluation.rows.columns import Columns

    if len(models) < 2:
        raise ConfigError("one model cannot be compared; give two or more, or use plexrank evaluate")
    names = short_names(models)
    _findings.check_outputs(json_, report)
    scoring = Scoring(data, split, table)
    columns = Columns(
        label=label,
        score=score,
        group=group or scoring.group(Path(models[0])),
        weight=weight,
        slices=tuple(dict.fromkeys(by or ())),
    )
    if bootstrap and columns.group is None:
        raise ConfigError("--bootstrap draws groups, and none is declared; add --group")
    wanted = Wanted(level=level, most_slices=slices, replicates=bootstrap, seed=seed, memory_mb=memory_mb)
    comparer = Comparer(names, columns, wanted, live=0, metric=metric)
    sources = [
        scoring.open([model], columns if i == 0 else columns.scores_only, key or ()) for i, model in enumerate(models)
    ]
    share = dataclasses.replace(wanted, memory_mb=max(memory_mb // len(models), 1))
    evaluators = [Evaluator(columns, share) for _ in models]
    with phases() as progress:
        done = 0
        for rows in aligned(sources, columns, key or ()):
            comparer.update(rows)
            for i, evaluator in enumerate(evaluators):
                evaluator.update(dataclasses.replace(rows, scores=(rows.scores[i],)))
            done += len(rows)
            progress("read", done, sources[0].rows)
        evaluations = [
            evaluator.evaluation(title_of(source), progress)
            for evaluator, source in zip(evaluators, sources, strict=True)
        ]
        comparison = comparer.comparison(progress)
    document = {
        "models": {
            name: {**facts_of(source), **evaluation.report.to_json_dict()}
            for name, source, evaluation in zip(names, sources, evaluations, strict=True)
        },
        "comparison": comparison.to_json_dict(),
    }
    if json_ == Path("-"):
        _findings.print_json(document)
    else:
        _findings.show_reports(dict(zip(names, (some.report for some in evaluations), strict=True)))
        _findings.show_comparison(comparison)
    best = names.index(comparison.best)
    _findings.write(
        document,
        json_,
        report,
        None if report is None else page(evaluations[best], comparison, (), facts_of(sources[best])),
    )
