"""Plots of an explanation: reliance on features, interactions, and their ranges over equally good models."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from common.text import printable
from evaluation.explanation.explanation import Explanation, pair_name
from evaluation.explanation.rashomon import Range
from evaluation.explanation.reliance import Reliance
from evaluation.page._forest import Line, forest
from evaluation.page._heat_map import heat_map
from evaluation.page._ranges import range_plot
from evaluation.page._svg import Key, Plot
from evaluation.page._text import level, number

_MOST = 25  # features or pairs in a plot; the tables have all
_MOST_PAIRS = 15
_PAIR = 32  # letters of a pair's name


def reliance_plots(explanation: Explanation) -> list[Plot]:
    """The reliance on each feature in AUC and in logloss, and on each entity's features together."""
    features, groups, level_ = explanation.subject.features, explanation.subject.groups, explanation.level
    auc, logloss = "AUC lost (no unit)", "logloss gained (nats)"
    return [
        _forest("auc-drop", "Drop of AUC", auc, "auc_drop", features, level_),
        _forest("logloss-rise", "Rise of logloss", logloss, "logloss_rise", features, level_),
        _forest("groups", "Drop of AUC by entity", auc, "auc_drop", groups, level_),
    ]


def interaction_plot(explanation: Explanation) -> Plot | None:
    """The strength of each pair's interaction; None where no pair was looked at."""
    pairs = explanation.subject.pairs
    if not pairs:
        return None
    names = _paired_features(explanation)
    values = _square(names, [(some.first, some.second, some.strength.value) for some in pairs])
    best = pairs[0]
    alt = (
        f"Heat map of the interactions of {len(names)} features. The strongest is {printable(pair_name(best))}, "
        f"{number(best.strength.value)} logits."
    )
    reading = (
        "Each cell is how far the logit of a row typically moves because two features act together rather than each on "
        "its own: 0 where the model adds what the two say."
    )
    svg = heat_map("interactions", alt, names, values, rows="feature", columns="feature")
    return Plot("interactions", "Interaction strength", reading, svg, _shades(values, "logits"))


def range_plots(explanation: Explanation) -> list[Plot]:
    """How reliance and interactions range over the equally good models."""
    models = explanation.models
    marked = 0 if models and models[0] is explanation.subject else None
    plots = [
        _range_plot(
            "reliance-ranges",
            "Reliance on each feature",
            explanation.reliance_ranges,
            marked,
            "logloss gained (nats)",
            "Where a line is long, models that predict equally well disagree on how much the feature is worth: a low "
            "end near the dashed line says that one of them does nearly without it.",
        )
    ]
    if not explanation.subject.pairs:
        return plots
    plots.append(
        _range_plot(
            "strength-ranges",
            "Strength of each interaction",
            explanation.strength_ranges,
            marked,
            "strength (logits)",
            "An interaction that is strong in every model is likely one of the data; one whose line reaches to 0 is "
            "the choice of a single model.",
        )
    )
    names = _paired_features(explanation)
    first = {pair_name(some): (some.first, some.second) for some in explanation.subject.pairs}
    for name, title, what in (("mean", "Mean strength", "mean"), ("spread", "Spread of strength", "range")):
        of_pair = {some.name: some.mean if name == "mean" else some.spread for some in explanation.strength_ranges}
        values = _square(names, [(*first[pair], value) for pair, value in of_pair.items()])
        alt = f"Heat map of the {what} of interaction strength over {len(models)} models, for {len(names)} features."
        reading = (
            "Each cell is the strength of an interaction, on average over the equally good models."
            if name == "mean"
            else "Each cell is the strength of an interaction in the model that has most of it, less that in the model "
            "that has least: where it is as great as the mean, the models do not agree that there is one."
        )
        svg = heat_map(f"strength-{name}", alt, names, values, rows="feature", columns="feature")
        plots.append(Plot(f"strength-{name}", title, reading, svg, _shades(values, "logits")))
    plots.append(
        _range_plot(
            "score-ranges",
            "Feature interaction score",
            explanation.score_ranges,
            marked,
            "score (nats of logloss)",
            "Right of the dashed line the two features stand in for one another: they lose more together than apart; "
            "left of it each is of use with the other only.",
        )
    )
    return plots


def _forest(name: str, title: str, unit: str, measure: str, found: Sequence[Reliance], share: float) -> Plot:
    shown = found[:_MOST]
    lines = [Line(some.name, getattr(some, measure).value, getattr(some, measure).interval) for some in shown]
    best = max(shown, key=lambda some: getattr(some, measure).value)
    alt = (
        f"{title} of {len(shown)} of {len(found)}: the most is {number(getattr(best, measure).value, signed=True)}, of "
        f"{printable(best.name)}."
    )
    reading = (
        "Each row is how much worse the model gets on these rows when what is named says nothing; an interval that "
        "reaches the dashed line may as well be of something that the model does without."
    )
    svg = forest(name, alt, lines, reference=0.0, x_label=unit, y_label="entity" if name == "groups" else "feature")
    keys = (Key("rows", f"{level(share)} interval", "thick"), Key("before", "no loss", "dashed"))
    which = f", the {_MOST} most relied on" if len(found) > _MOST else ""
    return Plot(name, title + which, reading, svg, keys)


def _range_plot(name: str, title: str, found: Sequence[Range], marked: int | None, unit: str, reading: str) -> Plot:
    pairs = name != "reliance-ranges"
    shown = found[: _MOST_PAIRS if pairs else _MOST]
    widest = max(shown, key=lambda some: some.spread)
    alt = (
        f"{title} over {len(widest.values)} models. The widest range is that of {printable(widest.name)}, from "
        f"{number(widest.low, signed=True)} to {number(widest.high, signed=True)}."
    )
    svg = range_plot(
        name,
        alt,
        shown,
        marked=marked,
        x_label=unit,
        y_label="pair" if pairs else "feature",
        longest=_PAIR if pairs else 20,
    )
    keys = [Key("rows", "a model", "point")]
    if marked is not None:
        keys.append(Key("rate", "the model explained above", "diamond"))
    which = f", the {len(shown)} greatest" if len(found) > len(shown) else ""
    return Plot(name, title + which, reading, svg, tuple(keys))


def _paired_features(explanation: Explanation) -> list[str]:
    """The features whose pairs were looked at, the most relied on first."""
    paired = {name for some in explanation.subject.pairs for name in (some.first, some.second)}
    return [some.name for some in explanation.subject.features if some.name in paired]


def _square(names: Sequence[str], cells: Sequence[tuple[str, str, float]]) -> npt.NDArray[np.float64]:
    """Cells of pairs as a symmetric table; NaN where there is none."""
    values = np.full((len(names), len(names)), np.nan)
    for first, second, value in cells:
        row, column = names.index(first), names.index(second)
        values[row, column] = values[column, row] = value
    return values


def _shades(values: npt.NDArray[np.float64], unit: str) -> tuple[Key, ...]:
    return (Key("rows", f"from 0 (empty) to {number(float(np.nanmax(values)))} {unit}", "area"),)
