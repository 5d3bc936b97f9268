"""plexrank explain: what a model relies on, and how far equally good models agree."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from commands import _options
from commands._console import MAX_SEED, console, phases, table
from common.errors import ConfigError

if TYPE_CHECKING:
    from evaluation.estimate import PairedDifference
    from evaluation.explanation.explanation import Explanation
    from evaluation.explanation.rashomon import Range
    from evaluation.explanation.reliance import Reliance
    from training.records import Epoch, Start

_ROWS, _MODELS, _OUTPUT = "Rows and permutations", "Equally good models", "Output"
_LINES = 20  # of a table, in the terminal


def explain(
    artifact: Annotated[
        list[str],
        typer.Option(help="The artifact's folder. Others after it, folders of runs or quoted globs, are compared."),
    ],
    data: Annotated[Path, typer.Option(help="The prepared set.")],
    split: Annotated[
        str, typer.Option(help="Which rows of it: train, valid or test.", rich_help_panel=_ROWS)
    ] = "valid",
    rows: Annotated[int, typer.Option(min=2, help="Rows to look at, drawn by --seed.", rich_help_panel=_ROWS)] = 20_000,
    repeats: Annotated[
        int, typer.Option(min=1, help="Permutations of each feature; more narrow the intervals.", rich_help_panel=_ROWS)
    ] = 5,
    pairs: Annotated[
        int,
        typer.Option(min=0, help="Features to look at in pairs: those relied on most. 0: none.", rich_help_panel=_ROWS),
    ] = 10,
    row: Annotated[
        list[int] | None,
        typer.Option(
            help="Show AutoInt's attention in this row on the page, by its number in the raw input. Repeatable.",
            rich_help_panel=_ROWS,
        ),
    ] = None,
    level: Annotated[float, typer.Option(help="Confidence level of intervals.", rich_help_panel=_ROWS)] = 0.95,
    seed: Annotated[
        int, typer.Option(min=0, max=MAX_SEED, help="Of rows and permutations.", rich_help_panel=_ROWS)
    ] = 0,
    seeds: Annotated[
        int,
        typer.Option(
            min=0, help="Train the artifact's run again with so many further seeds first.", rich_help_panel=_MODELS
        ),
    ] = 0,
    work: Annotated[
        Path | None,
        typer.Option(help="Where they go; those already finished there are used.", rich_help_panel=_MODELS),
    ] = None,
    epsilon: Annotated[
        float,
        typer.Option(
            min=0, help="Models are equally good within this share of the best valid logloss.", rich_help_panel=_MODELS
        ),
    ] = 0.01,
    json_: _options.Json = None,
    page: _options.Page = None,
) -> None:
    """Show what a model relies on, which features act together, and where equally good models disagree.

    **Importance.** The values of a feature are exchanged between rows and the model is scored again: the drop of AUC
    and the rise of logloss are what the model loses when the feature says nothing. Correlated features stand in for one
    another: each alone looks less important than it is, and exchanged values make rows that the data never has. The
    features of an entity (user, item, context) are therefore also exchanged together.

    **Interactions.** The strength, in logits, is how far the logit typically moves because two features act together;
    it is 0 for a model that adds them. The feature interaction score is the rise of logloss without both less those
    without each: above 0 the two stand in for one another, below 0 each is of use with the other only.

    **Equally good models.** With several artifacts, or --seeds, all is repeated for every model whose valid logloss is
    within --epsilon of the best. What only some of them rely on is the choice of a model, not a fact of the data.

    **Attention.** Of AutoInt, --page also shows which field attends to which, on average and in each --row.

    Intervals are of the model as it is, on new rows like these; rows count as independent. Looking at the test split to
    understand is fine, but features chosen by it are selected on it.

    Example: plexrank explain --artifact runs/today/artifact --data prepared --page explained.html

    Example: plexrank explain --artifact runs/today/artifact --data prepared --seeds 4 --work runs/today/seeds
    """
    from commands import _findings
    from commands._sources import short_names
    from evaluation.explanation.explanation import Explanation, ModelExplanation
    from evaluation.explanation.rashomon import RashomonSet
    from evaluation.explanation.switched import draw_donors
    from evaluation.interval import quantile
    from evaluation.page.explanation import explanation_page
    from features.datasets.prepared import PreparedSet
    from training.artifact import Artifact
    from training.explanation.attention import attention_of
    from training.explanation.candidates import find_artifacts, read_candidate
    from training.explanation.reliance import explain_model
    from training.explanation.sample import sample_rows, single_rows
    from training.explanation.seeds import train_seeds

    if seeds and work is None:
        raise ConfigError("--seeds trains models, and they need a folder; add --work")
    if work is not None and not seeds:
        raise ConfigError("--work is where --seeds trains, and none is wanted; add --seeds, or give WORK as --artifact")
    if row and page is None and json_ is None:
        raise ConfigError("a --row is shown on a page or as json, and none is wanted; add --page, or --json")
    quantile(level)  # refuses a level before long work
    _findings.check_outputs(json_, page)
    prepared = PreparedSet(data)
    paths = find_artifacts(artifact)
    for path in paths:
        read_candidate(str(path), path, prepared)  # refuses other data before long work
    sample = sample_rows(prepared, split, rows, seed)
    single = single_rows(prepared, split, row or ())
    donors = draw_donors(len(sample), repeats, seed)
    with phases() as progress:
        if work is not None:
            paths += [
                path
                for path in train_seeds(paths[0], data, work, seeds, lambda seed: _Seed(seed, progress))
                if path.resolve() not in {known.resolve() for known in paths}
            ]
        names = short_names([str(path) for path in paths])
        rashomon = RashomonSet(
            tuple(read_candidate(name, path, prepared) for name, path in zip(names, paths, strict=True)), epsilon
        )
        kept = {some.name for some in rashomon.kept}
        found: list[ModelExplanation] = []
        attention = None
        for name, path in zip(names, paths, strict=True):
            if found and name not in kept:
                continue
            loaded = Artifact.load(path)
            explained = explain_model(
                name,
                loaded.model,
                sample,
                donors,
                level=level,
                most=pairs,
                paired=[some.name for some in found[0].features[:pairs]] if found else None,
                progress=lambda done, total, name=name: progress(f"score {name}", done, total),  # type: ignore[misc]
            )
            if not found:
                attention = attention_of(loaded.model, loaded.fitted, sample, single)
                title = f"{loaded.name}@{loaded.digest[:12]} on {split}"
                facts = {"artifact": str(path), "digest": loaded.digest, "data": str(data), "split": split}
            found.append(explained)
    assert sample.label is not None
    explanation = Explanation(
        title=title,
        rows=len(sample),
        label_rate=float(sample.label.mean()),
        repeats=repeats,
        level=level,
        subject=found[0],
        others=tuple(found[1:]),
        rashomon=rashomon,
        attention=attention,
    )
    notes = _notes(explanation, split, rows_asked=bool(row))
    document = {**facts, **explanation.to_json_dict(), "notes": notes}
    if json_ == Path("-"):
        _findings.print_json(document)
    else:
        _show(explanation, notes)
    html = None if page is None else explanation_page(explanation, notes, {**facts, "digest": facts["digest"][:12]})
    _findings.write(document, json_, page, html)


class _Seed:
    """Shows how far the training of a seed is."""

    def __init__(self, seed: int, progress: Callable[[str, int, int], None]) -> None:
        self._phase = f"train seed {seed}"
        self._progress = progress
        self._rows = self._steps = 0

    def on_start(self, start: "Start") -> None:
        """Keep what an epoch is."""
        self._rows, self._steps = start.rows, start.steps

    def on_step(self, epoch: int, step: int, loss: float, samples_per_second: float) -> None:
        """Move the bar, which starts anew with each epoch: how many there will be is not known."""
        self._progress(f"{self._phase}, epoch {epoch}", self._rows * step // self._steps, self._rows)

    def on_epoch(self, record: "Epoch") -> None:
        """Nothing: the next epoch has a bar of its own."""

    def close(self) -> None:
        """Nothing to close."""


def _notes(explanation: "Explanation", split: str, *, rows_asked: bool) -> list[str]:
    """What to keep in mind, a sentence each."""
    notes = [
        "Correlated features stand in for one another: exchanging the values of one alone understates each of them, "
        "and makes rows that the data never has; read features that belong together as a group."
    ]
    if split == "test":
        notes.append("These are test rows: features chosen by them are selected on the test split.")
    if split == "train":
        notes.append(
            "These are rows the model was trained on: it relies more on what it knows by heart than elsewhere."
        )
    if len(explanation.models) == len(explanation.others):
        worse = next(some for some in explanation.rashomon.candidates if some.name == explanation.subject.name)
        notes.append(
            f"The model explained is not among the equally good ones: its logloss is "
            f"{100 * explanation.rashomon.excess(worse):.2g} % above the best."
        )
    if rows_asked and explanation.attention is None:
        notes.append("The model pays no attention between fields, so --row shows nothing.")
    return notes


def _show(explanation: "Explanation", notes: Sequence[str]) -> None:
    """Print the tables."""
    from evaluation.explanation.explanation import pair_name

    subject, rashomon = explanation.subject, explanation.rashomon
    share = f"{100 * explanation.level:g} % interval"
    console.print(
        escape(f"{explanation.title}: {explanation.rows:,} rows, AUC {subject.auc:.5f}, logloss {subject.logloss:.5f}"),
        highlight=False,
    )
    for what, found in (("feature", subject.features), ("entity", subject.groups)):
        title = f"loss without each {what} ({share})"
        console.print(table(_cut(title, len(found)), (what, "drop of AUC", "rise of logloss"), _reliances(found)))
    if subject.pairs:
        lines = [
            (escape(pair_name(some)), _estimate(some.strength, signed=False), _estimate(some.score))
            for some in subject.pairs[:_LINES]
        ]
        title = f"interaction of each two features ({share})"
        headers = ("pair", "strength, logits", "interaction score, logloss")
        console.print(table(_cut(title, len(subject.pairs)), headers, lines))
    if len(rashomon.candidates) > 1:
        kept = rashomon.kept
        models = [
            (
                escape(some.name),
                f"{some.logloss:.5f}",
                f"{100 * rashomon.excess(some):.2f} %",
                "kept" if some in kept else "",
            )
            for some in rashomon.candidates
        ]
        title = f"models within {100 * rashomon.epsilon:g} % of the best valid logloss: {len(kept)} of {len(models)}"
        console.print(table(title, ("model", "valid logloss", "above the best", ""), models))
    if len(explanation.models) > 1:
        for title, ranges in (
            ("rise of logloss without each feature", explanation.reliance_ranges),
            ("strength of each interaction, logits", explanation.strength_ranges),
        ):
            if ranges:
                title = f"{title}, over {len(explanation.models)} models"
                console.print(table(_cut(title, len(ranges)), ("", "least", "mean", "most"), _ranges(ranges)))
    for note in notes:
        console.print(f"[yellow]Careful:[/] {escape(note)}", soft_wrap=True, highlight=False)


def _cut(title: str, number: int) -> str:
    more = number - _LINES
    return f"{title}, {more:,} more are in --json and --page" if more > 0 else title


def _reliances(found: "Sequence[Reliance]") -> list[tuple[str, str, str]]:
    return [(escape(some.name), _estimate(some.auc_drop), _estimate(some.logloss_rise)) for some in found[:_LINES]]


def _ranges(found: "Sequence[Range]") -> list[tuple[str, str, str, str]]:
    lines = found[:_LINES]
    return [(escape(some.name), f"{some.low:.5f}", f"{some.mean:.5f}", f"{some.high:.5f}") for some in lines]


def _estimate(found: "PairedDifference", *, signed: bool = True) -> str:
    value = f"{found.value:{'+' if signed else ''}.5f}"
    rest = found.reason if found.interval is None else found.interval.as_text(signed=signed)
    return f"{value} ({rest})"
