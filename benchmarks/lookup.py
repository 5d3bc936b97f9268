"""Time lookups, forward and backward with the optimiser, as a share of the machine's copy bandwidth.

    python -m benchmarks.lookup            on the GPU where torch sees one, else on the CPU
    python -m benchmarks.lookup --quick    a small subset

26 slots of one value each read one table; the optimiser is row-wise Adagrad. Writes a dated report into
benchmarks/reports.
"""

import argparse
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks import _lookup_sides, _report
from benchmarks._lookup_sides import SLOTS, Ids, Side

WIDTHS, BATCHES = (16, 32, 64, 128), (1024, 4096, 16_384, 65_536)
ZIPF = 1.2
GOALS = {"forward": 0.70, "backward": 0.50}  # of the copy bandwidth, on a GPU
MIB, GB = 2**20, 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--rows", type=int, help="rows of the table; 10 million on a GPU, 2 million on a CPU")
    parser.add_argument("--rounds", type=int, help="measurements of each case; 21 on a GPU, 7 on a CPU")
    parser.add_argument("--quick", action="store_true", help="widths 16 and 64, batches 1,024 and 4,096, 3 rounds")
    options = parser.parse_args()
    on_gpu = options.device == "cuda"
    rows = options.rows or (10_000_000 if on_gpu else 2_000_000)
    rounds = options.rounds or (3 if options.quick else 21 if on_gpu else 7)
    widths, batches = (WIDTHS[::2], BATCHES[:2]) if options.quick else (WIDTHS, BATCHES)
    clock = Clock(torch.device(options.device))
    bandwidth = clock.copy_bandwidth()
    print(f"copy: {bandwidth / GB:.1f} GB/s")
    results = []
    for width in widths:
        built, missing = _lookup_sides.build(rows, width, clock.device)
        for law in ("uniform", "Zipf"):
            for batch in batches:
                case = Ids.draw(law, ZIPF, rows, batch, clock.device)
                results += measure(clock, built, case, width, rounds)
                print("\n".join(result.line(bandwidth) for result in results[-len(built) :]), flush=True)
        del built
    _report.write("lookup", "Embedding lookups", report(results, missing, rows, rounds, bandwidth, clock.device))


class Clock:
    """Times work on a device, its caches flushed before.

    Args:
        device: The device.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        on_gpu = device.type == "cuda"
        self._source = torch.zeros((1024 if on_gpu else 256) * MIB // 4, device=device)
        self._copy = torch.empty_like(self._source)

    def seconds(self, work: Callable[[], object]) -> float:
        """Time one run of work.

        On a GPU it is launched while the flush before it still runs, so that launches cost no time unless they take
        longer than that, about half a millisecond.
        """
        self._copy.fill_(1.0)
        if self.device.type == "cpu":
            start = time.perf_counter()
            work()
            return time.perf_counter() - start
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        work()
        end.record()
        torch.cuda.synchronize()
        return float(begin.elapsed_time(end)) / 1000

    def copy_bandwidth(self) -> float:
        """Bytes a second, read and written, of a copy of floats; the median of 9."""
        seconds = statistics.median(self.seconds(lambda: self._copy.copy_(self._source)) for _ in range(9))
        return 2 * self._source.nbytes / seconds


@dataclass(frozen=True)
class Result:
    """What a side took for a case: median seconds, and the bytes that no implementation can do without."""

    law: str
    width: int
    batch: int
    side: str
    seconds: dict[str, float]
    necessary: dict[str, int]

    def share(self, way: str, bandwidth: float) -> float:
        """Of the copy bandwidth, in the direction ``forward`` or ``backward``."""
        return self.necessary[way] / self.seconds[way] / bandwidth

    def line(self, bandwidth: float) -> str:
        """A row of the report's table."""
        cells = [self.law, str(self.width), f"{self.batch:,}", self.side]
        for way, seconds in self.seconds.items():
            speed = self.necessary[way] / seconds / GB
            cells += [f"{seconds * 1e6:,.0f}", f"{speed:,.1f}", f"**{self.share(way, bandwidth):.0%}**"]
        return f"| {' | '.join(cells)} |"


def measure(clock: Clock, sides: list[Side], ids: Ids, width: int, rounds: int) -> list[Result]:
    """Check that all sides read the same, then time them in turn."""
    grad = torch.randn(ids.batch, SLOTS, width, device=clock.device)
    expected = sides[0].forward(ids).detach()
    for side in sides[1:]:
        torch.testing.assert_close(side.forward(ids).detach(), expected)
    del expected
    times: dict[tuple[str, str], list[float]] = defaultdict(list)
    for turn in range(rounds + 1):
        for side in sides:
            output: list[Tensor] = []
            forward = clock.seconds(lambda side=side, output=output: output.append(side.forward(ids)))  # type: ignore[misc]
            backward = clock.seconds(lambda side=side, output=output: side.backward(output[0], grad))  # type: ignore[misc]
            if turn:  # the first warms up
                times[side.name, "forward"].append(forward)
                times[side.name, "backward"].append(backward)
    for side in sides:
        side.restore()
    count, row = ids.batch * SLOTS, 4 * width
    necessary = {
        "forward": count * (8 + row) + ids.distinct * row,
        "backward": count * (8 + row) + ids.distinct * (2 * row + 2 * 4),
    }
    return [
        Result(
            ids.law,
            width,
            ids.batch,
            side.name,
            {way: statistics.median(times[side.name, way]) for way in necessary},
            necessary,
        )
        for side in sides
    ]


def report(
    results: list[Result], missing: list[str], rows: int, rounds: int, bandwidth: float, device: torch.device
) -> list[str]:
    """The report's lines."""
    lines = [
        f"One table of {rows:,} rows of float32, {SLOTS} slots that share it, one value a slot; row-wise Adagrad.",
        f"Median of {rounds} rounds, the sides in turn, caches flushed before each measurement.",
        f"Zipf: tokens of rank r with probability in proportion to r^-{ZIPF}.",
        "",
        f"Copy bandwidth, bytes read and written of a copy of floats: **{bandwidth / GB:,.1f} GB/s**. GB/s below count",
        "necessary bytes alone. Forward: tokens (8 bytes), each distinct row once, the output. Backward: tokens,",
        "the output's gradient, each distinct row and its Adagrad sum read and written once.",
        "",
        *_lookup_sides.NOTES,
        *missing,
        "",
        "| ids | width | batch | side | forward, us | GB/s | of copy | backward + optimiser, us | GB/s | of copy |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *(result.line(bandwidth) for result in results),
        "",
    ]
    if device.type == "cuda":
        own = [result for result in results if result.side == "triton"]
        lines += [_met(own, way, goal, bandwidth) for way, goal in GOALS.items()]
        lines += [_beside_fbgemm(results, way) for way in GOALS]
    return lines


def _met(results: list[Result], way: str, goal: float, bandwidth: float) -> str:
    met = sum(result.share(way, bandwidth) >= goal for result in results)
    return f"Goal of triton, {way}: {goal:.0%} of the copy bandwidth; reached in {met} of {len(results)} cases.  "


def _beside_fbgemm(results: list[Result], way: str) -> str:
    cases: dict[tuple[str, int, int], dict[str, float]] = defaultdict(dict)
    for result in results:
        cases[result.law, result.width, result.batch][result.side] = result.seconds[way]
    ratios = [sides["fbgemm"] / sides["triton"] for sides in cases.values() if {"fbgemm", "triton"} <= sides.keys()]
    if not ratios:
        return f"Beside fbgemm, {way}: fbgemm did not run here.  "
    return f"Beside fbgemm, {way}: {min(ratios):.2f} to {max(ratios):.2f} times its speed.  "


if __name__ == "__main__":
    main()
