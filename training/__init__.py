"""Training: run files, the loop, optimisers, the artifact."""

from common.versions import check_versions

__all__ = [
    "artifact",
    "build",
    "checkpoint",
    "loop",
    "machine",
    "optimizers",
    "plateau",
    "predictions",
    "ranks",
    "records",
    "run",
    "scoring",
    "sharding",
    "step",
]

check_versions()
