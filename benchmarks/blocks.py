"""Compare layers of ours with torch's on this machine: dropout, and attention between fields.

    python -m benchmarks.blocks

A forward and a backward pass each, the sides in turn in one process. Writes a dated report into benchmarks/reports.
"""

import argparse
import itertools
import statistics
import time
from collections.abc import Callable
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks import _report
from models.blocks.field_attention import AttentionSettings, FieldAttention
from models.blocks.mlp import MLP
from models.rankers import autoint
from training.process import prepare_process

BATCH, FIELDS, DIM = 4096, 39, 10
PRECISIONS = {"float32": False, "bf16": True}
Step = Callable[[], None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="passes of each side")
    options = parser.parse_args()
    prepare_process()
    lines = [
        f"Forward and backward pass of a batch of {BATCH:,}, the median of {options.rounds} passes; the sides in turn,",
        "in one process, three passes left out. The ratio is to the first side.",
    ]
    for title, sides in COMPARED.items():
        lines += ["", f"{title}.", ""]
        lines += ["| precision | side | ms | times ours |", "|---|---|---|---|"]
        for precision, bf16 in PRECISIONS.items():
            found = measured(sides(bf16), options.rounds)
            first = next(iter(found.values()))
            lines += [f"| {precision} | {side} | {ms:.1f} | {ms / first:.1f} |" for side, ms in found.items()]
    _report.write("blocks", "Layers of ours beside torch's", lines)


def dropouts(bf16: bool) -> dict[str, Step]:
    """Sides that differ in dropout."""
    x = torch.randn(BATCH, FIELDS * DIM)
    inputs, hidden = FIELDS * DIM, [400, 400, 400]
    torchs = [
        layer
        for before, after in itertools.pairwise([inputs, *hidden])
        for layer in (nn.Linear(before, after), nn.ReLU(), nn.Dropout(0.5))
    ]
    found = {}
    sides = {"ours": MLP(inputs, hidden=hidden, dropout=0.5), "torch's": nn.Sequential(*torchs)}
    for side, perceptron in {**sides, "none": MLP(inputs, hidden=hidden)}.items():
        network = nn.Sequential(perceptron, nn.Linear(hidden[-1], 1))
        found[f"{side}, compiled"] = step(torch.compile(network, dynamic=False), x, bf16)
        found[f"{side}, eager"] = step(network, x, bf16)
    return found


def attentions(bf16: bool) -> dict[str, Step]:
    """Sides that differ in attention."""
    settings = AttentionSettings(layers=3, width=64, heads=2, residual="identity", scale=True)
    layers = nn.Sequential(*(FieldAttention(width, settings) for width in (DIM, 64, 64)))
    x = torch.randn(BATCH, FIELDS, DIM, requires_grad=True)
    rows = autoint.block_rows(settings.heads, FIELDS)

    def blocks(fields: Tensor) -> Tensor:
        return torch.cat([layers(block) for block in fields.split(rows)])

    def torchs(network: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        def call(fields: Tensor) -> Tensor:
            with mock.patch("models.blocks.field_attention.attend", fused):
                return network(fields)

        return call

    return {
        "ours, in blocks": step(blocks, x, bf16),
        "ours, whole": step(layers, x, bf16),
        "torch's, in blocks": step(torchs(blocks), x, bf16),
        "torch's, whole": step(torchs(layers), x, bf16),
        "torch's, whole, compiled": step(torch.compile(torchs(layers), dynamic=False), x, bf16),
    }


def fused(projected: Tensor, dropout: float) -> Tensor:
    """Stand in for :func:`models.blocks.attention.attend` with torch's own."""
    query, key, value = projected.permute(2, 0, 3, 1, 4)
    return F.scaled_dot_product_attention(query, key, value, dropout_p=dropout, scale=1.0).transpose(1, 2)


def step(network: Callable[[Tensor], Tensor], x: Tensor, bf16: bool) -> Step:
    """A forward and a backward pass."""

    def run() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            output = network(x)
        output.backward(torch.ones_like(output))

    return run


def measured(sides: dict[str, Step], rounds: int) -> dict[str, float]:
    """Median milliseconds of each side."""
    times: dict[str, list[float]] = {side: [] for side in sides}
    for number in range(3 + rounds):
        for side, run in sides.items():
            started = time.perf_counter()
            run()
            if number >= 3:
                times[side].append(1000 * (time.perf_counter() - started))
    return {side: statistics.median(taken) for side, taken in times.items()}


COMPARED = {
    "A perceptron of [400, 400, 400, 1] over 390 numbers, a ReLU and a dropout of .5 behind each layer": dropouts,
    "Attention between 39 fields of width 10 in three layers of width 64, two heads, as in AutoInt; in blocks of rows "
    "that leave the cache room, or the whole batch at once; torch's is scaled_dot_product_attention": attentions,
}

if __name__ == "__main__":
    main()
