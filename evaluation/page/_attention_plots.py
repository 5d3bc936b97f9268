"""Plots of attention: heat maps from field to field.

Shapes: L layers, H heads, F fields.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.text import printable
from evaluation.explanation.attention import Attention, RowAttention
from evaluation.page._heat_map import LARGE, heat_map
from evaluation.page._svg import Key, Plot
from evaluation.page._text import percent


@dataclass(frozen=True)
class AttentionRow:
    """A single row as the page shows it."""

    of: RowAttention
    plots: tuple[Plot, ...]


@dataclass(frozen=True)
class AttentionPlots:
    """The attention of a model.

    Attributes:
        fields: Names of the fields.
        broad: Whether the plots need the width of the page.
        overall: Mean over rows, layers and heads; then a plot a layer, where there are several.
        heads: A plot a layer and head, where there are several heads.
        rows: Of single rows.
    """

    fields: tuple[str, ...]
    broad: bool
    overall: tuple[Plot, ...]
    heads: tuple[Plot, ...]
    rows: tuple[AttentionRow, ...]


def attention_plots(attention: Attention) -> AttentionPlots:
    """All plots of a model's attention."""
    layers, heads = attention.mean.shape[:2]
    overall = [_plot(attention, "attention", "All layers and heads", attention.mean.mean((0, 1)))]
    if layers > 1:
        overall += _layers(attention, "attention", attention.mean)
    of_heads = [
        _plot(
            attention,
            f"attention-{layer}-{head}",
            f"Layer {layer + 1}, head {head + 1}",
            attention.mean[layer, head],
        )
        for layer in range(layers if heads > 1 else 0)
        for head in range(heads)
    ]
    rows = [AttentionRow(some, tuple(_layers(attention, f"row-{some.row}", some.weights))) for some in attention.rows]
    return AttentionPlots(attention.fields, len(attention.fields) > LARGE, tuple(overall), tuple(of_heads), tuple(rows))


def _layers(attention: Attention, name: str, weights: npt.NDArray[np.float64]) -> list[Plot]:
    """A plot a layer, its heads taken together."""
    return [
        _plot(attention, f"{name}-layer-{layer}", f"Layer {layer + 1}", of_layer.mean(0))
        for layer, of_layer in enumerate(weights)
    ]


def _plot(attention: Attention, name: str, title: str, weights: npt.NDArray[np.float64]) -> Plot:
    row, column = np.unravel_index(weights.argmax(), weights.shape)
    highest = float(weights.max())
    alt = (
        f"{title}: attention between {len(attention.fields)} fields. The greatest is "
        f"{percent(highest)}, that {printable(attention.fields[row])} pays to {printable(attention.fields[column])}."
    )
    reading = (
        "Each row is a field, and how its attention is shared out over the columns, in per cent; rows that all look "
        "alike say that some fields are attended to whoever asks."
    )
    svg = heat_map(name, alt, attention.fields, 100 * weights, rows="field that attends", columns="field attended to")
    return Plot(name, title, reading, svg, (Key("rows", f"from 0 (empty) to {percent(highest)}", "area"),))
