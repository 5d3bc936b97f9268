"""Plots of all rows: ROC, precision and recall, reliability, scores by class, lift."""

from bisect import bisect_left
from typing import TYPE_CHECKING

import numpy as np

from evaluation.metrics.reliability import ReliabilityBin
from evaluation.page._scale import Scale, tick_texts
from evaluation.page._svg import BEFORE, INK, RATE, ROWS, Key, Plot, draw
from evaluation.page._text import ends, level, number, percent
from evaluation.report.curves import ClassHistogram
from evaluation.report.evaluation import Evaluation
from evaluation.report.report import Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDE = 50  # times the smallest: from there on predictions are drawn on logarithmic axes
_LARGEST = 1e300  # score on an axis: beyond it, its length overflows
_DASHED = (0, (5, 4))


def curve_plots(evaluation: Evaluation) -> list[Plot]:
    """The plots of an evaluation's curves, in the order of the page."""
    return [
        _roc(evaluation),
        _precision_recall(evaluation),
        _reliability(evaluation),
        _scores(evaluation),
        _lift(evaluation),
    ]


def _roc(evaluation: Evaluation) -> Plot:
    title = "ROC curve"
    reading = (
        "Lower the threshold on the score and the curve goes up by the rows of label 1 it lets in and to the right by "
        "those of label 0: the further it runs above the dashed line, the better the order."
    )
    curve = evaluation.curves.roc
    if curve is None:
        return Plot("roc", title, reading, None, reason=_why(evaluation.report, "auc"))

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        axes.plot([0, 100], [0, 100], color=BEFORE, linewidth=1.2, linestyle=_DASHED)
        axes.plot(100 * np.array(curve.x), 100 * np.array(curve.y), color=ROWS, clip_on=False)
        axes.set(xlim=(0, 100), ylim=(0, 100))
        axes.set(xlabel="false positive rate (% of label 0)", ylabel="true positive rate (% of label 1)")

    found = percent(float(np.interp(0.1, curve.x, curve.y)))
    alt = f"ROC curve. At a false positive rate of 10 % the true positive rate is {found}."
    auc = evaluation.report.metric("auc")
    keys = (Key("rows", "AUC " + _estimate(evaluation.report, "auc")), Key("before", "by chance, AUC 0.5", "dashed"))
    return Plot("roc", title, reading, draw("roc", alt, paint), keys if auc.value is not None else keys[1:])


def _precision_recall(evaluation: Evaluation) -> Plot:
    title = "Precision and recall"
    reading = (
        "Take rows from the highest score down: the further right, the more of all label 1 is found, and the height is "
        "their share of rows taken so far, on the dashed line if taken by chance (leaps of the first few are cut off)."
    )
    curve, base = evaluation.curves.precision_recall, evaluation.report.label_rate
    if curve is None:
        return Plot("precision-recall", title, reading, None, reason=_why(evaluation.report, "pr_auc", "auc"))
    x, y = 100 * np.array(curve.x), 100 * np.array(curve.y)

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        axes.axhline(100 * base, color=BEFORE, linewidth=1.2, linestyle=_DASHED)
        axes.plot(x, y, color=ROWS, drawstyle="steps-pre")
        # The first rows alone leap anywhere between 0 and 100 %.
        top = max(y[x >= 2].max(initial=0), 100 * base)
        axes.set(xlim=(0, 100), ylim=(0, min(1.15 * top, 102)))
        axes.set(xlabel="recall (% of label 1)", ylabel="precision (% of rows taken)")

    half = curve.y[bisect_left(curve.x, 0.5)]
    alt = (
        f"Precision against recall. At a recall of 50 % the precision is {percent(half)}; of all "
        f"rows {percent(base)} have label 1."
    )
    keys = (
        Key("rows", "area " + _estimate(evaluation.report, "pr_auc")),
        Key("before", f"all rows, {percent(base)}", "dashed"),
    )
    return Plot("precision-recall", title, reading, draw("precision-recall", alt, paint), keys)


def _reliability(evaluation: Evaluation) -> Plot:
    title = "Reliability"
    reading = (
        "Each point is a stretch of predictions with its interval: above the dashed line label 1 came more often than "
        "was predicted, below it less often."
    )
    bins = evaluation.curves.reliability
    if not bins:
        reason = _why(evaluation.report, "calibration_ratio", "ece", "logloss")
        return Plot("reliability", title, reading, None, reason=reason)
    least = min(some.mean_score for some in bins)
    scale = _reliability_scale(bins, logarithmic=least > 0 and max(some.mean_score for some in bins) > _WIDE * least)
    none = [some for some in bins if scale.logarithmic and not some.rate]

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        axes.plot([scale.low, scale.high], [scale.low, scale.high], color=BEFORE, linewidth=1.2, linestyle=_DASHED)
        for some in bins:
            x, y = scale.nearest(100 * some.mean_score), scale.nearest(100 * some.rate)
            low, high = scale.nearest(100 * some.interval.low), scale.nearest(100 * some.interval.high)
            axes.vlines(x, low, high, color=ROWS, linewidth=1.4, alpha=0.7)
            if some in none:
                axes.plot(x, y, "v", color=ROWS, fillstyle="none", clip_on=False)
            else:
                axes.plot(x, y, "o", color=ROWS, markersize=5)
        scale.apply(axes, "x")
        scale.apply(axes, "y")
        axes.set(xlabel="mean prediction (%)", ylabel="observed rate of label 1 (%)")

    outside = sum(not some.interval.holds(some.mean_score) for some in bins)
    alt = (
        f"Reliability diagram of {len(bins)} bins, mean predictions from {percent(least)} to "
        f"{percent(max(some.mean_score for some in bins))}. The interval of the observed rate leaves out the "
        f"prediction in {outside} of them."
    )
    interval = bins[0].interval
    keys = [
        Key("rows", f"observed, {level(interval.level)} interval ({interval.method})", "point"),
        Key("before", "as predicted", "dashed"),
    ]
    if none:
        keys.append(Key("rows", "no label 1 in the bin", "hollow"))
    return Plot("reliability", title, reading, draw("reliability", alt, paint), tuple(keys))


def _reliability_scale(bins: tuple[ReliabilityBin, ...], *, logarithmic: bool) -> Scale:
    """One scale, in per cent, for both axes, so that the diagonal is one."""
    tops = [100 * max(some.mean_score, some.interval.high) for some in bins]
    if not logarithmic:
        return Scale(0.0, min(1.05 * max(tops), 102.0))
    seen = [100 * share for some in bins for share in (some.mean_score, some.rate, some.interval.high) if share > 0]
    return Scale.decades(min(seen) / 1.5, max(tops) * 1.5)


def _scores(evaluation: Evaluation) -> Plot:
    title = "Scores by class"
    reading = (
        "Each outline holds all rows of its label, however few they are: the less the two overlap, the better the "
        "scores tell the labels apart."
    )
    histogram = evaluation.curves.histogram
    totals = sum(histogram.negatives), sum(histogram.positives)
    if max(map(abs, histogram.edges)) > _LARGEST:
        reason = f"scores from {number(histogram.edges[0])} to {number(histogram.edges[-1])} are too far apart"
        return Plot("scores", title, reading, None, reason=reason)

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        for masses, total, colour in zip((histogram.negatives, histogram.positives), totals, (ROWS, RATE), strict=True):
            if total:
                shares = 100 * np.array(masses) / total
                axes.stairs(shares, histogram.edges, fill=True, color=colour, alpha=0.22, linewidth=0)
                axes.stairs(shares, histogram.edges, color=colour, linewidth=1.8)
        axes.set_ylim(bottom=0)
        _score_axis(axes, histogram)
        axes.set_ylabel("share of the label's rows (% a bin)")

    known = [f"label {label}" for label, total in enumerate(totals) if total]
    alt = (
        f"Histograms of the scores of {' and '.join(known)}, from {number(histogram.edges[0])} to "
        f"{number(histogram.edges[-1])}, each as a share of its own rows."
    )
    keys = tuple(
        Key(colour, f"label {label}: {total:,.0f}{'' if total else ' rows'}", "area")
        for label, (total, colour) in enumerate(zip(totals, ("rows", "rate"), strict=True))
    )
    return Plot("scores", title, reading, draw("scores", alt, paint), keys)


def _score_axis(axes: "Axes", histogram: ClassHistogram) -> None:
    first, last = histogram.edges[0], histogram.edges[-1]
    if histogram.logarithmic:
        Scale(first, last, logarithmic=True).apply(axes, "x")
    else:
        axes.set_xlim(first, last)
    axes.set_xlabel("score (predicted probability)" if first >= 0 and last <= 1 else "score (no unit)")


def _lift(evaluation: Evaluation) -> Plot:
    title = "Lift and cumulative gain by tenth of the rows"
    reading = (
        "Rows are cut into tenths from the highest score down: a bar of 3 means that label 1 is three times as "
        "frequent there as among all rows, and the line is the share of all label 1 found so far."
    )
    bins = evaluation.curves.lift
    if not bins:
        return Plot("lift", title, reading, None, reason=_why(evaluation.report, "pr_auc", "auc"))
    edges = np.array([0.0, *(100 * some.share for some in bins)])
    gains = [0.0, *(100 * some.gain for some in bins)]

    def paint(figure: "Figure") -> None:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(1, 1))
        lifts = [some.lift for some in bins]
        upper.bar((edges[:-1] + edges[1:]) / 2, lifts, width=0.86 * np.diff(edges), color=ROWS)
        upper.axhline(1, color=INK, linewidth=1, linestyle=_DASHED)
        upper.set(ylabel="lift (\u00d7)")
        upper.grid(axis="x", visible=False)
        lower.plot([0, 100], [0, 100], color=BEFORE, linewidth=1.2, linestyle=_DASHED)
        lower.plot(edges, gains, "o-", color=RATE, markersize=4, clip_on=False)
        lower.set(xlim=(0, 100), ylim=(0, 100), xlabel="rows, highest scores first (%)", ylabel="label 1 found (%)")
        lower.set_xticks(range(0, 101, 20), labels=tick_texts(range(0, 101, 20)))
        figure.align_ylabels()

    alt = (
        f"Bars of the lift by tenth of the rows: {number(bins[0].lift)} in the first, {number(bins[-1].lift)} in the "
        f"last. The first tenth holds {percent(bins[0].gain)} of label 1."
    )
    keys = (
        Key("rows", "lift over all rows", "area"),
        Key("rate", "cumulative gain"),
        Key("before", "by chance", "dashed"),
    )
    return Plot("lift", title, reading, draw("lift", alt, paint), keys)


def _estimate(report: Report, name: str) -> str:
    """A metric with its interval."""
    metric = report.metric(name)
    if metric.value is None:
        return "undefined"
    return number(metric.value) + (f" ({ends(metric.interval)})" if metric.interval else "")


def _why(report: Report, *names: str) -> str:
    """Why a plot cannot be drawn: what the first undefined of its metrics says."""
    for metric in map(report.metric, names):
        if metric.value is None and metric.reason:
            return metric.reason
    if report.label_rate in (0, 1):
        return f"every label is {report.label_rate:.0f}"
    return "the data leave it undefined"
