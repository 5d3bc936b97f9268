"""DeLong's variance and paired test against R's pROC."""

import csv
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluation.metrics.auc import auc
from evaluation.metrics.delong import paired_aucs

SCRIPT = """
library(pROC)
rows <- read.csv(commandArgs(trailingOnly = TRUE)[1], colClasses = "numeric")
curve <- function(scores) roc(rows$label, scores, levels = c(0, 1), direction = "<", quiet = TRUE)
a <- curve(rows$a)
b <- curve(rows$b)
test <- roc.test(a, b, paired = TRUE, method = "delong")
found <- c(auc(a), auc(b), var(a, method = "delong"), var(b, method = "delong"),
           cov(a, b, method = "delong"), test$conf.int, test$p.value, ci.auc(a, method = "delong"))
cat(sprintf("%.17g", found), sep = "\\n")
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("Rscript") is None:
        pytest.skip("R is not installed")
    if subprocess.run(["Rscript", "-e", "library(pROC)"], capture_output=True, check=False).returncode:
        pytest.skip("R's package pROC is not installed (Debian: r-cran-proc)")
    path = tmp_path_factory.mktemp("proc") / "delong.R"
    path.write_text(SCRIPT)
    return path


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("rows", "rate", "digits"),
    [(2_000, 0.3, None), (2_000, 0.3, 1), (300, 0.05, 0), (5_000, 0.004, 2), (60, 0.9, None)],
)
def test_agrees_with_proc(script: Path, rows: int, rate: float, digits: int | None, dtype: Any) -> None:
    random = np.random.default_rng(rows)
    labels = random.random(rows) < rate
    base = random.normal(size=rows) + 0.8 * labels
    scores = base + random.normal(scale=[[0.5], [0.7]], size=(2, rows))
    # Rounding makes ties.
    scores = (scores if digits is None else scores.round(digits)).astype(dtype)
    data = script.with_suffix(".csv")
    with data.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["label", "a", "b"])
        writer.writerows(zip(labels.astype(int).tolist(), *scores.astype(np.float64).tolist(), strict=True))
    done = subprocess.run(["Rscript", script, data], capture_output=True, text=True, check=True)
    auc_a, auc_b, var_a, var_b, cov, low, high, p_value, *ci = map(float, done.stdout.split())

    found = paired_aucs(labels, scores)
    assert found.covariance is not None
    assert found.values.tolist() == pytest.approx([auc_a, auc_b], rel=1e-12)
    assert found.covariance.ravel().tolist() == pytest.approx([var_a, cov, cov, var_b], rel=1e-9)
    difference = found.difference(0, 1)
    assert difference.interval is not None
    assert (difference.interval.low, difference.interval.high) == pytest.approx((low, high), rel=1e-9)
    assert difference.p_value == pytest.approx(p_value, rel=1e-9)
    single = auc(labels, scores[0])
    assert single.detail["standard_error"] == pytest.approx(var_a**0.5, rel=1e-9)
    # pROC's own interval is normal on the AUC's scale and cut at 1.
    assert ci[0] == pytest.approx(single.value - 1.959963984540054 * var_a**0.5, rel=1e-9)
