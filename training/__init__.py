"""Training: run files, the loop, optimisers, the artifact."""

from common.versions import check_versions

__all__ = ["artifact", "loop", "optimizers", "plateau", "predictions", "records", "run", "scoring"]

check_versions()
