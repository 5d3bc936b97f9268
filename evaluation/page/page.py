"""The evaluation as one html page that needs nothing else: no script, no network, light and dark."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evaluation.page._comparison import comparison_plot, matrices, slice_rows
from evaluation.page._curve_plots import curve_plots
from evaluation.page._forest import scale_of
from evaluation.page._meanings import TILES
from evaluation.page._mini import Mini, mini
from evaluation.page._slice_plots import line_of, reference_of, slice_plots, time_plots
from evaluation.page._svg import Plot
from evaluation.page._template import render
from evaluation.report.comparison import Comparison
from evaluation.report.evaluation import Evaluation
from evaluation.report.gate import Outcome
from evaluation.report.metric import Metric
from evaluation.report.report import Report
from evaluation.report.slices import Slice, SliceTable

_TEMPLATE = "page.html.jinja"
_OPEN = 50  # rows of a table of slices that are shown at once
_NAMED = 5  # flagged slices that are named in a sentence


@dataclass(frozen=True)
class _Cell:
    """A slice's metric in a table."""

    metric: Metric
    flagged: bool
    mini: Mini | None


@dataclass(frozen=True)
class _Table:
    """A table of slices: ``shown`` rows at once, the others when asked for; ``named`` flagged ones in a sentence."""

    of: SliceTable
    metrics: tuple[str, ...]
    rows: tuple[tuple[Slice, tuple[_Cell, ...]], ...]
    plots: tuple[Plot, ...]
    flagged: tuple[str, ...]
    shown: int = _OPEN
    named: int = _NAMED


def page(
    evaluation: Evaluation,
    comparison: Comparison | None = None,
    outcomes: Sequence[Outcome] = (),
    provenance: Mapping[str, str] | None = None,
) -> str:
    """The page's html.

    Args:
        evaluation: What was measured.
        comparison: How the model compares with others.
        outcomes: What became of a gate's rules.
        provenance: What the numbers rest on, such as files and digests: texts by name.

    Returns:
        The same text for the same arguments.
    """
    report = evaluation.report
    names = [metric.name for metric in report.metrics]
    return render(
        _TEMPLATE,
        evaluation=evaluation,
        report=report,
        provenance=provenance or {},
        outcomes=outcomes,
        tiles=[report.metric(name) for name in TILES if name in names],
        plots=curve_plots(evaluation),
        tables=[
            _table(table, report, slice_plots(table, report, place)) for place, table in enumerate(evaluation.slices)
        ],
        times=evaluation.times and _table(evaluation.times, report, time_plots(evaluation.times, report)),
        comparison=comparison,
        matrices=comparison and matrices(comparison),
        differences=comparison and comparison_plot(comparison),
        slice_differences=comparison and slice_rows(comparison),
        open=_OPEN,
    )


def _table(table: SliceTable, report: Report, plots: Sequence[Plot]) -> _Table:
    metrics = tuple(metric.name for metric in table.slices[0].metrics) if table.slices else ()
    columns = [_column(table, report, metric) for metric in metrics]
    return _Table(
        of=table,
        metrics=metrics,
        rows=tuple(zip(table.slices, zip(*columns, strict=True), strict=True)),
        plots=tuple(plots),
        flagged=tuple(some.value for some in table.slices if some.flagged),
    )


def _column(table: SliceTable, report: Report, metric: str) -> list[_Cell]:
    """One metric of all slices, on one axis."""
    reference = reference_of(report, metric)
    logarithmic = metric == "calibration_ratio"
    lines = [line_of(some, metric, some.value) for some in table.slices]
    scale = scale_of(lines, reference, logarithmic=logarithmic)
    return [
        _Cell(some.metric(metric), line.flagged, mini(line, scale, reference))
        for some, line in zip(table.slices, lines, strict=True)
    ]
