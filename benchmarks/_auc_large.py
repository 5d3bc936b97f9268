"""One process of benchmarks.auc: the AUC of more rows than its memory holds.

python -m benchmarks._auc_large ROWS MEMORY_MB FOLDER RESULT.json
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from evaluation.metrics.auc import auc_of
from evaluation.state.score_distribution import ScoreDistribution

_CHUNK = 2**22


def main() -> None:
    rows, memory, folder, result = int(sys.argv[1]), float(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4])
    distribution = ScoreDistribution(memory_mb=memory, folder=folder)
    seconds = {"making the rows": 0.0, "adding them": 0.0, "AUC and interval": 0.0}
    for chunk, start in enumerate(range(0, rows, _CHUNK)):
        began = time.perf_counter()
        labels, scores = _chunk(chunk, min(_CHUNK, rows - start))
        made = time.perf_counter()
        distribution.update(labels, scores)
        seconds["making the rows"] += made - began
        seconds["adding them"] += time.perf_counter() - made
    began = time.perf_counter()
    found = auc_of(distribution)
    seconds["AUC and interval"] = time.perf_counter() - began
    assert found.interval is not None
    assert distribution.rows == rows
    document = {
        "seconds": seconds,
        "disk": distribution.file_bytes,
        "value": found.value,
        "low": found.interval.low,
        "high": found.interval.high,
        "positives": distribution.positives,
    }
    result.write_text(json.dumps(document))


def _chunk(number: int, rows: int) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float32]]:
    """Labels drawn from float32 scores, as a calibrated ranker would give them at a click rate of about .2."""
    random = np.random.default_rng([7, number])
    scores = random.standard_normal(rows, np.float32)
    scores -= np.float32(1.6)
    np.negative(scores, out=scores)
    np.exp(scores, out=scores)
    scores += np.float32(1)
    np.reciprocal(scores, out=scores)
    return random.random(rows, np.float32) < scores, scores


if __name__ == "__main__":
    main()
