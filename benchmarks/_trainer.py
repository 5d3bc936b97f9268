"""Train a FinalMLP for a comparison: ``python -m benchmarks._trainer OPTIONS``, a JSON object; prints another.

Options: ``run``, a run file as a mapping; ``warm_up`` and ``steps``, the steps left out and timed; ``profile``, whether
to say where the time of a step goes. The steps are the training loop's own: its feed, its step, its optimisers.
"""

import contextlib
import json
import sys
import time
from collections import Counter
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from common.errors import ConfigError
from common.settings import validate
from features.datasets.dataset import ClickDataset
from features.datasets.feed import Feed
from features.datasets.prepared import PreparedSet
from models.ranker import parameter_count
from training.build import build
from training.machine import Machine
from training.optimizers import Optimizers
from training.process import prepare_process
from training.run import RunSettings
from training.step import TrainingStep

_PROFILED = 10
_GROUPS = (
    # What an operator is counted as; the first text that is part of its name decides.
    ("matrix products", ("aten::mm", "aten::addmm", "aten::bmm", "mkldnn::", "onednn")),
    ("table: update", ("plexrank::lookup_update", "split_embedding_backward")),
    # Only these have whole numbers and bits; what else there is of both is compiled.
    (
        "table: addressing and gather",
        (
            "plexrank::lookup",
            "plexrank_lookup",
            "bitwise",
            "shift__",
            "aten::where",
            "aten::ge",
            "aten::lt",
            "index_select",
        ),
    ),
    ("compiled: normalisation, activations, gates", ("CompiledFxGraph", "CompiledFunction")),
    ("Adam and clipping", ("Optimizer", "_fused_adam", "linalg_vector_norm", "_foreach")),
    ("normalisation", ("batch_norm",)),
)


def main() -> None:
    prepare_process()
    options = json.loads(sys.argv[1])
    settings = validate(RunSettings, options["run"], source="run", error=ConfigError)
    prepared = PreparedSet(settings.data)
    torch.manual_seed(settings.seed)
    size = settings.training.batch_size
    feed = Feed(
        ClickDataset(
            prepared,
            "train",
            batch_size=size,
            seed=settings.seed,
            shuffle_memory_mb=settings.training.shuffle_memory_mb,
            workers=0,
        )
    )
    machine = Machine.choose(settings.machine, settings.machine.place(), steps=10**9)
    torch.set_num_threads(machine.threads)
    built = build(settings, prepared.fitted, machine.device)
    built.model.train()
    optimizers = Optimizers(built.model, settings.optimizer, options["warm_up"] + options["steps"])
    step = TrainingStep(built, optimizers, machine, size)
    losses, waited = [], 0.0
    started = 0.0
    batches = _whole(feed, size)
    for number in range(options["warm_up"] + options["steps"]):
        if number == options["warm_up"]:
            waited, started = 0.0, time.perf_counter()
        asked = time.perf_counter()
        batch = next(batches)
        waited += time.perf_counter() - asked
        losses.append(step(batch))
    seconds = time.perf_counter() - started
    timed = losses[options["warm_up"] :]
    found: dict[str, Any] = {
        "samples_per_second": len(timed) * size / seconds,
        "waiting": waited / seconds,
        "loss": sum(timed) / len(timed),
        "parameters": parameter_count(built.model),
        "threads": machine.threads,
        "reasons": machine.reasons,
    }
    if options["profile"]:
        ready = [next(batches) for _ in range(_PROFILED)]
        with profile(activities=[ProfilerActivity.CPU]) as record:
            for batch in ready:
                step(batch)
        groups: Counter[str] = Counter()
        for event in record.key_averages():
            group = next((name for name, parts in _GROUPS if any(p in event.key for p in parts)), "all else")
            groups[group] += event.self_cpu_time_total / 1000 / _PROFILED
        found["milliseconds"] = dict(groups)
    print(json.dumps(found))


def _whole(feed: Feed, size: int) -> Any:
    """Batches of the full size, epoch after epoch."""
    while True:
        with contextlib.closing(iter(feed)) as batches:
            yield from (batch for batch in batches if batch.label is not None and batch.label.numel() == size)


if __name__ == "__main__":
    main()
