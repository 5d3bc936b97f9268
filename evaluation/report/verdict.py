"""Which model goes live, in one sentence with its evidence."""

from collections.abc import Sequence

from evaluation.report.comparison import Difference
from evaluation.report.names import direction

_CALIBRATED = 1.1  # predicted over observed clicks, or the reverse, that needs no word


def verdict(
    names: Sequence[str],
    live: int,
    metric: str,
    differences: Sequence[Difference],
    ratios: Sequence[float | None],
    level: float,
) -> tuple[str, str]:
    """Say which model goes live.

    A model takes the place of the live one when its metric is shown to be better: the p-value of the difference stays
    below ``(1 - level) / (models - 1)``, Bonferroni's allowance for having looked at every other model. Of several
    that are, the one that is furthest ahead goes.

    Args:
        names: The models.
        live: Which of them serves now.
        metric: What to go by.
        differences: Of all ordered pairs and metrics.
        ratios: Each model's predicted over observed clicks, where known.
        level: Confidence level.

    Returns:
        The model's name, and the sentence.
    """
    sign = -1 if direction(metric) == "lower" else 1
    against_live = {
        some.first: some for some in differences if some.metric == metric and some.second == names[live] != some.first
    }
    known = {name: some.value for name, some in against_live.items() if some.value is not None}
    if not known:
        reason = next((some.reason for some in against_live.values() if some.reason), "there is nothing to compare")
        return names[live], f"{names[live]} stays live: {metric} says nothing of the others ({reason})."
    allowed = (1 - level) / len(against_live)
    better = {
        name: value
        for name, value in known.items()
        if sign * value > 0 and (p := against_live[name].p_value) is not None and p < allowed
    }
    best = max(better or known, key=lambda name: sign * known[name])
    evidence = f"{metric} differs from that of {names[live]} by {_found(against_live[best])}"
    if not better:
        others = f"{best} is not" if len(against_live) == 1 else "none of the others is"
        return names[live], f"{names[live]} stays live: {others} shown to be better; {best}'s {evidence}."
    sentence = f"{best} goes live in place of {names[live]}: its {evidence}"
    if len(against_live) > 1:
        sentence += f", which is beyond chance with {len(against_live)} models looked at"
    ratio = ratios[list(names).index(best)]
    if ratio is not None and not 1 / _CALIBRATED <= ratio <= _CALIBRATED:
        sentence += f"; calibrate it first, for it predicts {ratio:.2f} clicks for each that came"
    return best, f"{sentence}."


def _found(difference: Difference) -> str:
    text = f"{difference.value:+.5f}"
    if difference.interval is not None:
        text += f" ({100 * difference.interval.level:g} % interval {difference.interval.as_text(signed=True)})"
    if difference.p_value is not None:
        text += f", p = {difference.p_value:.2g}"
    return text
