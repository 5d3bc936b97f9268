"""An explanation as one html page that needs nothing else: no script, no network, light and dark."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evaluation.estimate import PairedDifference
from evaluation.explanation.explanation import Explanation
from evaluation.page._attention_plots import attention_plots
from evaluation.page._forest import Line, scale_of
from evaluation.page._heat_map import LARGE
from evaluation.page._mini import Mini, mini
from evaluation.page._reliance_plots import interaction_plot, range_plots, reliance_plots
from evaluation.page._template import render

_TEMPLATE = "explanation.html.jinja"
_OPEN = 20  # rows of a table that are shown at once


@dataclass(frozen=True)
class _Cell:
    """An estimate in a table."""

    estimate: PairedDifference
    mini: Mini | None


def explanation_page(
    explanation: Explanation, notes: Sequence[str] = (), facts: Mapping[str, str] | None = None
) -> str:
    """The page's html.

    Args:
        explanation: What was found.
        notes: What to keep in mind, a sentence each.
        facts: What the numbers rest on, such as files and digests: texts by name.

    Returns:
        The same text for the same arguments.
    """
    subject = explanation.subject
    return render(
        _TEMPLATE,
        explanation=explanation,
        subject=subject,
        notes=notes,
        facts=facts or {},
        reliance=reliance_plots(explanation),
        features=_table([some.auc_drop for some in subject.features], [some.logloss_rise for some in subject.features]),
        groups=_table([some.auc_drop for some in subject.groups], [some.logloss_rise for some in subject.groups]),
        interactions=interaction_plot(explanation),
        broad_pairs=len({some.first for some in subject.pairs}) >= LARGE,
        pairs=_table([some.strength for some in subject.pairs], [some.score for some in subject.pairs]),
        rashomon=explanation.rashomon,
        ranges=range_plots(explanation) if len(explanation.models) > 1 else [],
        attention=explanation.attention and attention_plots(explanation.attention),
        open=_OPEN,
    )


def _table(*columns: Sequence[PairedDifference]) -> list[tuple[_Cell, ...]]:
    """Columns of estimates as rows of cells, each column on one axis."""
    return list(zip(*map(_column, columns), strict=True))


def _column(found: Sequence[PairedDifference]) -> list[_Cell]:
    lines = [Line("", some.value, some.interval) for some in found]
    scale = scale_of(lines, 0.0, logarithmic=False)
    return [_Cell(some, mini(line, scale, 0.0)) for some, line in zip(found, lines, strict=True)]
