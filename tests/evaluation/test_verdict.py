"""The verdict: the live model stays unless another is shown to be better."""

from evaluation.interval import Interval
from evaluation.report.comparison import Difference
from evaluation.report.verdict import verdict


def _difference(first: str, value: float, p: float, metric: str = "auc") -> Difference:
    return Difference(metric, first, "live", value, Interval(value - 0.001, value + 0.001, 0.95, "by hand"), p)


def _verdict(
    *differences: Difference, metric: str = "auc", ratios: tuple[float | None, ...] = (1.0, 1.0, 1.0)
) -> tuple[str, str]:
    names = ("live", "a", "b")[: 1 + len({some.first for some in differences})]
    return verdict(names, 0, metric, differences, ratios[: len(names)], 0.95)


def test_a_better_model_goes_live() -> None:
    assert _verdict(_difference("a", 0.004, 1e-6)) == (
        "a",
        "a goes live in place of live: its auc differs from that of live by +0.00400 "
        "(95 % interval +0.00300 to +0.00500), p = 1e-06.",
    )


def test_what_may_be_chance_does_not() -> None:
    best, sentence = _verdict(_difference("a", 0.004, 0.06))
    assert best == "live"
    assert sentence.startswith(
        "live stays live: a is not shown to be better; a's auc differs from that of live by +0.00400"
    )


def test_the_number_of_models_is_allowed_for() -> None:
    """At p = .03 one model goes live alone, and does not beside another."""
    assert _verdict(_difference("a", 0.004, 0.03))[0] == "a"
    best, sentence = _verdict(_difference("a", 0.004, 0.03), _difference("b", 0.001, 0.5))
    assert best == "live"
    assert "none of the others is shown to be better; a's auc" in sentence


def test_of_several_the_one_ahead_goes() -> None:
    assert _verdict(_difference("a", 0.004, 1e-6), _difference("b", 0.005, 1e-6))[0] == "b"
    # b is further ahead, but perhaps by chance.
    best, sentence = _verdict(_difference("a", 0.004, 1e-6), _difference("b", 0.005, 0.2))
    assert best == "a"
    assert "beyond chance with 2 models looked at" in sentence


def test_lower_is_better_for_logloss() -> None:
    worse, better = _difference("a", 0.004, 1e-6, "logloss"), _difference("b", -0.004, 1e-6, "logloss")
    assert _verdict(worse, better, metric="logloss")[0] == "b"


def test_a_model_that_needs_calibration_is_told_so() -> None:
    assert _verdict(_difference("a", 0.004, 1e-6), ratios=(1.0, 1.5))[1].endswith(
        "; calibrate it first, for it predicts 1.50 clicks for each that came."
    )
    assert "calibrate" not in _verdict(_difference("a", 0.004, 1e-6), ratios=(1.5, 1.05))[1]
    assert "calibrate" not in _verdict(_difference("a", 0.004, 1e-6), ratios=(None, None))[1]


def test_an_undefined_metric_changes_nothing() -> None:
    undefined = Difference("auc", "a", "live", None, reason="all labels are 0")
    assert _verdict(undefined) == ("live", "live stays live: auc says nothing of the others (all labels are 0).")
