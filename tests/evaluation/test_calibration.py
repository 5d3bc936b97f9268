"""The calibration ratio."""

import numpy as np
import pytest

from evaluation.calibration import calibration_ratio
from evaluation.undefined import UndefinedMetric


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [([0.5, 0.5, 0.5, 0.5], 2.0), ([0.25, 0.25, 0.25, 0.25], 1.0), ([0.125, 0, 0, 0], 0.125), ([0.0] * 4, 0.0)],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_predicted_clicks_over_clicks(probabilities: list[float], expected: float, dtype: type) -> None:
    assert calibration_ratio([0, 1, 0, 0], np.array(probabilities, dtype)) == expected


def test_float32_is_added_up_in_float64() -> None:
    # 2**24 + 1 is no float32, and neither is a sum that passes it.
    rows = 2**24 + 1
    assert calibration_ratio(np.ones(rows, bool), np.ones(rows, np.float32)) == 1.0


def test_no_clicks() -> None:
    with pytest.raises(UndefinedMetric) as caught:
        calibration_ratio([0, 0], np.array([0.1, 0.2]))
    assert str(caught.value) == "calibration_ratio needs a positive row, but all 2 labels are 0"
