"""Training: run files, the loop, optimisers, the artifact."""

from common.versions import check_versions

__all__ = [
    "artifact",
    "build",
    "checkpoint",
    "explanation",
    "finished",
    "loop",
    "machine",
    "manifest",
    "optimizers",
    "plateau",
    "predictions",
    "process",
    "program",
    "ranks",
    "records",
    "run",
    "scoring",
    "sharding",
    "step",
    "tuning",
]

check_versions()
