"""Plots of a search: its history, epochs, what matters, and each of the things that vary."""

from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING

from common.text import printable
from evaluation.page._scale import Scale
from evaluation.page._svg import BEFORE, RATE, ROWS, Key, Plot, draw, stand_in
from evaluation.page._text import number, percent
from evaluation.search.search import Axis, Search
from evaluation.search.trial import Trial, value_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NONE = "no trial has been judged"
_MARKS = (Key("rows", "finished", "point"), Key("before", "pruned, its best epoch", "hollow"))
_FAR = 4  # times as far below the best as the middle is: what lies beyond is drawn at the edge
_LONGEST, _LETTERS = 18, 40  # of a choice below its axis, and of all of them side by side


def search_plots(search: Search) -> list[Plot]:
    """The plots that show the search as a whole."""
    return [_history(search), _epochs(search), _importances(search)]


def axis_plots(search: Search) -> list[Plot]:
    """A plot for each thing that varies, what matters most first."""
    order = sorted(search.axes, key=lambda axis: -search.importances.get(axis.key, 0.0))
    return [_axis(search, axis, place) for place, axis in enumerate(order)]


def _history(search: Search) -> Plot:
    title = "History"
    reading = (
        "Each point is a trial; the line is the best finished so far. Where it has been flat for long, more trials of "
        "the same space will hardly help."
    )
    judged, scale = _judged(search), _scale(search)
    if scale is None:
        return Plot("history", title, reading, None, reason=_NONE)
    own = None if search.own is None else search.trials[search.own].value
    best: list[tuple[int, float]] = []
    for trial in search.trials:
        if trial.state == "finished" and trial.value is not None and (not best or trial.value > best[-1][1]):
            best.append((trial.number, trial.value))

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        if own is not None:
            axes.axhline(scale.nearest(search.shown(own)), color=BEFORE, linewidth=1.2, linestyle=(0, (5, 4)))
        if best:
            ends = [*best, (search.trials[-1].number, best[-1][1])]
            heights = [scale.nearest(search.shown(value)) for _, value in ends]
            axes.plot([at for at, _ in ends], heights, color=RATE, drawstyle="steps-post")
        _scatter(axes, search, scale, [(trial, float(trial.number)) for trial in judged])
        _whole_numbers(axes)
        axes.set(xlabel="trial", ylabel=f"{search.label} on valid")

    keys = [*_MARKS, Key("rate", "best so far")]
    if own is not None:
        keys.append(Key("before", "the run file's own values", "dashed"))
    alt = f"{search.label} of {len(judged)} trials in their order." + (
        f" The best, {number(search.shown(best[-1][1]))}, is trial {best[-1][0]}." if best else ""
    )
    return Plot("history", title, reading, draw("history", alt, paint), tuple(keys))


def _epochs(search: Search) -> Plot:
    title = "Epoch by epoch"
    reading = (
        "Each line is a trial: it ends where it was pruned, or where epochs without gain ended it. A best line that "
        "still rises at its end asks for more epochs."
    )
    judged, scale = _judged(search), _scale(search)
    if scale is None:
        return Plot("epochs", title, reading, None, reason=_NONE)
    best = search.best
    looks = {"finished": (ROWS, 1.2, 0.55), "pruned": (BEFORE, 1.2, 0.8)}

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        for trial in judged:
            colour, width, alpha = looks[trial.state]
            if trial is best:
                colour, width, alpha = RATE, 2.4, 1.0
            heights = [scale.nearest(search.shown(value)) for value in trial.curve.values()]
            axes.plot(list(trial.curve), heights, "o-", color=colour, linewidth=width, alpha=alpha, markersize=3)
        _whole_numbers(axes)
        scale.apply(axes, "y")
        axes.set(xlabel="epoch", ylabel=f"{search.label} on valid")

    longest = max(len(trial.curve) for trial in judged)
    alt = f"{search.label} by epoch of {len(judged)} trials, of {longest} epochs at most."
    keys = (Key("rate", "the best"), Key("rows", "finished"), Key("before", "pruned"))
    return Plot("epochs", title, reading, draw("epochs", alt, paint), keys)


def _importances(search: Search) -> Plot:
    title = "What matters"
    reading = (
        "How differently the best trials are spread over each setting than all finished ones (PED-ANOVA), as shares of "
        "all settings; of few trials, a rough guide."
    )
    if not search.importances:
        return Plot("importances", title, reading, None, reason="at least ten trials must finish to tell")
    found = list(search.importances.items())
    texts = [printable(search.name_of(key), longest=30) for key, _ in found]

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        axes.barh(range(len(found)), [100 * share for _, share in found], color=ROWS, height=0.62)
        axes.set_yticks(range(len(found)), labels=[stand_in(row, text) for row, text in enumerate(texts)])
        axes.invert_yaxis()
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", visible=False)
        axes.set(xlabel="share of the importance (%)", xlim=(0, None))

    alt = "Importance of " + ", ".join(f"{key} {percent(share)}" for key, share in found) + "."
    height = 70.0 + 30.0 * len(found)
    return Plot("importances", title, reading, draw("importances", alt, paint, height=height, texts=texts))


def _axis(search: Search, axis: Axis, place: int) -> Plot:
    name, title = f"axis-{place}", printable(axis.key, longest=60)
    reading = (
        "Each point is a trial. The best at an end of the range asks for a wider one; points that are as high "
        "everywhere say that the setting hardly matters."
    )
    scale = _scale(search)
    if scale is None:
        return Plot(name, title, reading, None, reason=_NONE)
    values = [(trial, trial.values[axis.key]) for trial in _judged(search)]
    texts = [printable(value_text(value), longest=_LONGEST) for value in axis.corners] if axis.chosen else []
    places = [(trial, float(axis.corners.index(value) if axis.chosen else value)) for trial, value in values]

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        if axis.chosen:
            every = range(len(texts))
            turn = 30 if sum(map(len, texts)) > _LETTERS else 0
            labels = [stand_in(at, text) for at, text in zip(every, texts, strict=True)]
            axes.set_xticks(every, labels=labels, rotation=turn, ha="right" if turn else "center")
            axes.set_xlim(-0.5, len(texts) - 0.5)
        else:
            stretch = Scale.around(axis.corners, (), logarithmic=axis.logarithmic)
            assert stretch is not None
            stretch.apply(axes, "x")
        _scatter(axes, search, scale, places)
        axes.set(xlabel=axis.key.split(".")[-1], ylabel=f"{search.label} on valid")

    best = search.best
    alt = f"{search.label} against {title} of {len(places)} trials."
    if best is not None:
        alt += f" The best has {printable(value_text(best.values[axis.key]))}."
    keys = (*_MARKS, Key("rate", "the best", "diamond"))
    return Plot(name, title, reading, draw(name, alt, paint, texts=texts), keys)


def _judged(search: Search) -> list[Trial]:
    return [trial for trial in search.trials if trial.state in ("finished", "pruned") and trial.curve]


def _scale(search: Search) -> Scale | None:
    """An axis for what trials are judged by, on which the good ones can be told apart."""
    values = [value for trial in _judged(search) if (value := trial.value) is not None]
    if not values:
        return None
    best, middle = max(values), median(values)
    seen = [value for value in values if best - value <= _FAR * (best - middle)]
    return Scale.around([search.shown(value) for value in seen], ())


def _scatter(axes: "Axes", search: Search, scale: Scale, places: Sequence[tuple[Trial, float]]) -> None:
    """Draw trials as points: the best as a diamond, those beyond the axis at its edge."""
    for trial, at in places:
        assert trial.value is not None
        value = search.shown(trial.value)
        if trial is search.best:
            axes.plot(at, scale.nearest(value), "D", color=RATE, markersize=7, zorder=3)
            continue
        beyond = scale.nearest(value) != value
        mark = ("v" if value < scale.low else "^") if beyond else "o"
        pruned = trial.state == "pruned"
        colour, fill = (BEFORE, "none") if pruned else (ROWS, "full")
        axes.plot(at, scale.nearest(value), mark, color=colour, fillstyle=fill, markersize=5, clip_on=False)
    scale.apply(axes, "y")


def _whole_numbers(axes: "Axes") -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
