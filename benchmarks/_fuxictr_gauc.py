"""Time FuxiCTR's gAUC on a folder's labels.npy, scores.npy and groups.npy.

Run by FuxiCTR's own interpreter, with its checkout on PYTHONPATH: ``python _fuxictr_gauc.py FOLDER`` prints a JSON
object.
"""

import importlib
import json
import sys
import time
from pathlib import Path

import numpy as np


def main() -> None:
    metrics = importlib.import_module("fuxictr.metrics")
    labels, scores, groups = (np.load(Path(sys.argv[1]) / f"{name}.npy") for name in ("labels", "scores", "groups"))
    began = time.perf_counter()
    found = metrics.evaluate_metrics(labels, scores, ["gAUC"], group_id=groups)
    seconds = time.perf_counter() - began
    version = importlib.import_module("fuxictr").__version__
    print(json.dumps({"seconds": seconds, "value": float(found["gAUC"]), "version": version}))


if __name__ == "__main__":
    main()
